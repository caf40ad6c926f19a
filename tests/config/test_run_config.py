"""`train resume=RUN` takes the run's own configuration, wherever the project is now, and what is given beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest

from hmr_light.config import typed
from hmr_light.config.hints import hydra_quoted
from hmr_light.config.run_config import continue_run, evaluate_run, follow_checkpoint, read_run_config, write_run_config
from hmr_light.config.schema import EvaluateConfig, TrainConfig
from hmr_light.config.strict import flatten, plain
from hmr_light.paths import conf_dir


def resumed(run_dir: Path, *overrides: str) -> dict[str, Any]:
    """The options that `hmr-light train resume=RUN OVERRIDES…` runs with."""
    overrides = (f"resume={hydra_quoted(str(run_dir), literal=True)}", *overrides)
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = continue_run(hydra.compose("train", list(overrides)), overrides)
        return flatten(plain(typed(TrainConfig, config)))


def write_run(home: Path, *overrides: str) -> Path:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = plain(typed(TrainConfig, hydra.compose("train", list(overrides))))
    run_dir = Path(config["outputs"]) / "hmr_light" / "260101-120000-x"
    run_dir.mkdir(parents=True)
    write_run_config(run_dir, config)
    return run_dir


def started(network: dict[str, Any], *overrides: str) -> dict[str, Any]:
    """The options that `hmr-light train init=CHECKPOINT OVERRIDES…` runs with, of a checkpoint of this `network`."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = follow_checkpoint(hydra.compose("train", list(overrides)), overrides, network)
        return flatten(plain(typed(TrainConfig, config)))


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ([], {"backbone", "regressor", "size"}),
        (["experiment=demo"], {"backbone", "regressor"}),  # the preset chooses the size
        (["backbone=resnet18"], {"regressor", "size"}),
        (["backbone/adapter=pooled", "data.image_size=64"], {"regressor"}),
        (["experiment=mean_pose"], {"size"}),  # and the two nodes
        (["regressor=spin"], {"backbone", "size"}),  # also where it is the default
        (["data=coco", "seed=3"], {"backbone", "regressor", "size"}),
    ],
)
def test_a_run_has_the_network_that_it_starts_from_unless_another_is_chosen(
    home: Path, given: list[str], followed: set[str]
) -> None:
    network = {
        "backbone": {"name": "mobilenet_v2", "width": 0.75, "padding": "same", "weights": "movenet"},
        "regressor": {"name": "mlp", "hidden": [7, 8], "dropout": 0.25, "input_dropout": 0.125},
        "image_size": 192,
    }
    found = started(network, *given)
    assert (found.get("backbone.width") == 0.75) == ("backbone" in followed)
    assert found["backbone.weights"] is None, "all weights come from the checkpoint"
    assert (found.get("regressor.hidden") == [7, 8]) == ("regressor" in followed)
    assert (found["data.image_size"] == 192) == ("size" in followed)
    assert network["backbone"]["weights"] == "movenet"


def test_a_single_option_changes_the_network_that_a_run_starts_from(home: Path) -> None:
    network = {
        "backbone": {"name": "mobilenet_v2", "width": 0.75, "padding": "same"},
        "regressor": {"name": "spin", "hidden": 64, "dropout": 0.25},
        "image_size": 192,
    }
    found = started(network, "regressor.dropout=0.5", "backbone.width=0.5")
    assert {key: found[key] for key in ("regressor.dropout", "regressor.hidden", "backbone.width")} == {
        "regressor.dropout": 0.5,
        "regressor.hidden": 64,
        "backbone.width": 0.5,
    }
    assert found["backbone.padding"] == "same"


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ([], set()),
        (["trainer.epochs=20"], {"trainer.epochs"}),  # also where it is the default
        (["backbone.width=0.5", "seed=3"], {"backbone.width", "seed"}),
        (["backbone=mobilenet_v2"], set()),
        (["regressor.dropout=0.3"], {"regressor.dropout"}),
        (["data.root=/elsewhere"], {"data.root"}),
    ],
)
def test_the_runs_own_options_and_what_is_given_beside_them(home: Path, given: list[str], changed: set[str]) -> None:
    run_dir = write_run(home, "data=coco", "trainer.epochs=7", "regressor=linear", "loss.pose=3")
    before = flatten(read_run_config(run_dir))
    found = differences(before, resumed(run_dir, *given)) - {"resume"}
    paths = {key for key in before if key.startswith("data.") and key.endswith(("annotations", "images"))}
    assert found - paths == changed
    assert bool(found & paths) == ("data.root=/elsewhere" in given)


