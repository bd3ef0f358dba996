"""The errors that cross a process boundary, named by who can act on them.

    Error
    ├── Invalid        the request is wrong: change it
    │   └── Unsupported    nothing wrong with it, but this datastore or version cannot do it
    ├── NotFound       what it names is not there, or not for this project
    ├── Forbidden      not for this user
    ├── Conflict       it is there already, or in a state that excludes the request
    ├── OverQuota      the project's quota, or the provider's capacity, is used up
    ├── Busy           another operation has it: try later
    ├── Unavailable    a service or a guest does not answer: try later
    └── Failed         it was tried and did not work; trying again will not help
        └── NeedsOperator  nothing that software may decide: a human has to look

Their text is fit for a tenant: it names what is wrong and what would be right, and holds no secret,
host name of the control plane or stack trace. Causes are chained with `from`.
"""


class Error(Exception):
    """The root: never raised itself."""

    @property
    def text(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class Invalid(Error): ...


class Unsupported(Invalid): ...


class NotFound(Error): ...


class Forbidden(Error): ...


class Conflict(Error): ...


class OverQuota(Error): ...


class Busy(Error): ...


class Unavailable(Error):
    """`after`: seconds before which trying again is of no use, as far as somebody said so."""

    def __init__(self, *args: object, after: float = 0.0) -> None:
        super().__init__(*args)
        self.after = after


class Failed(Error): ...


class NeedsOperator(Failed): ...


RETRYABLE = (Busy, Unavailable)
"""What may succeed when it is simply tried again; everything else will not."""

BY_NAME: dict[str, type[Error]] = {
    kind.__name__: kind
    for kind in (
        Invalid, Unsupported, NotFound, Forbidden, Conflict, OverQuota, Busy, Unavailable, Failed,
        NeedsOperator,
    )
}  # fmt: skip
"""The errors as they travel: by class name, looked up here and nowhere else."""
