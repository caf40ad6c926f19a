"""What a training run promises: the same result again, whatever the workers and processes, and when interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.child_processes import ChildProcesses
from support.cli import Command, compose

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.models import best_checkpoint
from hmr_light.commands.evaluate import run as evaluate
from hmr_light.commands.train import run
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


def assert_same(first: Any, second: Any) -> None:
    """Bit for bit, however nested."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - {"config", "images_per_second"}:
            assert_same(first[key], second[key])
    elif isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second


def journal_metrics(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [line["values"][name] for line in lines if line["kind"] == "metrics" and name in line["values"]]


def test_the_worker_count_changes_nothing(quick: list[str]) -> None:
    seed = f"seed={np.random.default_rng().integers(1000)}"
    folders = [run(compose("train", *quick, seed, f"data.workers={workers}")) for workers in (0, 2)]
    assert_same(state(folders[0]), state(folders[1]))


def test_another_seed_gives_another_result(quick: list[str]) -> None:
    first, second = (run(compose("train", *quick, "trainer.epochs=1", f"seed={seed}")) for seed in (0, 1))
    key = "regressor.fc1.weight"
    assert not torch.equal(state(first)["model"][key], state(second)["model"][key])


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    quick: list[str], home: Path, child_processes: ChildProcesses
) -> None:
    # tests/reliability has every other way to be interrupted.
    options = [*quick, "trainer.epochs=3"]
    whole = run(compose("train", *options, f"outputs={home}/whole"))

    # The same command, stopped by SIGTERM in the midst of an epoch, then continued.
    cut = [*options, f"outputs={home}/cut"]
    fifth_step = ("hmr_light.training.loop:forward", 5)
    child = child_processes.start("train", *cut, HMR_LIGHT_HOME=str(home), at=fifth_step, by=signal.SIGTERM)
    assert child.wait() == 130, child.said
    assert "resume=" in child.said
    assert state(next((home / "cut").rglob("hmr_light/*")))["epoch"] < 3

    continued = run(compose("train", *cut, "resume=auto"))
    assert_same(state(whole), state(continued))
    assert journal_metrics(whole, "mpjpe_mm") == journal_metrics(continued, "mpjpe_mm")
    # There is nothing left to do.
    assert run(compose("train", *cut, "resume=auto")) == continued
    assert_same(state(whole), state(continued))


def test_a_continued_run_must_be_the_same_run(quick: list[str]) -> None:
    folder = run(compose("train", *quick, "trainer.epochs=1"))
    with pytest.raises(UserError, match="another configuration: backbone"):
        run(compose("train", *quick, "backbone=resnet18", f"resume={folder}"))
    with pytest.raises(UserError, match=r"no config\.yaml"):
        run(compose("train", *quick, f"resume={folder.parent}"))


