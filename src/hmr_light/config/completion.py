"""Completion at the Tab key: a shell function that asks `hmr-light --complete LINE`, and the answer.

It reads files and schemas alone: to compose a configuration would take longer than one waits at a Tab.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import yaml

from hmr_light.config.choices import choice_file, choices, groups_of, own_configs
from hmr_light.config.limits import OneOf, limits_of
from hmr_light.config.schema import SCHEMAS

SCRIPT = """\
# Completion of hmr-light, for bash and zsh:  eval "$(hmr-light --completion)"
if [ -n "${ZSH_VERSION:-}" ]; then autoload -U +X bashcompinit && bashcompinit; fi
_hmr_light() {
    local IFS=$'\\n'
    COMPREPLY=($("$1" --complete "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null))
}
complete -o default -o nospace -F _hmr_light hmr-light
"""
_FLAGS = ("--help", "--cfg", "--config-dir", "--multirun")
_TOP = ("--help", "--version", "--completion")


def complete(line: str) -> list[str]:
    """How the last word of a command line may go on, from where a shell begins to replace: after its last `=` or `:`.

    A word that is whole ends with a blank.
    """
    *before, word = line.lstrip().split(" ")
    before = [one for one in before if one]
    if len(before) < 2:
        found = [f"{one} " for one in (*SCHEMAS, *_TOP)] if before else []
    else:
        found = list(_candidates(before[1], before[2:], word)) if before[1] in SCHEMAS else []
    # What a shell takes for the word ends at these letters; brackets and commas are parts of it.
    cut = max(word.rfind(mark) for mark in "=:") + 1
    return sorted({one[cut:] for one in found if one.startswith(word)})


def _candidates(command: str, before: list[str], word: str) -> Iterator[str]:
    key, equals, value = word.partition("=")
    own = own_configs(before)
    groups = groups_of(command, *own)
    if not equals:
        yield from (f"{flag} " for flag in _FLAGS)
        yield from (
            f"{one}=" for one in (*groups, *dict(_options(SCHEMAS[command], "")), *_of_builders(groups, before, own))
        )
        return
    lists_several = value.startswith("[") or {"-m", "--multirun"} & set(before)
    start = re.match(r".*[\[,]" if lists_several else "", value)
    head = f"{key}={start[0] if start else ''}"
    end = "" if lists_several else " "
    if key in groups:
        yield from (f"{head}{one}{end}" for one in choices(key, *own))
    elif key in ("backbones", "models"):
        yield from (f"{head}{one}{end}" for one in choices("backbone", *own))
    else:
        hint = dict(_options(SCHEMAS[command], "")).get(key)
        words = [one for limit in limits_of(hint) if isinstance(limit, OneOf) for one in limit.choices]
        yield from (f"{head}{one}{end}" for one in (("true", "false") if hint is bool else words))


def _options(schema: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The typed options, with their annotated types."""
    for name, hint in get_type_hints(schema, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from _options(hint, f"{prefix}{name}.")
        elif get_origin(hint) is not dict:  # whose keys are not known here
            yield f"{prefix}{name}", hint


def _of_builders(groups: dict[str, str | None], before: list[str], own: list[Path]) -> Iterator[str]:
    """The options of the choices that were made, or are the default, as their files have them."""
    chosen = groups | dict(one.split("=", 1) for one in before if one.partition("=")[0] in groups and "=" in one)
    for group, name in chosen.items():
        if name and (file := choice_file(group, name, *own)):
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            yield from (f"{group.replace('/', '.')}.{key}" for key in content if key not in ("defaults", "name"))
