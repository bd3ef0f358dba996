"""A look at one thing that a deployment needs, and what an operator does when it is not there."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """`look` returns what it found, in a few words; it raises `errors.Error` or OSError."""

    what: str
    look: Callable[[], str]
    remedy: str
