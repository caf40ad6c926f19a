"""Search spaces: their exact sizes, their mistakes, and what their networks cost."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.spaces import SPACES, draw, node_of, packaged

from hmr_light.backbones.stage_blocks import blocks
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import count_parameters
from hmr_light.cost.shapes import only_shapes
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.search import reading
from hmr_light.search.counting import size
from hmr_light.search.genotype import Block, frozen
from hmr_light.search.parts import NEUTRAL, cost_of, problem
from hmr_light.search.reading import read_space
from hmr_light.search.space import Space, fits

SMALL: dict[str, Any] = {
    "name": "small",
    "stem": {"out": [8, 12]},
    "stages": [
        {"out": [16, 24], "stride": [1, 2], "repeat": [0, 1, 2], "blocks": {"block": "conv", "kernel": [1, 3]}},
        {"out": 24, "stride": 2, "repeat": [1, 2], "blocks": [{"block": "shuffle_v2"}, {"block": "separable"}]},
    ],
    "head": [None, {"out": [32, 64]}],
    "regressor": {"name": "light", "hidden": [8, 16]},
}


def choose(values: list[Any], most: int) -> list[Any]:
    return random.sample(values, random.randint(1, min(most, len(values))))


def random_node() -> dict[str, Any]:
    """A small space of two or three stages that overlap: the same networks can be made in several ways."""
    kinds = [
        {"block": "conv", "kernel": [1, 3], "groups": [1, 4]},
        {"block": "shuffle_v2"},
        {"block": "shuffle_v1", "groups": [1, 3]},
        {"block": "separable", "squeeze_excitation": [False, True]},
    ]
    stages = [
        {
            "out": choose([12, 16, 24], 2),
            "stride": choose([1, 2], 2),
            "repeat": choose([0, 1, 2], 2),
            "each": random.random() < 0.4,
            "blocks": choose(kinds, 2),
        }
        for _ in range(random.randint(2, 3))
    ]
    return {"name": "random", "stem": {"out": choose([8, 12], 2)}, "stages": stages, "regressor": {"name": "linear"}}


def combinations(space: Space) -> int:
    total = 1
    for values in space.parameters.values():
        total *= len(values)
    return total


def test_the_size_is_the_number_of_networks_that_combinations_make() -> None:
    seen = 0
    for _ in range(200):
        node = random_node()
        if not any(max(stage["repeat"]) for stage in node["stages"]):
            continue
        try:
            space = read_space(node)
        except UserError as error:
            assert "is in no network" in error.message or "leaves the stage out" in error.message  # noqa: PT017
            continue
        if combinations(space) > 1500:
            continue
        names, values = list(space.parameters), space.parameters.values()
        all_of_them = (space.decode(dict(zip(names, one, strict=True))) for one in itertools.product(*values))
        networks = {one for one in all_of_them if fits(one)}
        assert size(space) == len(networks) == len({one.key for one in networks}), node
        seen += 1
        if seen == 3:
            return
    raise AssertionError("hardly any space could be read")


def test_a_choice_that_no_network_has_is_refused_and_every_other_is_in_one() -> None:
    for _ in range(30):
        node = random_node()
        try:
            space = read_space(node)
        except UserError:
            continue
        if combinations(space) > 1000:
            continue
        names, values = list(space.parameters), space.parameters.values()
        used: dict[str, set[Any]] = {name: set() for name in names}
        for one in itertools.product(*values):
            chosen = dict(zip(names, one, strict=True))
            if fits(space.decode(chosen)):
                for name, value in chosen.items():
                    used[name].add(value)
        assert all(used[name] == set(space.parameters[name]) for name in names), node
        return


@pytest.mark.parametrize("name", SPACES)
def test_networks_of_each_space_cost_what_the_whole_model_costs(name: str) -> None:
    space = packaged(name)
    assert size(space) > 10**6
    genotype = draw(space)
    with only_shapes():
        model = build_model(genotype.nodes())
    cost = cost_of(genotype)
    assert cost.parameters == count_parameters(model).folded
    assert cost.macs == count_macs(model, genotype.image_size).total


def test_options_that_are_called_neutral_do_not_bear_on_numbers_of_maps() -> None:
    options = {
        "shuffle_v1": {"groups": [1, 2, 3, 4, 8], "group_first": [True, False], "shuffle": [True, False]},
        "shuffle_v2": {"form": ["plain", "xception"], "residual": [True, False]},
        "fire": {"norm": [True, False], "shortcut": [True, False], "share_3x3": [0.1, 0.9]},
        "inverted_residual": {"activation": ["relu", "hardswish"], "expand": [1, 3]},
        "bottleneck": {"groups": [1, 2, 4], "squeeze_ratio": [0.125, 0.5]},
        "conv": {"groups": [1, 2, 3], "activation": ["relu", "silu"]},
    }
    for _ in range(40):
        kind = random.choice(list(options))
        chosen = {name: random.choice(values) for name, values in options[kind].items()}
        if kind != "fire":
            chosen["kernel"] = random.choice([1, 3, 7])
        chosen |= {"block": kind, "squeeze_excitation": random.random() < 0.5}
        inputs, out, stride = random.randint(1, 48), random.randint(1, 48), random.choice([1, 2])
        try:
            with only_shapes():
                blocks.build(chosen, inputs, out, stride)
            can = True
        except UserError:
            can = False
        assert can == (problem(Block(frozen(chosen), out, stride), inputs) is None), (chosen, inputs, out, stride)
    assert NEUTRAL.isdisjoint({"groups", "group_first", "share_3x3", "expand", "squeeze_ratio"})


def change(path: str, value: Any) -> dict[str, Any]:
    """`SMALL` with `value` at `path`, as in `stages.0.out`; a value of `...` removes what stands there."""
    node = yaml.safe_load(yaml.safe_dump(SMALL))
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place = node
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return node


@pytest.mark.parametrize(
    ("path", "value", "message", "remedy"),
    [
        ("stages.0.blocks.kernel", [3, 4], "search_space.stages[0].blocks.kernel=4 cannot be centred", "odd"),
        ("stages.0.blocks.block", "convo", "search_space.stages[0].blocks.block=convo does not exist", "conv"),
        ("stages.0.blocks.kernal", 3, "search_space.stages[0].blocks.kernal", "kernel"),
        ("stages.0.out", [16, 0], "search_space.stages[0].out=0 is not allowed", "from 1 to 8192"),
        ("stages.0.stride", 3, "search_space.stages[0].stride=3 is not allowed", "from 1 to 2"),
        ("stages.0.repeat", [0], "search_space.stages[0].repeat=[0] leaves the stage out", "Remove"),
        ("stages.0.out", ..., "search_space.stages[0].out is missing", "Give it"),
        ("stages.0.blocks.groups", [1, 7], "search_space.stages[0].blocks.groups=7 is in no network", "go together"),
        ("stages", [], "search_space.stages is an empty list", "at least one"),
        ("stages.1.blocks", [], "search_space.stages[1].blocks is an empty list", "at least one"),
        ("stages.1", 3, "search_space.stages[1]=3 is not a mapping", "Give one such as"),
        ("image_size", [64, 64], "search_space.image_size has the choice 64 twice", "once"),
        ("image_size", "large", "search_space.image_size=large is not allowed", "from 64"),
        ("regressor.name", "lite", "search_space.regressor.name=lite does not exist", "light"),
        ("regressor.hidden", [8, 0], "search_space.regressor.hidden=0 is too small", "from 1"),
        ("stem.out", [8, -1], "search_space.stem.out=-1 is out of range", "from 1"),
        ("head.1.out", [32, 99999], "search_space.head[1]", "from 1"),
        ("budget", {"mac": 1e6}, "search_space.budget.mac is no cost", "macs"),
        ("budget", {"macs": -1}, "search_space.budget.macs=-1 is not allowed", "above 0"),
        ("colour", 1, "search_space.colour", "no such option"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    path: str, value: Any, message: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = change(path, value)
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(node, sort_keys=False))
    monkeypatch.setattr(reading, "choice_file", lambda group, name: file)
    with pytest.raises(UserError) as caught:
        read_space(node)
    assert message in caught.value.message
    assert remedy in str(caught.value)
    told = caught.value.message.removeprefix(f"{file}, line ").partition(":")[0]
    if path != "colour" and value is not ...:
        assert told.isdecimal(), caught.value.message
        lines = file.read_text().splitlines()
        assert path.split(".")[0] in "\n".join(lines[: int(told)])


def test_the_line_is_that_of_the_wrong_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    text = "# mine\nname: mine\nstages:\n  - out: 24\n    stride: 2\n    blocks: {block: separable}\n"
    text += "  - out: [25, 26]\n    stride: 2\n    blocks:\n      - block: shuffle_v2\nregressor: {name: linear}\n"
    file.write_text(text)
    monkeypatch.setattr(reading, "choice_file", lambda group, name: file)
    with pytest.raises(UserError, match=r"line 7: search_space.stages\[1\].out=25 is in no network .*: out=25 is odd"):
        read_space(yaml.safe_load(text))


def test_every_space_says_what_it_is() -> None:
    for name in SPACES:
        assert node_of(name)["name"] == name
