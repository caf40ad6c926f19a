"""The one exception that a user may see: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """The user's input was wrong; the command line prints message and remedy, without a traceback, and exits with 2."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        # Data-loader workers send exceptions to the main process by pickle.
        return (type(self), (self.message, self.remedy))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A remedy that names the nearest choice, or all of them when none is near."""
    names = sorted(choices)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Choose one of: {', '.join(names)}." if names else ""


class Interrupted(Exception):
    """The user or the system asked to stop; what was done is saved. The message says how to go on."""
