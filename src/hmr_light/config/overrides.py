"""The arguments of a command as Hydra reads them: text is taken as it stands, whatever letters it holds.

A shell hands over `input=it's (1), 사진` as one argument. Hydra's grammar knows no such letters unless they are quoted
once more, and reads `a,b` as two values of a sweep. Here such text is quoted for Hydra.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hmr_light.config.hints import hydra_quoted
from hmr_light.errors import UserError
from hmr_light.paths import is_there

_PATHS = {
    *("amass", "annotations", "female", "fits", "images", "male", "out", "photographs", "root", "tars", "teacher"),
    "weights",
}
"""Options that hold a path in groups that have no schema here, since their options are their builders'."""
_PAIRS = {"[": "]", "{": "}"}


def name_experiment(command: str, arguments: Iterable[str]) -> list[str]:
    """`arguments` with `experiment=NAME` as MLflow's experiment: only for training it chooses a preset."""
    if command == "train":
        return list(arguments)
    return [f"tracking.{one}" if one.startswith("experiment=") else one for one in arguments]


def read_arguments(schema: type, arguments: Iterable[str], *, sweep: bool = False) -> list[str]:
    """The overrides of a command with the configuration `schema`, each as Hydra's grammar wants it.

    With `sweep`, commas part the values of a sweep, as in Hydra. Raises `UserError` for what is no `key=value`, and for
    a path or a name that is empty.
    """
    read = [_readable(schema, one, sweep) for one in _whole_lists(schema, list(arguments))]
    return [part for one in read for part in _replacing(schema, one)]


def _replacing(schema: type, argument: str) -> list[str]:
    """`data.train={…}` names all sets that there are: Hydra would add them to those of the chosen data."""
    key, _, value = argument.partition("=")
    return [f"~{key}", f"+{argument}"] if _is_mapping(value) and _kind(schema, key)[0] == "sets" else [argument]


def _is_mapping(value: str) -> bool:
    return value[:1] == "{" and value[-1:] == "}" and len(_parts(value)) == 1


