"""Names and options in configurations, checked against the builders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from hmr_light.config.registry import Registry
from hmr_light.errors import UserError


def animals() -> Registry[tuple[Any, ...]]:
    registry: Registry[tuple[Any, ...]] = Registry("zoo.animal")

    @registry.register("cat")
    def cat(
        place: str,
        *,
        lives: int,
        weight: float = 4.0,
        tame: bool = True,
        coat: Literal["short", "long"] = "short",
        toy: Mapping[str, Any] | None = None,
    ) -> tuple[Any, ...]:
        return "cat", place, lives, weight, tame, coat, toy

    @registry.register("stone")
    def stone(place: str) -> tuple[Any, ...]:
        return "stone", place

    return registry


def test_builds_by_name_with_context_options_and_defaults() -> None:
    built = animals().build({"name": "cat", "lives": 9, "weight": 5, "toy": {"kind": "ball"}}, "house")
    assert built == ("cat", "house", 9, 5, True, "short", {"kind": "ball"})
    assert animals().build({"name": "stone"}, "garden") == ("stone", "garden")
    assert animals().names() == ["cat", "stone"]


def test_the_configuration_is_not_changed() -> None:
    config = {"name": "cat", "lives": 9}
    animals().build(config, "house")
    assert config == {"name": "cat", "lives": 9}


@pytest.mark.parametrize(
    ("config", "message", "remedy"),
    [
        ({"name": "cta"}, "zoo.animal.name=cta", "'cat'"),
        ({"name": None}, "zoo.animal.name is missing", "cat, stone"),
        ({}, "zoo.animal.name is missing", "cat, stone"),
        ({"name": "cat", "lives": 9, "wieght": 1}, "zoo.animal.wieght", "'weight'"),
        ({"name": "cat", "lives": 9, "place": "moon"}, "zoo.animal.place", "lives"),
        ({"name": "stone", "lives": 9}, "zoo.animal.lives", "~zoo.animal.lives"),
        ({"name": "cat"}, "zoo.animal.lives is missing", "a whole number"),
        ({"name": "cat", "lives": 9.5}, "zoo.animal.lives=9.5 is not a whole number", ""),
        ({"name": "cat", "lives": True}, "zoo.animal.lives=True is not a whole number", ""),
        ({"name": "cat", "lives": 9, "weight": "heavy"}, "zoo.animal.weight='heavy' is not a number", ""),
        ({"name": "cat", "lives": 9, "tame": 1}, "zoo.animal.tame=1 is not true or false", ""),
        ({"name": "cat", "lives": 9, "coat": "none"}, "zoo.animal.coat='none' is not 'short' or 'long'", ""),
        (
            {"name": "cat", "lives": 9, "toy": "ball"},
            "zoo.animal.toy='ball' is not a mapping or null",
            "zoo.animal/toy=NAME",
        ),
    ],
)
def test_a_wrong_configuration_is_named_with_a_remedy(config: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        animals().build(config, "house")
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.remedy


def test_the_name_may_stand_under_another_key_and_the_thing_at_another_place() -> None:
    registry: Registry[list[Any]] = Registry("zoo.animals", key="species")

    @registry.register("herd")
    def herd(*, members: Sequence[Any]) -> list[Any]:
        return list(members)

    assert registry.build({"species": "herd", "members": [1, "two"]}, place="zoo.animals[3]") == [1, "two"]
    for config, message in (
        ({"members": []}, "zoo.animals[3].species is missing"),
        ({"species": "heard"}, "zoo.animals[3].species=heard does not exist"),
        ({"species": "herd", "members": "ab"}, "zoo.animals[3].members='ab' is not a list"),
        ({"species": "herd", "members": [], "legs": 4}, "zoo.animals[3].legs: zoo.animals[3].species=herd has no such"),
    ):
        with pytest.raises(UserError) as caught:
            registry.build(config, place="zoo.animals[3]")
        assert message in caught.value.message


def test_two_builders_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        animals().register("cat")(lambda place: ())
