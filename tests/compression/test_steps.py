"""Chains of steps as a configuration describes them."""

from __future__ import annotations

from typing import Any

import pytest

from hmr_light.compression.chain import links
from hmr_light.compression.steps import read_steps, steps
from hmr_light.config.choices import choices, compose_choice
from hmr_light.errors import UserError


def test_a_choice_alone_is_a_chain_of_one() -> None:
    (step,) = read_steps({"name": "sparse", "steps": None, "keep": 0.5})
    assert (step.choice, step.options) == ("sparse", {"name": "sparse", "keep": 0.5})


def test_steps_take_the_options_of_the_node_of_their_files_and_their_own() -> None:
    node = {"name": "sparse", "keep": 0.5, "steps": ["sparse", {"name": "sparse", "keep": 0.25}]}
    assert [one.options["keep"] for one in read_steps(node)] == [0.5, 0.25]
    node = {"name": "chain", "steps": ["sparse", {"name": "sparse", "keep": 0.25}]}
    first, second = read_steps(node)
    assert first.options == {k: v for k, v in compose_choice("compression", "sparse").items() if k != "steps"}
    assert second.options == first.options | {"keep": 0.25}


@pytest.mark.parametrize("choice", choices("compression"))
def test_every_choice_can_be_read(choice: str) -> None:
    node = compose_choice("compression", choice)
    assert node["steps"] is None or "name" in node
    for step in read_steps(node):
        assert step.phases
        assert step.options["name"] in steps.names()


def test_runs_are_called_by_the_steps_so_far() -> None:
    chain = read_steps({"name": "sparse", "keep": 0.5, "steps": ["sparse", "sparse"]})
    assert [one.row for one in links(chain, "mobile", None)] == ["mobile-sparse", "mobile-sparse-sparse"]
    assert [one.row for one in links(chain, "mobile", "mine")] == ["mobile-sparse", "mine"]


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"name": "sparse", "steps": []}, "compression.steps is not a list of steps"),
        ({"name": "sparse", "steps": "sparse"}, "compression.steps is not a list of steps"),
        (
            {"name": "sparse", "steps": ["spars"]},
            "compression.steps[0]: there is no step spars\n  Did you mean 'sparse'?",
        ),
        ({"name": "sparse", "steps": [None]}, "compression.steps[0]: there is no step None"),
        ({"name": "sparse", "steps": [["sparse"]]}, "compression.steps[0]: there is no step"),
        ({"name": "chain", "steps": [{"name": "sparse", "keep": 3}]}, "compression.keep=3 is no share"),
        ({"name": "chain", "steps": ["int8", "sparse"]}, "no step can follow int8"),
        ({"name": "chain", "steps": ["int8", "int8"]}, "no step can follow int8"),
        ({"name": "chain", "steps": ["share", "sparse", "int8"]}, "compression.steps has share and int8"),
        ({"name": "chain", "steps": None}, "compression.name=chain does not exist"),
        ({"steps": None}, "compression.name is missing"),
    ],
)
def test_what_is_no_step_is_refused(node: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps(node)
    assert says in str(refused.value)
