"""Search spaces for tests: those of `conf/search_space/`, and random genotypes of them."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hmr_light.config.choices import choices
from hmr_light.paths import conf_dir
from hmr_light.search.genotype import Genotype
from hmr_light.search.reading import read_space
from hmr_light.search.space import Space, Value, fits

SPACES = choices("search_space")
SMALL: dict[str, Any] = {
    "name": "small",
    "image_size": 64,
    "stem": {"out": [8, 12]},
    "stages": [
        {"out": [16, 24], "stride": 2, "repeat": [1, 2], "blocks": {"block": "conv", "kernel": [1, 3]}},
        {"out": 24, "stride": 2, "repeat": [1, 2], "blocks": [{"block": "shuffle_v2"}, {"block": "separable"}]},
    ],
    "head": [None, {"out": [32, 64]}],
    "regressor": {"name": "light", "hidden": [8, 16]},
}
"""A space whose networks train in a moment."""


def node_of(name: str) -> dict[str, Any]:
    """The node `search_space` of `search_space=NAME`; these files have no references."""
    node: dict[str, Any] = yaml.safe_load((conf_dir() / "search_space" / f"{name}.yaml").read_text(encoding="utf-8"))
    return node


@cache
def packaged(name: str) -> Space:
    return read_space(node_of(name))


def draw_values(space: Space) -> dict[str, Value]:
    """Random values of all choices, whose network can be built."""
    for _ in range(10_000):
        values = {name: random.choice(choices) for name, choices in space.parameters.items()}
        if fits(space.decode(values)):
            return values
    raise AssertionError(f"no network of {space.name} can be built")


def draw(space: Space) -> Genotype:
    """A random genotype that can be built."""
    return space.decode(draw_values(space))


def write_small(folder: Path) -> Path:
    """A folder of configs with `search_space=small`."""
    file = folder / "conf" / "search_space" / "small.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    return folder / "conf"
