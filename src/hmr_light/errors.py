"""The one exception that a user may see: what is wrong, where, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches

_MOST_NAMES, _FEW_NAMES = 40, 5

_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG}
"""Permissions, disks that are read-only or full, names that are too long."""


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


def refused_by_the_system(error: OSError) -> UserError | None:
    """The message for a file or folder that the system refuses to read or write; None for any other error."""
    if error.errno not in _REFUSALS:
        return None
    place = f" {error.filename}" if error.filename else ""
    return UserError(f"cannot read or write{place}: {error.strerror}", "Name a place that you may read and write.")


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A remedy that names the nearest choice; when none is near, all of them, or a few of too many.

    The initials of a name's words are near too: `lr` means `optimizer.learning_rate`.
    """
    names = sorted(set(choices))
    short = [name for name in names if "_" in name and _initials(name) == word.rpartition(".")[2]]
    if len(short) == 1:
        return f"Did you mean '{short[0]}'?"
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    if len(names) > _MOST_NAMES:
        some = get_close_matches(word, names, n=_FEW_NAMES, cutoff=0)
        return f"Of the {len(names)} names these are the nearest: {', '.join(some)}."
    return f"Choose one of: {', '.join(names)}." if names else ""


def _initials(name: str) -> str:
    """Of the words of a key's last part: `optimizer.learning_rate` → `lr`."""
    return "".join(part[:1] for part in name.rpartition(".")[2].split("_"))


class Interrupted(KeyboardInterrupt):
    """The user or the system asked to stop; what was done is saved. The message says how to go on.

    It is no `Exception`: code that continues after an `Exception`, as a sweep does with its next run, must stop here.
    """
