"""The way of inference times into runs: a whole experiment in turns, and no time that replaces a better one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.cli import compose
from support.stores import store_in

from hmr_light.checkpoints.format import Checkpoint, save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands import benchmark, table
from hmr_light.commands.inference_times import log_times, models_of
from hmr_light.config.choices import compose_choice
from hmr_light.cost.benchmark import Entry, Measured
from hmr_light.cost.latency import Latency
from hmr_light.cost.paired import Ratio
from hmr_light.cost.variants import Runner
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.tracking import find_run_dir, start_tracking
from hmr_light.tracking.replay import replay
from hmr_light.tracking.store import default_uri

CPU = torch.device("cpu")


def trained(home: Path, name: str, image_size: int = 64) -> Path:
    """A run with a checkpoint that stands in the store."""
    folder = home / "outputs" / "mine" / name
    config = {
        "backbone": compose_choice("backbone", "squeezenet1_1"),
        "regressor": {"name": "linear"},
        "data": {"image_size": image_size},
        "row": name,
    }
    model = build_model({key: config[key] for key in ("backbone", "regressor")})
    with start_tracking(folder, experiment="mine", uri=None, run_name=name) as tracker:
        tracker.tags({"hmr_light.row": name})
        path = folder / "checkpoints" / "epoch-001.pt"
        kept = save_model(path, model, config, 1, {})
        figures = {"mpjpe_mm": 90.0, "val/mpjpe_mm": 90.0}
        tracker.metrics(figures, step=1)
        tracker.checkpoint(path, epoch=1, saved=kept.saved, metrics=figures)
    replay(folder, store_in(home))
    return folder


def written(run_dir: Path) -> dict[str, Any]:
    """The newest values of the journal's metrics and tags."""
    values: dict[str, Any] = {}
    for line in (run_dir / "journal.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] in ("metrics", "tags"):
            values |= entry["values"]
    return values


def measured(checkpoint: Checkpoint, median_s: float, share: float | None) -> list[Measured]:
    entry = Entry("mine", "eager", 64, Runner(checkpoint.build(), frozenset(), CPU, None))
    latency = Latency(
        median_s=median_s, p95_s=median_s, min_s=median_s, cpu_s=median_s, cpu_share=share, ratio=2.0, batch=1,
        threads=1, device="cpu", cpu="some", load_average=0.0,
    )  # fmt: skip
    return [Measured(entry, latency, Ratio(1.0, 1.0, 1.0))]


def test_a_contended_time_never_replaces_a_better_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = trained(home, "a")
    checkpoint = load_checkpoint(run_dir / "checkpoints" / "epoch-001.pt")

    def log(median_s: float, share: float | None) -> tuple[float, str, bool]:
        capsys.readouterr()
        log_times(checkpoint, measured(checkpoint, median_s, share), CPU, None)
        said = written(run_dir)
        assert said["inference_time_s"] == said["benchmark/cpu/eager/batch_1/threads_1/median_s"]
        mark = said["hmr_light.inference_time"][0]
        return said["inference_time_s"], mark, "keeps the time" in capsys.readouterr().err

    assert log(0.050, 0.20) == (0.050, "~", False), "a run without a time takes any, marked"
    assert log(0.042, 0.25) == (0.042, "~", False), "of two marked ones the better"
    assert log(0.060, 0.24) == (0.042, "~", True)
    assert log(0.0056, 0.99) == (0.0056, "0", False)
    assert log(0.042, 0.25) == (0.0056, "0", True)
    assert log(0.0057, 0.95) == (0.0057, "0", False), "of two good ones the newer"


def test_a_time_from_before_shares_were_measured_stays(home: Path) -> None:
    run_dir = trained(home, "a")
    checkpoint = load_checkpoint(run_dir / "checkpoints" / "epoch-001.pt")
    with start_tracking(run_dir, experiment="mine", uri=None, run_name="a") as tracker:
        tracker.metrics({"inference_time_s": 0.0056}, step=0)
    log_times(checkpoint, measured(checkpoint, 0.042, 0.25), CPU, None)
    assert written(run_dir)["inference_time_s"] == 0.0056
    log_times(checkpoint, measured(checkpoint, 0.007, 0.95), CPU, None)
    assert written(run_dir)["inference_time_s"] == 0.007


def test_a_whole_experiment_is_measured_in_turns_and_written_to_its_runs(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [trained(home, "a"), trained(home, "b", image_size=96), trained(home, "gone")]
    (runs[2] / "checkpoints" / "epoch-001.pt").unlink()
    options = ("tracking.experiment=mine", "rounds=3", "warmup=0", "device=cpu", f"tracking.uri={default_uri(home)}")
    benchmark.run(compose("benchmark", *options, f"out={tmp_path / 'out.json'}"))
    found = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["model"][:3], row["image_size"]) for row in found] == [("a (", 64), ("b (", 96)]
    assert "gone (1)" in capsys.readouterr().err
    for row, run_dir in zip(found, runs, strict=False):
        assert written(run_dir)["inference_time_s"] == row["median_s"]
        assert written(run_dir)["inference_ratio"] == row["yardstick_ratio"]
    assert "inference_time_s" not in written(runs[2])

    for run_dir in runs:
        replay(run_dir, default_uri(home))
    table.run(compose("table", "tracking.experiment=mine", f"tracking.uri={default_uri(home)}", "format=json"))
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    for row, name in zip(found, "ab", strict=True):
        assert rows[name]["inference_ratio"] == row["yardstick_ratio"]
        assert rows[name]["inference_time_mark"] == ("~" if row["cpu_share"] < 0.9 else "")


def test_checkpoints_are_found_in_a_home_that_was_moved_if_they_are_the_same_files(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = json.loads((trained(home, "a") / "mlflow.json").read_text())["run_id"]
    trained(home, "b")
    moved = home.rename(home.with_name("moved"))
    monkeypatch.setenv("HMR_LIGHT_HOME", str(moved))
    other = moved / "outputs" / "mine" / "b" / "checkpoints" / "epoch-001.pt"
    other.write_bytes(other.read_bytes() + b"0")
    uri = default_uri(moved)
    tracking = compose("benchmark", "tracking.experiment=mine", f"tracking.uri={uri}").tracking
    assert models_of(tracking) == [str(moved / "outputs" / "mine" / "a" / "checkpoints" / "epoch-001.pt")]
    assert "b (1)" in capsys.readouterr().err
    run_dir = moved / "outputs" / "mine" / "a"
    assert find_run_dir(run_id, uri) == run_dir
    shutil.copy(run_dir.with_name("b") / "journal.jsonl", run_dir)
    with pytest.raises(UserError, match="is not here"):
        find_run_dir(run_id, uri)


def test_an_experiment_of_which_nothing_is_here_is_named(home: Path) -> None:
    (trained(home, "a") / "checkpoints" / "epoch-001.pt").unlink()
    with pytest.raises(UserError, match="no checkpoint of the experiment 'mine' is here"):
        benchmark.run(compose("benchmark", "tracking.experiment=mine", f"tracking.uri={default_uri(home)}"))
    with pytest.raises(UserError, match="models= and experiment= are both given"):
        compose("benchmark", "tracking.experiment=mine", "models=[resnet18]")