def test_another_choice_is_seen(home: Path) -> None:
    run_dir = write_run(home, "backbone=resnet18")
    before = flatten(read_run_config(run_dir))
    assert differences(before, resumed(run_dir)) == {"resume"}
    assert differences(before, resumed(run_dir, "backbone=resnet18")) == {"resume"}
    # The default, but not the run's.
    assert "backbone.name" in differences(before, resumed(run_dir, "backbone=mobilenet_v2"))


def test_a_home_that_was_moved_is_followed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(home)
    assert str(home) not in (run_dir / "config.yaml").read_text()
    monkeypatch.setenv("HMR_LIGHT_HOME", "/other place")
    values = read_run_config(run_dir)
    assert values["data"]["train"]["synthetic"]["annotations"] == "/other place/data/synthetic/train.npz"
    assert values["tracking"]["uri"] == "sqlite:////other place/mlflow.db"


def test_data_that_were_moved_together_with_the_run_are_found(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "train.npz").write_bytes(b"")
    run_dir = write_run(home, f"outputs={project}/runs", f"data.root={project}/data", "init=/gone.pt")
    shutil.move(project, tmp_path / "moved")
    values = read_run_config(tmp_path / "moved" / run_dir.relative_to(project))
    assert values["data"]["root"] == str(tmp_path / "moved" / "data")
    assert values["data"]["train"]["synthetic"]["annotations"] == str(tmp_path / "moved" / "data" / "train.npz")
    assert values["data"]["evaluation"]["synthetic"]["annotations"] == str(project / "data" / "val.npz")
    assert values["init"] == "/gone.pt"


def evaluated(run_dir: Path, *overrides: str) -> EvaluateConfig:
    """The options that `hmr-light evaluate run=RUN OVERRIDES…` runs with."""
    overrides = (f"run={hydra_quoted(str(run_dir), literal=True)}", *overrides)
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return typed(EvaluateConfig, evaluate_run(hydra.compose("evaluate", list(overrides)), overrides, run_dir))


def test_a_run_is_evaluated_on_its_own_sets_unless_others_are_given(home: Path, tmp_path: Path) -> None:
    sets = [
        f"+data.evaluation.mine={{annotations: {tmp_path}/a.npz, images: {tmp_path}}}",
        "~data.evaluation.synthetic",
    ]
    run_dir = write_run(home, f"data.root={tmp_path}", "protocol=h36m_p1", "data.workers=0", *sets)
    own = evaluated(run_dir)
    assert {name: str(one.annotations) for name, one in own.data.evaluation.items()} == {"mine": f"{tmp_path}/a.npz"}
    assert (own.data.root, own.data.workers, own.protocol) == (tmp_path, 0, {"name": "h36m_p1"})

    moved = evaluated(run_dir, "data.root=/elsewhere", "data.workers=3", "protocol=lsp14")
    assert str(moved.data.evaluation["mine"].annotations) == "/elsewhere/a.npz"
    assert (moved.data.workers, moved.protocol) == (3, {"name": "lsp14"})

    given = evaluated(run_dir, "data=synthetic_test", "data.root=/there")
    assert {name: str(one.annotations) for name, one in given.data.evaluation.items()} == {
        "synthetic_test": "/there/test.npz"
    }
    assert given.protocol == {"name": "lsp14"}
    (run_dir / "config.yaml").unlink()
    assert list(evaluated(run_dir).data.evaluation) == ["synthetic"]


def test_a_home_whose_name_looks_like_a_reference_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "it's ${seed} {x} \\${y}"
    home.mkdir()
    monkeypatch.setenv("HMR_LIGHT_HOME", str(home))
    run_dir = write_run(home)
    assert resumed(run_dir)["outputs"] == str(home / "outputs")
    assert evaluated(run_dir).data.root == home / "data" / "synthetic"
