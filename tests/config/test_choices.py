"""The choices in `conf/`: which there are, and what they compose to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Command, compose

from hmr_light.config.choices import choices, compose_choice, compose_choices, groups_of, list_backbones, suggest
from hmr_light.config.schema import SCHEMAS


def test_folders_below_a_group_are_groups_but_for_those_of_experiments() -> None:
    assert "reference/hmr" in choices("experiment")
    assert not [name for name in choices("backbone") if "/" in name]
    assert {"conv", "linear", "logits", "pooled"} <= set(choices("backbone/adapter"))
    groups = groups_of("train")
    assert {"backbone/adapter", "data/augmentation"} <= groups.keys()
    assert (groups["backbone"], groups["experiment"]) == ("mobilenet_v2", None)
    assert not [group for group in groups if group.startswith("experiment/")]
    assert groups_of("table").keys() == {"tracking"}
    assert set(list_backbones()) == set(choices("backbone"))


@pytest.mark.parametrize(
    "group", ["data", "loss", "optimizer", "trainer", "experiment", "debug", "protocol", "regressor"]
)
def test_every_choice_makes_a_configuration_that_the_schema_accepts(group: str, home: Path) -> None:
    for name in choices(group):
        compose("train", f"{group}={name}")
    assert compose_choice("optimizer", "spin")["learning_rate"] == 5e-5


def test_a_choice_that_does_not_exist_gets_its_new_name_or_the_nearest() -> None:
    assert suggest("experiment", "squeezenet_100") == "It is called 'reference/squeezenet_100' now."
    assert suggest("data", "own") == "It is called 'custom' now."
    assert suggest("loss", "spni") == "Did you mean 'spin'?"
    assert suggest("backbone", "demo2", also=["demo"]) == "Did you mean 'demo'?"


def test_commands_of_the_schemas_have_configs_of_their_own() -> None:
    for command in SCHEMAS:
        assert groups_of(command) is not None


def test_debug_fast_goes_through_every_step_of_a_run_and_leaves_the_store_alone(
    hmr_light: Command, home: Path, rendered: Path
) -> None:
    options = ["debug=fast", "backbone=squeezenet1_1", f"data.root={rendered}", "trainer.device=cpu"]
    done = hmr_light("train", *options)
    assert done.returncode == 0, done.stderr
    (run,) = (home / "outputs" / "debug").iterdir()
    entries = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    assert any("mpjpe_mm" in entry["values"] for entry in entries if entry["kind"] == "metrics")
    assert (run / "predictions.png").is_file()
    assert not (home / "mlflow.db").exists()


def test_debug_overfit_is_evaluated_on_the_few_people_that_it_is_trained_on(home: Path) -> None:
    data = compose("train", "debug=overfit", "data.root=/x").data
    train, evaluation = data.train["synthetic"], data.evaluation["synthetic"]
    assert (train.annotations, train.limit) == (evaluation.annotations, evaluation.limit) == (Path("/x/train.npz"), 32)


def test_several_choices_are_composed_at_once_as_each_alone() -> None:
    names = ["squeezenet1_1", "mobilenet_v2_movenet", "stages"]
    assert compose_choices("backbone", names) == [compose_choice("backbone", name) for name in names]
