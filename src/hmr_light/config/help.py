"""`hmr-light COMMAND --help`: the command's groups and options, each with its meaning, value and allowed values."""

from __future__ import annotations

import dataclasses
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf

from hmr_light.config.choices import choice_file, choices, groups_of
from hmr_light.config.documentation import field_texts, file_texts
from hmr_light.config.limits import limits_of
from hmr_light.config.schema import SCHEMAS

_WIDEST = 120
_PRESETS = {
    "experiment": "A whole row of the comparison table as one file; it may change any choice above.",
    "debug": "A run to find faults with. fast: every step in a few seconds. overfit: learn 32 images by heart.",
}


@dataclasses.dataclass(frozen=True)
class Option:
    """One line of the help: `key=value`, what it means, which values it may have."""

    key: str
    value: str
    text: str
    allowed: str = ""


def help_text(command: str, config: DictConfig, *own: Path) -> str:
    """The help of a command whose composed configuration, that of Hydra included, is `config`.

    `own` are the user's folders of configs.
    """
    chosen: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    lines = [str(config.hydra.help.header).rstrip()]
    if groups := list(_groups(command, chosen, *own)):
        lines += ["", "Choices (group=choice):", *_lines(groups)]
    options: Any = OmegaConf.to_container(config, resolve=False)
    del options["hydra"]
    if listed := list(_options(SCHEMAS[command], options, "", chosen, *own)):
        lines += ["", "Options (key=value):", *_lines(listed)]
    return "\n".join([*lines, "", str(config.hydra.help.footer).rstrip()])


def _groups(command: str, chosen: dict[str, Any], *own: Path) -> Iterator[Option]:
    texts = field_texts(SCHEMAS[command])
    for group in groups_of(command, *own):
        if "/" in group and group not in chosen:
            continue  # the choice above it has no use for it
        name = chosen.get(group)
        file = choice_file(group, name, *own) if name else None
        text = texts.get(group) or (file_texts(file).get("", "") if file else "")
        text = _PRESETS.get(group, text)
        yield Option(group, name or "null", text, ", ".join(choices(group, *own)))


def _options(schema: Any, values: dict[str, Any], prefix: str, chosen: dict[str, Any], *own: Path) -> Iterator[Option]:
    """The options of a typed node."""
    hints, texts = get_type_hints(schema, include_extras=True), field_texts(schema)
    for name, hint in hints.items():
        key, value = f"{prefix}{name}", values.get(name)
        plain_hint = get_type_hints(schema)[name]
        inner = get_args(plain_hint)[1:] if isinstance(value, dict) else ()
        if isinstance(value, dict) and dataclasses.is_dataclass(plain_hint):
            yield from _options(plain_hint, value, f"{key}.", chosen, *own)
        elif isinstance(value, dict) and inner and dataclasses.is_dataclass(inner[0]):
            if not value:
                yield Option(key, "{}", texts.get(name, ""))
            for number, (one, node) in enumerate(value.items()):
                if not number:
                    yield Option(f"{key}.NAME", "", texts.get(name, ""))
                yield from _options(inner[0], node, f"{key}.{one}.", chosen, *own)
        elif isinstance(value, dict):
            yield from _builder_options(name, value, chosen, *own)
        elif not (prefix and name == "name" and not limits_of(hint)):  # a choice's own name is no option
            allowed = "; ".join(filter(None, (limit.describe() for limit in limits_of(hint))))
            yield Option(key, _shown(value), texts.get(name, ""), allowed or _type_of(plain_hint))


def _builder_options(group: str, values: dict[str, Any], chosen: dict[str, Any], *own: Path) -> Iterator[Option]:
    """The options of a node whose builder checks them; its files say what they mean."""
    texts: dict[str, str] = {}
    for place, choice in chosen.items():
        if place.split("/")[0] == group and choice:
            node = place.replace("/", ".")
            texts |= {f"{node}.{key}": text for key, text in choice_texts(place, choice, *own).items() if key}
    for key, value in _leaves(group, values, texts):
        if key.rpartition(".")[2] != "name" or key in texts:
            yield Option(key, _shown(value), texts.get(key, ""))


def choice_texts(group: str, name: str, *own: Path) -> dict[str, str]:
    """What the options of a choice mean: the comments in its file, and in those of its group that it builds on."""
    file = choice_file(group, name, *own)
    if file is None:
        return {}
    texts: dict[str, str] = {}
    for base in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("defaults", ()):
        if isinstance(base, str) and base != "_self_":
            texts |= choice_texts(group, base, *own)
    return texts | file_texts(file)


def _leaves(key: str, value: Any, texts: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The options below `key`; a mapping that has a text of its own is one option."""
    if isinstance(value, dict) and value and key not in texts:
        for name, one in value.items():
            yield from _leaves(f"{key}.{name}", one, texts)
    else:
        yield key, value


def _type_of(hint: Any) -> str:
    return "true | false" if hint is bool else ""


def _shown(value: Any) -> str:
    """A value as it is typed, environment variables as a shell writes them."""
    if isinstance(value, str):
        return re.sub(r"\$\{oc\.env:(\w+)\}", r"$\1", value)
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {_shown(one)}' for key, one in value.items())}}}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _lines(options: list[Option]) -> Iterator[str]:
    width = max(40, min(shutil.get_terminal_size((_WIDEST, 0)).columns, _WIDEST))
    for option in options:
        yield f"  {option.key}={option.value}" if option.value else f"  {option.key}"
        for text in (option.text, f"[{option.allowed}]" if option.allowed else ""):
            yield from textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
