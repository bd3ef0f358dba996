"""An attempt at a command without an agent around it."""


class Attempt:
    """Implements `Attempt`; `cut_short`: it ends when it has begun, as by a crash."""

    def __init__(self, *, begun: bool = False, cut_short: bool = False) -> None:
        self.begun = begun
        self._cut_short = cut_short

    def begin(self) -> None:
        self.begun = True
        if self._cut_short:
            raise CutShort


class CutShort(Exception):
    """The attempt has ended where it began."""
