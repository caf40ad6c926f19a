"""Errors of the surroundings as messages, and remedies that name what was meant; `UserError` is the runtime's."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches

from hmr_light.deployment.runtime.errors import UserError as UserError

_MOST_NAMES, _FEW_NAMES = 40, 5

_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG}
"""Permissions, disks that are read-only or full, names that are too long."""
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|[Oo]ut of memory|[Ii]nsufficient memory|bad_alloc")
_ASKED = re.compile(r"(?:[Tt]ried to allocate|Failed to allocate|Unable to allocate) ([\d.]+ (?:bytes|[KMGTP]iB))")


def as_user_error(error: Exception) -> UserError | None:
    """The message for an error that the surroundings make, not the code; None for any other."""
    if isinstance(error, OSError):
        return refused_by_the_system(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Could not determine home directory"):
        return UserError("a path begins with ~ and the name of a user who does not exist", "Write the whole path.")
    return out_of_memory(error)


def refused_by_the_system(error: OSError) -> UserError | None:
    """The message for a file or folder that the system refuses to read or write; None for any other error."""
    if error.errno not in _REFUSALS:
        return None
    place = f" {error.filename}" if error.filename else ""
    return UserError(f"cannot read or write{place}: {error.strerror}", "Name a place that you may read and write.")


def out_of_memory(error: Exception) -> UserError | None:
    """The message for an allocation that has failed, of torch's on a CPU or a GPU, NumPy's or OpenCV's; None for any
    other error."""
    text = str(error)
    is_one = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY.search(text)
    if not is_one or isinstance(error, UserError):
        return None
    asked = _ASKED.search(text)
    how_much = f": {_readable(asked[1])} more were asked for" if asked else ""
    place = " of the GPU" if "CUDA" in text else ""
    return UserError(
        f"the memory{place} is not enough{how_much}",
        "Take fewer or smaller images at once (--help lists the options of sizes), or a machine with more memory.",
    )


def _readable(size: str) -> str:
    return f"{int(size.split()[0]) / 2**30:.1f} GiB" if size.endswith("bytes") else size


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
