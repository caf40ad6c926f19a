"""Which values an option may have, declared beside its type: `epochs: Annotated[int, Range(0, 1000)]`.

One declaration is the check, the line in `--help`, and what tab completion offers.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, get_args, get_origin, get_type_hints

from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import is_there

LARGEST = sys.float_info.max
"""The upper end of a range that has none: infinity and NaN are in no range."""


class Limit(Protocol):
    """What a value must hold to."""

    before_running: ClassVar[bool]
    """Whether it is about the place where a command runs (a path, a name): then it is checked when the command is about
    to run, and not when a configuration is read. Torch, which takes seconds to import, is not needed for the answer."""

    def check(self, key: str, value: Any) -> None:
        """Raises `UserError` that names `key` and the remedy when `value` is not allowed."""

    def describe(self) -> str:
        """The allowed values, for `--help`."""


@dataclasses.dataclass(frozen=True, init=False)
class OneOf:
    """One of a few words."""

    choices: tuple[str, ...]
    before_running: ClassVar[bool] = False

    def __init__(self, *choices: str) -> None:
        object.__setattr__(self, "choices", choices)

    def check(self, key: str, value: Any) -> None:
        if value not in self.choices:
            raise UserError(f"{key}={value} is not a choice", did_you_mean(str(value), self.choices))

    def describe(self) -> str:
        return " | ".join(self.choices)


@dataclasses.dataclass(frozen=True)
class Range:
    """A finite number from `least` to `greatest`; `above` and `below` leave out the end itself."""

    least: float = -LARGEST
    greatest: float = LARGEST
    above: bool = dataclasses.field(default=False, kw_only=True)
    below: bool = dataclasses.field(default=False, kw_only=True)
    before_running: ClassVar[bool] = False

    def check(self, key: str, value: Any) -> None:
        too_small = value <= self.least if self.above else value < self.least
        too_large = value >= self.greatest if self.below else value > self.greatest
        if too_small or too_large or math.isnan(value):
            problem = "too small" if too_small else "too large" if too_large else "not a number"
            raise UserError(f"{key}={value} is {problem}", f"Give a number {self.describe()}.")

    def describe(self) -> str:
        least = f"{'above' if self.above else 'of at least'} {_text(self.least)}"
        greatest = f"{'below' if self.below else 'of at most'} {_text(self.greatest)}"
        if self.greatest == LARGEST:
            return "that is finite" if self.least == -LARGEST else least
        if self.least == -LARGEST:
            return greatest
        if self.above or self.below:
            return f"{least} and {greatest}"
        return f"from {_text(self.least)} to {_text(self.greatest)}"


def _text(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


@dataclasses.dataclass(frozen=True)
class Existing:
    """The path of a file or folder that is there."""

    what: str
    remedy: str | Callable[[str, Path], str] = "Correct the path."
    """Or what works it out of the option's key and the path."""
    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        path = Path(value).expanduser()
        if not is_there(path):
            remedy = self.remedy if isinstance(self.remedy, str) else self.remedy(key, path)
            raise UserError(f"{key}: there is no {self.what} at {value}", remedy)

    def describe(self) -> str:
        return ""


Fraction = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(1, 2**31 - 1)]
Threads = Annotated[int, Range(1, 4096)]
Device = Annotated[str, OneOf("auto", "cpu", "cuda")]


def limits_of(hint: Any) -> list[Limit]:
    """The limits in a type's annotation, also of the entries of a list and of a type that may be null."""
    own = list(hint.__metadata__) if get_origin(hint) is Annotated else []
    inner = get_args(hint)[:1] if own else get_args(hint)
    return own + [limit for part in inner for limit in limits_of(part)]


def check_limits(config: Any) -> None:
    """Check every option of a typed configuration, the nested ones too. Raises `UserError` for the first wrong one."""
    for key, value, limit in _limited(config):
        if not limit.before_running:
            limit.check(key, value)


def check_places(config: Any) -> None:
    """Check that what a typed configuration names is there: files, folders, runs. Raises `UserError` otherwise.

    `config.unread()`, if it has such a method, tells the beginnings of options that the command will not read.
    """
    unread = config.unread() if hasattr(config, "unread") else ()
    # First the command's own options: the data's are often but a default.
    for key, value, limit in sorted(_limited(config), key=lambda one: one[0].count(".")):
        if limit.before_running and not key.startswith(unread):
            limit.check(key, value)


def _limited(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Limit]]:
    """The options that have a limit and are not null: dotted key, value, limit."""
    hints = get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        for key, value in _entries(f"{prefix}{field.name}", getattr(config, field.name)):
            if dataclasses.is_dataclass(value):
                yield from _limited(value, f"{key}.")
            elif value is not None:
                yield from ((key, value, limit) for limit in limits_of(hints[field.name]))


def _entries(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield f"{key}.{name}", one
    elif isinstance(value, list):
        for one in value:
            yield key, one
    else:
        yield key, value
