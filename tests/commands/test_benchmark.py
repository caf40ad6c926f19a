"""Models side by side, from configs and from checkpoints, and the figures' way into the runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from support.cli import Command, compose

from hmr_light.checkpoints.format import save_model
from hmr_light.commands.benchmark import run
from hmr_light.config.choices import compose_choice
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.tracking import start_tracking

QUICK = ["rounds=3", "warmup=0", "device=cpu", "tracking=journal"]
SMALL = [*QUICK, "image_size=64"]


def benchmark(out: Path, *overrides: str) -> dict[str, Any]:
    run(compose("benchmark", *overrides, f"out={out}"))
    return json.loads(out.read_text())


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """A run as training leaves it: a journal, and two checkpoints of a small network."""
    folder = tmp_path / "outputs" / "run"
    nodes = {"backbone": compose_choice("backbone", "squeezenet1_1"), "regressor": {"name": "linear"}}
    config = {**nodes, "data": {"image_size": 80}, "row": "mine"}
    with start_tracking(folder, experiment="test", uri=None, run_name="mine"):
        for epoch in (1, 2):
            model = build_model(nodes)
            torch.nn.init.constant_(model.regressor.correction.bias, float(epoch))  # type: ignore[union-attr,arg-type]
            save_model(folder / "checkpoints" / f"epoch-{epoch:03d}.pt", model, config, epoch, {})
    return folder


def test_every_model_in_every_variant_and_setting(tmp_path: Path) -> None:
    found = benchmark(
        tmp_path / "out.json",
        *SMALL,
        "models=[squeezenet1_1,mobilenet_v3_reference]",
        "variants=[eager,folded+fused+channels_last,mesh]",
        "batch_sizes=[1,2]",
    )
    settings = [(row["model"], row["variant"], row["batch"]) for row in found["rows"]]
    assert len(settings) == len(set(settings)) == 2 * 3 * 2
    for row in found["rows"]:
        assert 0 < row["min_s"] <= row["median_s"] <= row["p95_s"]
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert 0 < row["cpu_share"] <= 1
        assert row["yardstick_ratio"] > 0
        if (row["model"], row["variant"]) == ("squeezenet1_1", "eager"):
            assert row["ratio_low"] == row["ratio"] == row["ratio_high"] == 1
    assert {"cpu", "device", "load_average_before", "environment", "rounds", "measured", "cpu_share"} <= found.keys()
    assert {"python", "torch", "hmr-light"} <= found["environment"].keys()
    assert found["reference"].startswith("squeezenet1_1 eager")


def test_a_larger_batch_and_a_larger_network_take_longer(tmp_path: Path) -> None:
    models = "models=[resnet50,shufflenet_v2_x0_5]"
    found = benchmark(tmp_path / "out.json", *QUICK, models, "image_size=128", "batch_sizes=[1,4]")
    # Not the time by the clock, which other processes make longer.
    times = {(row["model"], row["batch"]): row["cpu_s"] for row in found["rows"]}
    assert times["resnet50", 4] > 1.5 * times["resnet50", 1] > 1.5 * times["shufflenet_v2_x0_5", 1]


def test_experiments_are_models_too(tmp_path: Path) -> None:
    found = benchmark(tmp_path / "out.json", *SMALL, "models=[reference/mobilenetv3,mean_pose]")
    assert [row["model"] for row in found["rows"]] == ["reference/mobilenetv3", "mean_pose"]


def test_a_runs_figures_go_to_the_run(run_directory: Path, tmp_path: Path) -> None:
    found = benchmark(
        tmp_path / "out.json",
        *QUICK,
        f"models=[squeezenet1_1,{run_directory}]",
        "variants=[eager,folded+channels_last]",
        "log=true",
    )
    own = [row for row in found["rows"] if row["model"].startswith("mine (2)")]
    assert [(row["variant"], row["image_size"]) for row in own] == [("eager", 80), ("folded+channels_last", 80)]
    entries = [json.loads(line) for line in (run_directory / "journal.jsonl").read_text().splitlines()]
    (metrics,) = [entry for entry in entries if entry["kind"] == "metrics"]
    (checkpoint,) = [entry for entry in entries if entry["kind"] == "checkpoint"]
    (tags,) = [entry["values"] for entry in entries if entry["kind"] == "tags"]
    assert (metrics["step"], checkpoint["path"]) == (2, "checkpoints/epoch-002.pt")
    assert metrics["values"] == checkpoint["values"]
    assert metrics["values"]["inference_time_s"] == own[0]["median_s"]
    for row, variant in zip(own, ("eager", "folded-channels_last"), strict=True):
        prefix = f"benchmark/cpu/{variant}/batch_1/threads_1"
        for name in ("median_s", "p95_s", "ratio", "cpu_share", "yardstick_ratio"):
            assert metrics["values"][f"{prefix}/{name}"] == row[name]
    assert metrics["values"]["inference_ratio"] == own[0]["yardstick_ratio"]
    # MLflow takes no other characters.
    assert all(re.fullmatch(r"[\w\-. :/]+", name) for name in metrics["values"])
    assert tags["hmr_light.inference_device"] == "cpu"
    assert f"{own[0]['median_s']:.5f} s" in tags["hmr_light.inference_time"]


def test_a_checkpoint_is_a_model(run_directory: Path, tmp_path: Path) -> None:
    first = run_directory / "checkpoints" / "epoch-001.pt"
    found = benchmark(tmp_path / "out.json", *QUICK, f"models=[{first}]")
    assert found["rows"][0]["model"].startswith("mine (1)")
    journal = (run_directory / "journal.jsonl").read_text()
    assert "metrics" not in journal, "without log=true nothing is logged"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["models=[resnet51]"], "Did you mean 'resnet50'?"),
        (["models=[]"], "models is empty"),
        (["variants=[foldet]"], "Did you mean 'folded'?"),
        (["batch_sizes=[0]"], "batch_sizes=0"),
        (["threads=[0]"], "threads=0"),
        (["threads=2"], "threads=[…]"),
        (["rounds=1"], "rounds=1"),
        (["log=true", "models=[squeezenet1_1]"], "log=true, but no model"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        run(compose("benchmark", *SMALL, *overrides))
    assert says in str(caught.value)
    assert caught.value.remedy


def test_a_folder_without_checkpoints_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        run(compose("benchmark", *SMALL, f"models=[{tmp_path}]"))


def test_on_the_command_line_a_mistake_is_no_traceback(hmr_light: Command) -> None:
    result = hmr_light("benchmark", "variants=[foldet]")
    assert (result.returncode, result.stdout) == (2, "")
    assert "Did you mean 'folded'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_exported_file_is_measured_as_it_is_beside_models(exported: Path, tmp_path: Path) -> None:
    models = f"models=[squeezenet1_1,{exported}]"
    found = benchmark(tmp_path / "out.json", *QUICK, models, "variants=[eager,folded]", "threads=[1,2]")
    named = [(row["model"].partition(" ")[0], row["variant"], row["image_size"]) for row in found["rows"]]
    assert named == 2 * [
        ("squeezenet1_1", "eager", 224),
        ("squeezenet1_1", "folded", 224),
        ("small", "onnx-float32", 64),
    ]
    assert found["rows"][2]["ratio"] < 0.5  # of a network 20 times as large
