"""Limits of options: every number has a range, and a wrong value is named with its key before anything is done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
from support.cli import compose

from hmr_light.config.limits import OneOf, Range, check_limits, check_places, limits_of
from hmr_light.config.schema import SCHEMAS
from hmr_light.errors import UserError


def options(schema: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """The options of a schema by their dotted names, with their annotated types."""
    for name, hint in get_type_hints(schema, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from options(hint, f"{prefix}{name}.")
        elif (inner := get_args(hint)[-1:]) and isinstance(inner[0], type) and dataclasses.is_dataclass(inner[0]):
            yield from options(inner[0], f"{prefix}{name}.NAME.")
        else:
            yield f"{prefix}{name}", hint


def numbers(hint: Any) -> bool:
    return hint in (int, float) or any(
        numbers(part) for part in get_args(hint) if isinstance(part, type) or get_args(part)
    )


@pytest.mark.parametrize("command", SCHEMAS)
def test_every_number_of_every_command_has_a_range_that_infinity_and_nan_are_not_in(command: str) -> None:
    for key, hint in options(SCHEMAS[command], f"{command}: "):
        if numbers(hint):
            ranges = [limit for limit in limits_of(hint) if isinstance(limit, Range)]
            assert ranges, key
            for value in (math.inf, -math.inf, math.nan):
                with pytest.raises(UserError, match=f"{key}={value}"):
                    ranges[0].check(key, value)


@pytest.mark.parametrize(
    ("option", "message", "remedy"),
    [
        ("trainer.clip_gradient_norm=-1", "trainer.clip_gradient_norm=-1.0 is too small", "above 0"),
        ("trainer.clip_gradient_norm=0", "trainer.clip_gradient_norm=0.0 is too small", "above 0"),
        ("trainer.clip_gradient_norm=nan", "trainer.clip_gradient_norm=nan is not a number", "above 0"),
        ("trainer.ema_decay=1", "trainer.ema_decay=1.0 is too large", "below 1"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate=inf is too large", "from 0 to 100"),
        ("seed=-1", "seed=-1 is too small", "from 0 to 9223372036854775807"),
        ("seed=99999999999999999999", "seed=99999999999999999999 is too large", "from 0 to"),
        ("data.train.synthetic.ratio=-0.5", "data.train.synthetic.ratio=-0.5 is too small", "from 0"),
        ("trainer.device=gpu", "trainer.device=gpu is not a choice", "'cpu'"),
    ],
)
def test_a_value_outside_of_its_limits_is_named_with_the_limits(
    home: Path, option: str, message: str, remedy: str
) -> None:
    with pytest.raises(UserError) as caught:
        compose("train", option)
    assert caught.value.message == message
    assert remedy in caught.value.remedy


@dataclass
class Inner:
    names: list[Annotated[str, OneOf("a", "b")]] = field(default_factory=list)


@dataclass
class Outer:
    share: Annotated[float, Range(0, 1)] | None = None
    inner: Inner = field(default_factory=Inner)
    many: dict[str, Inner] = field(default_factory=dict)


def test_limits_hold_in_lists_in_nested_options_and_for_all_values_but_null() -> None:
    check_limits(Outer())
    check_limits(Outer(0.5, Inner(["a", "b", "a"]), {"x": Inner(["b"])}))
    for faulty, message in (
        (Outer(1.5), "share=1.5"),
        (Outer(inner=Inner(["a", "c"])), r"inner\.names=c"),
        (Outer(many={"x": Inner(["a"]), "y": Inner(["d"])}), r"many\.y\.names=d"),
    ):
        with pytest.raises(UserError, match=message):
            check_limits(faulty)


def test_limits_describe_themselves() -> None:
    assert OneOf("a", "b").describe() == "a | b"
    assert Range(0, 1).describe() == "from 0 to 1"
    assert Range(1).describe() == "of at least 1"
    assert Range(0, above=True).describe() == "above 0"
    assert Range(0, 1, below=True).describe() == "of at least 0 and below 1"
    assert Range().describe() == "that is finite"


def test_a_path_that_is_not_there_is_named_when_the_command_is_to_run(home: Path, tmp_path: Path) -> None:
    there = tmp_path / "a b.pt"
    there.touch()
    check_places(compose("predict", f"checkpoint='{there}'", f"input={tmp_path}"))
    with pytest.raises(UserError, match=r"init: there is no checkpoint at .*nowhere\.pt") as caught:
        check_places(compose("train", f"init={tmp_path}/nowhere.pt"))
    assert "epoch-NNN.pt" in caught.value.remedy
