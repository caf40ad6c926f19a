"""The one exception that a user may see: what is wrong, where, and what to do about it."""

from __future__ import annotations


class UserError(Exception):
    """The user's input was wrong; the command line prints message and remedy, without a traceback, and exits with 2."""

    def __init__(self, message: str, remedy: str = "") -> None:
        # torch hands on a loader process' exception by making a new one of its printed traceback.
        _, printed, original = message.rpartition("errors.UserError: ")
        if printed:
            message, _, remedy = original.strip().partition("\n  ")
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message
