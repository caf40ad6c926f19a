"""From the node `search_space` to a `Space`: every mistake is told with its line and what is allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hmr_light.backbones.stage_blocks import blocks
from hmr_light.backbones.stages import (
    MOST_BLOCKS,
    MOST_MAPS,
    build_head,
    build_stem,
    head_defaults,
    stem_defaults,
)
from hmr_light.config.choices import choice_file
from hmr_light.config.registry import check_options, defaults_of
from hmr_light.cost.shapes import only_shapes
from hmr_light.errors import UserError, did_you_mean
from hmr_light.model.regressors import regressors
from hmr_light.search.counting import refuse_useless
from hmr_light.search.parts import NEUTRAL
from hmr_light.search.space import BUDGETS, Alternative, Part, Space, Stage, label

NODE = "search_space"
LEAST_SIDE, MOST_SIDE = 64, 1024
"""Of images, as `data.image_size`."""

Choices = Mapping[str, tuple[Any, ...]]
"""What each option may be."""
Check = Callable[[str, Mapping[str, Any]], None]
"""(place, options with one value each) → raises `UserError` for a value that can never be right."""


def read_space(node: Mapping[str, Any]) -> Space:
    """The space that the node `search_space` describes.

    Raises `UserError`, with the line of the space's file, for what is unknown, for values that no layer takes, and for
    choices that are in no network that can be built.
    """
    try:
        check_options(NODE, str(node.get("name")), _space, {key: node[key] for key in node if key != "name"})
        space = _space(str(node["name"]), **{key: node[key] for key in node if key != "name"})
        refuse_useless(space, NODE)
    except UserError as error:
        raise _with_line(error, str(node.get("name"))) from error
    return space


def _space(
    name: str,
    *,
    stages: Sequence[Any],
    regressor: Any,
    image_size: Any = 64,
    stem: Any = None,
    head: Any = None,
    budget: Mapping[str, Any] | None = None,
) -> Space:
    if not stages:
        raise UserError(f"{NODE}.stages is an empty list", "Give at least one stage.")
    sizes = _numbers(f"{NODE}.image_size", image_size, LEAST_SIDE, MOST_SIDE)
    return Space(
        name=name,
        image_sizes=sizes,
        stem=_part("stem", f"{NODE}.stem", {} if stem is None else stem, _check_stem),
        stages=tuple(_stage(number, stage) for number, stage in enumerate(stages)),
        head=_part("head", f"{NODE}.head", head, _check_head),
        regressor=_part("regressor", f"{NODE}.regressor", regressor, _check_regressor),
        budget=_budget(f"{NODE}.budget", budget or {}),
    )


def _budget(place: str, limits: Mapping[str, Any]) -> dict[str, float]:
    for name, most in limits.items():
        if name not in BUDGETS:
            raise UserError(f"{place}.{name} is no cost", did_you_mean(name, BUDGETS))
        if isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most < math.inf:
            raise UserError(f"{place}.{name}={most} is not allowed", "Give a number above 0.")
    return {name: float(most) for name, most in limits.items()}


def _stage(number: int, node: Any) -> Stage:
    place, name = f"{NODE}.stages[{number}]", f"stage{number}"
    if not isinstance(node, Mapping):
        raise UserError(
            f"{place}={node!r} is not a mapping", "Give one such as {out: [32, 48], blocks: {block: fire}}."
        )
    check_options(place, name, _stage_options, node, key=None)
    outs, strides, repeats, each, kinds = _stage_options(place, **node)
    count = max(repeats) if each else 1
    names = [f"{name}.block{index}" for index in range(count)] if each else [f"{name}.block"]
    parts = tuple(_part(one, f"{place}.blocks", kinds, _check_block) for one in names)
    return Stage(name, outs, strides, repeats, each, parts)


def _stage_options(
    place: str, *, out: Any, blocks: Any, stride: Any = 1, repeat: Any = 1, each: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool, Any]:
    outs = _numbers(f"{place}.out", out, 1, MOST_MAPS)
    strides = _numbers(f"{place}.stride", stride, 1, 2)
    repeats = _numbers(f"{place}.repeat", repeat, 0, MOST_BLOCKS)
    if max(repeats) == 0:
        raise UserError(f"{place}.repeat={repeat} leaves the stage out in every network", "Remove the stage.")
    return outs, strides, repeats, each, blocks


def _part(name: str, place: str, node: Any, check: Check) -> Part:
    """The part `name`, which stands at `place`: a mapping, or a list of mappings to choose from."""
    several = isinstance(node, Sequence) and not isinstance(node, str)
    nodes = list(node) if several else [node]
    if not nodes:
        raise UserError(f"{place} is an empty list", "Give at least one mapping.")
    choices = [_alternative(f"{place}[{i}]" if several else place, one, check) for i, one in enumerate(nodes)]
    return Part(name, tuple(map(Alternative, _names(choices), [_whole(one, check) for one in choices])))


def _whole(options: Choices | None, check: Check) -> Choices | None:
    """`options` with all that need not be given: a configuration that is merged with another one must say them."""
    if options is None or check is _check_block:
        return options
    if check is _check_regressor:
        builders = [regressors.find({"name": name, **_first(options)})[0] for name in options["name"]]
        known = defaults_of(builders[0]) if len(builders) == 1 else {}
    else:
        known = stem_defaults() if check is _check_stem else head_defaults()
    return {name: (value,) for name, value in known.items()} | dict(options)


def _first(options: Choices) -> dict[str, Any]:
    return {option: values[0] for option, values in options.items() if option != "name"}


def _alternative(place: str, node: Any, check: Check) -> Choices | None:
    if node is None and check is _check_head:
        return None
    if not isinstance(node, Mapping):
        raise UserError(f"{place}={node!r} is not a mapping", "Give a mapping of options, or a list of mappings.")
    options: dict[str, tuple[Any, ...]] = {}
    for option, written in node.items():
        choices = list(written) if isinstance(written, Sequence) and not isinstance(written, str) else [written]
        _refuse_doubles(f"{place}.{option}", choices)
        options[str(option)] = tuple(choices)
    first = {option: choices[0] for option, choices in options.items()}
    for option, values in options.items():
        for value in values:
            try:
                check(place, first | {option: value})
            except UserError as error:
                if error.message.startswith(f"{place}."):
                    raise
                chosen = f"{option}={label(value)}"
                _, _, reason = error.message.rpartition(f"{chosen} ")
                where = f"{place}.{chosen}" + ("" if chosen in error.message else ":")
                raise UserError(f"{where} {reason}", error.remedy) from error
    if not options:
        check(place, {})
    return options


def _check_stem(place: str, options: Mapping[str, Any]) -> None:
    with only_shapes():
        build_stem(options, place=place)


def _check_head(place: str, options: Mapping[str, Any]) -> None:
    with only_shapes():
        build_head(options, 8, place=place)


def _check_block(place: str, options: Mapping[str, Any]) -> None:
    blocks.find(options, place)
    # What goes with other numbers of maps than these is found by the walk over the whole space.
    alone = {name: value for name, value in options.items() if name == "block" or name in NEUTRAL}
    with only_shapes():
        blocks.build(alone, 48, 48, 1, place=place)


def _check_regressor(place: str, options: Mapping[str, Any]) -> None:
    builder, known = regressors.find(options, place)
    with only_shapes():
        builder(8, **known)


def _names(alternatives: Sequence[Choices | None]) -> list[str]:
    """What each alternative is called: its kind, with the options that are fixed where a kind stands twice."""
    kinds, whole = [], []
    for one in alternatives:
        fixed = {option: values[0] for option, values in (one or {}).items() if len(values) == 1}
        kind = fixed.pop("block", fixed.pop("name", "none" if one is None else "some"))
        kinds.append(str(kind))
        whole.append(" ".join([str(kind), *(f"{option}={label(value)}" for option, value in fixed.items())]))
    names = [full if kinds.count(kind) > 1 else kind for kind, full in zip(kinds, whole, strict=True)]
    return [f"{name} #{names[:i].count(name) + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _numbers(place: str, value: Any, least: int, most: int) -> tuple[int, ...]:
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
            raise UserError(f"{place}={one} is not allowed", f"Give whole numbers from {least} to {most}.")
    _refuse_doubles(place, values)
    return tuple(values)


def _refuse_doubles(place: str, values: list[Any]) -> None:
    if not values:
        raise UserError(f"{place} is an empty list", "Give at least one value, or leave it out.")
    written = [json.dumps(one, sort_keys=True, default=str) for one in values]
    for one in written:
        if written.count(one) > 1:
            raise UserError(f"{place} has the choice {one} twice", "Give each choice once.")


def _with_line(error: UserError, name: str) -> UserError:
    """The error with the line of the space's file that it is about; as it is, where that cannot be told."""
    file = choice_file(NODE, name)
    line = line_of(file, error.message) if file else None
    return error if line is None else UserError(f"{file}, line {line}: {error.message}", error.remedy)


def line_of(file: Path, message: str) -> int | None:
    """The line of `file` that a message is about which begins with a place: `search_space.stages[1].out=3 is …`."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    found: yaml.Node = node
    for step in _steps(message):
        inner = _step_into(found, step)
        if inner is None:
            break
        found = inner
    return found.start_mark.line + 1 if found is not node else None


def _steps(message: str) -> Iterator[str | int]:
    """The keys and indices of the place that `message` begins with."""
    for part in message.split("=")[0].split(" ")[0].rstrip(":").split(".")[1:]:
        key, *indices = part.split("[")
        yield key
        for index in indices:
            if index.rstrip("]").isdecimal():
                yield int(index.rstrip("]"))


def _step_into(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