def test_two_processes_give_the_figures_of_one(quick: list[str], home: Path) -> None:
    # Without dropout, whose draws differ between processes by design, the sums alone differ in their order.
    options = [*quick, "backbone.adapter.dropout=0", "regressor.dropout=0"]
    alone = run(compose("train", *options, f"outputs={home}/alone"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "hmr_light"]
    result = subprocess.run(
        [*command, "train", *options, f"outputs={home}/together"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    (together,) = (home / "together" / "hmr_light").iterdir()
    for name in ("mpjpe_mm", "reconstruction_error_mm", "pve_mm", "loss/total", "loss/pose"):
        one, two = journal_metrics(alone, name), journal_metrics(together, name)
        assert len(one) == 2
        np.testing.assert_allclose(two, one, rtol=2e-4, err_msg=name)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_samples(quick: list[str], home: Path) -> None:
    with pytest.raises(UserError, match=r"loss is (nan|inf).*step \d+; samples \(set, index\): \(0, \d+\)"):
        run(compose("train", *quick, "optimizer.learning_rate=100", "optimizer.backbone_factor=1e6"))
    (folder,) = (home / "outputs" / "hmr_light").iterdir()
    for file in (folder / "checkpoints").glob("*.pt") if (folder / "checkpoints").exists() else []:
        for name, value in torch.load(file, weights_only=True)["model"].items():
            assert value.isfinite().all(), (file, name)


def test_the_mean_pose_is_a_run_like_any_other(quick: list[str]) -> None:
    folder = run(compose("train", *(o for o in quick if not o.startswith("backbone")), "experiment=mean_pose"))
    assert (folder / "checkpoints" / "epoch-000.pt").is_file()
    (mpjpe,) = journal_metrics(folder, "mpjpe_mm")
    assert 50 < mpjpe < 1000
    assert journal_metrics(folder, "parameters") == [0]


def test_few_labels_fine_tune_a_model_and_its_start_is_scored_too(
    quick: list[str], rendered: Path, tmp_path: Path
) -> None:
    network = {"backbone": {"name": "squeezenet1_1", "adapter": {"name": "pooled"}}, "regressor": {"name": "linear"}}
    config = {**network, "data": {"image_size": 64}, "body": {"name": "embedded"}}
    start = tmp_path / "start" / "checkpoints" / "epoch-001.pt"
    save_model(start, build_model(network), config, 1, {})
    labels = load_annotations(rendered / "train.npz").to_arrays()
    two_d = {key: labels[key] for key in ("imgname", "center", "scale", "part")}
    save_annotations(tmp_path / "people.npz", Annotations.from_arrays(two_d))
    own = [f"data.train.custom.annotations={tmp_path / 'people.npz'}", f"data.train.custom.images={rendered}"]
    few = ["experiment=few_labels", f"init={start}", *own, *quick, "backbone/adapter=pooled", "regressor=linear"]
    folder = run(compose("train", *few, "trainer.epochs=1"))

    before, after = journal_metrics(folder, "held_out/error_2d_percent")
    held_out = f"annotations: {tmp_path / 'people.npz'}, images: {rendered}, split: held_out"
    where = ["data=custom", f"+data.evaluation.held_out={{{held_out}}}", "protocol=keypoints_2d", "data.workers=0"]
    (scored,) = evaluate(compose("evaluate", f"checkpoint={start}", *where, "tracking=journal", "device=cpu"))
    assert before == pytest.approx(scored["held_out:keypoints_2d/error_2d_percent"], rel=1e-4)
    assert after != before
    assert sorted(path.name for path in (folder / "checkpoints").glob("epoch-*")) == ["epoch-000.pt", "epoch-001.pt"]
    assert best_checkpoint(str(folder), None).epoch == (0 if before < after else 1)
    for name in ("loss/teacher_rotations", "loss/keypoints_2d"):
        assert np.isfinite(journal_metrics(folder, name)).tolist() == [True]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["data.root=/nowhere"], "/nowhere/train.npz"),
        (["trainer.batch_size=49"], "more than the 48 training samples"),
        (["backbone.widht=2"], "backbone"),
        (["+backbone.weights_file=x"], "backbone"),
        (["backbone.weights=/nowhere/weights.pth"], "/nowhere/weights.pth"),
        (["trainer.device=cuda"], "finds no GPU"),
        (["outputs=/proc/nowhere"], "/proc/nowhere"),
        (["body=smpl"], "SMPL_NEUTRAL.pkl"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    quick: list[str], overrides: list[str], says: str, hmr_light: Command, home: Path
) -> None:
    if "trainer.device=cuda" in overrides and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = hmr_light("train", *quick, *overrides)
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "outputs").exists()


def test_the_run_folder_is_named_by_time_and_row(quick: list[str]) -> None:
    folder = run(compose("train", *quick, "trainer.epochs=1", "row='strange/row name'"))
    assert re.fullmatch(r"\d{6}-\d{6}-strange_row_name", folder.name)
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "journal.jsonl", "checkpoints", "train.log"}