def _readable(schema: type, argument: str, sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals:
        return argument  # a deletion, or an error that is told later
    kind, is_open = _kind(schema, key.lstrip("+~").split("@")[0])
    if (is_open or (kind == "builder" and _is_mapping(value))) and key[0] not in "+~":
        key = f"++{key}"  # a set of the user's own, and a key of a builder's mapping, need no sign that they are new
    if kind == "text" and not value and key != "row":  # an empty row is the backbone's name
        # A path without letters would be the current folder.
        raise UserError(f"{key}= is empty", "Give it a value, or leave it out; is a variable of the shell not set?")
    if kind == "text" and value.lower() != "null":
        value = _text(value, sweep)
    elif kind == "texts" and value[:1] == "[" and value[-1:] == "]" and len(_parts(value)) == 1:
        value = f"[{','.join(_text(one, False) for one in _names(_parts(value[1:-1])))}]"
    return f"{key}={value if _parsed(value) is not _UNREADABLE else _mended(value, sweep)}"


def _names(parts: list[str]) -> Iterator[str]:
    """The paths and names of a list that was cut at its commas; those that are there as one path are joined again."""
    while parts:
        for count in range(len(parts), 0, -1):
            name = ",".join(parts[:count]).strip()
            if count == 1 or is_there(Path(name)):
                break
        if name:
            yield name
        parts = parts[count:]


def _text(value: str, sweep: bool) -> str:
    """The value of an option that is a path or a name."""
    parsed = _parsed(value)
    if "${" in value and is_there(Path(value).expanduser()):
        return hydra_quoted(value, literal=True)
    if parsed is not _UNREADABLE and (
        sweep or (isinstance(parsed, str) and (parsed == value or "\\" in value or _is_quoted(value)))
    ):
        return value
    if not sweep or is_there(Path(value).expanduser()):
        return hydra_quoted(value)
    return ",".join(map(_mended, value.split(",")))


def _mended(value: str, sweep: bool = False) -> str:
    """`value` with quotes around those of its parts that Hydra's grammar cannot read."""
    value = value.strip()
    if _parsed(value) is not _UNREADABLE:
        return value
    if _PAIRS.get(value[:1]) == value[-1:] and _is_balanced(value):
        inner = [part.strip() for part in _parts(value[1:-1])]
        if value[0] == "[":
            return f"[{','.join(map(_mended, inner))}]"
        pairs = [part.partition(":") for part in inner]
        return f"{{{','.join(f'{key.strip()}: {_mended(one)}' for key, _, one in pairs)}}}"
    if sweep and "," in value:
        return ",".join(map(_mended, _parts(value)))
    return hydra_quoted(value)


_UNREADABLE = object()


def _parsed(value: str) -> Any:
    """What Hydra makes of a value."""
    try:
        return OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        return _UNREADABLE


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def _kind(schema: type, key: str) -> tuple[str, bool]:
    """Whether the option `key` holds text, a list of texts, sets by name, what a builder takes or something else; and
    whether a user may name its node."""
    hint: Any = schema
    is_open = False
    names = key.split(".")
    for name in names:
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            hint = get_type_hints(hint).get(name)
        elif get_origin(hint) is dict and dataclasses.is_dataclass(get_args(hint)[1]):
            hint, is_open = get_args(hint)[1], True
        else:  # the options of a builder
            return ("text" if names[-1] in _PATHS and len(names) > 1 else "builder"), False
    alone = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(alone) == 1 and get_origin(alone[0]) is list:  # a list or null
        hint = alone[0]
    if get_origin(hint) is list:
        return ("texts" if get_args(hint)[0] in (str, Path) else ""), is_open
    if get_origin(hint) is dict:
        return ("sets" if dataclasses.is_dataclass(get_args(hint)[1]) else ""), is_open
    return ("text" if {str, Path} & {hint, *get_args(hint)} else ""), is_open


def _whole_lists(schema: type, arguments: list[str]) -> list[str]:
    """Lists that a shell has cut at blanks (`models=[a, b]` without quotes) are joined again."""
    joined: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        key, _, value = argument.partition("=")
        if value[:1] in _PAIRS and not _is_balanced(value) and _kind(schema, key.lstrip("+"))[0] != "text":
            for more in rest:
                argument = f"{argument} {more}"
                if _is_balanced(argument.partition("=")[2]):
                    break
            else:
                raise UserError(
                    f"{argument}: the bracket is not closed",
                    f"Close it, or, if it belongs to the text, type {shlex.quote(f'{key}={hydra_quoted(value)}')}",
                )
        elif "=" not in argument and not argument.startswith("~"):
            raise UserError(f"cannot read '{argument}'", _remedy(argument, joined))
        joined.append(argument)
    return joined


def _remedy(argument: str, before: list[str]) -> str:
    if not before:
        return "Options are key=value."
    whole = shlex.quote(f"{before[-1]} {argument}")
    return f"Options are key=value. If it belongs to the option before, put both into quotes: {whole}"


def _is_balanced(text: str) -> bool:
    return not _scan(text)[1]


def _parts(text: str) -> list[str]:
    """`text` cut at its commas, those in brackets and quotes left out."""
    return _scan(text)[0]


def _scan(text: str) -> tuple[list[str], int]:
    """The parts of `text` between its outer commas, and how many brackets and quotes are left open.

    A quote opens only where a value begins, so that an apostrophe is one.
    """
    parts = [""]
    closing: list[str] = []
    begins = True
    for index, letter in enumerate(text):
        if closing and closing[-1] in "'\"":
            if letter == closing[-1] and text[index - 1] != "\\":
                closing.pop()
        elif letter in "'\"" and begins:
            closing.append(letter)
        elif letter in _PAIRS:
            closing.append(_PAIRS[letter])
        elif closing and letter == closing[-1]:
            closing.pop()
        elif letter == "," and not closing:
            parts.append("")
            begins = True
            continue
        begins = letter in " ,[{:" and (begins or letter != " ")
        parts[-1] += letter
    return parts, len(closing)
