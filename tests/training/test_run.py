"""A run goes on by its directory alone; what has changed is on record; a run that diverged says so."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.child_processes import ChildProcesses
from support.cli import compose
from support.small_run import assert_same, journal, options, result, run_folders, write_data

from hmr_light.backbones import complete
from hmr_light.config.run_config import read_run_config
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import UserError
from hmr_light.model.losses import LossTerm
from hmr_light.tracking.summary import summarize_run
from hmr_light.training.inputs import initial_model, open_inputs
from hmr_light.training.objectives import Objective
from hmr_light.training.run import train_run

SEED = random.randrange(10**6)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A home with data in it."""
    home = tmp_path / "home"
    write_data(home / "data", SEED)
    return home


def train(child_processes: ChildProcesses, home: Path, *arguments: str, status: int = 0, **start: Any) -> str:
    child = child_processes.start(*arguments, HMR_LIGHT_HOME=str(home), **start)
    assert child.wait() == status, child.said
    assert "Traceback" not in child.said
    return child.said


def test_a_moved_project_goes_on_and_a_finished_run_is_left_alone(
    child_processes: ChildProcesses, project: Path, tmp_path: Path
) -> None:
    begin = options(project / "data", project / "outputs")
    train(child_processes, project, *begin)
    expected = result(run_folders(project / "outputs")[0])
    shutil.rmtree(project / "outputs")

    train(child_processes, project, *begin, status=-9, at=("hmr_light.training.report:score", 1))
    moved = tmp_path / "moved"
    project.rename(moved)
    (run_dir,) = run_folders(moved / "outputs")
    train(child_processes, moved, "train", f"resume={run_dir}")
    assert_same(result(run_dir), expected)

    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    for resume in (["train", f"resume={run_dir}"], [*options(moved / "data", moved / "outputs"), "resume=auto"]):
        said = train(child_processes, moved, *resume)
        assert f"{run_dir} is finished: there is nothing to do" in said
        assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before
        assert run_folders(moved / "outputs") == [run_dir]


def test_what_has_changed_is_on_record(child_processes: ChildProcesses, project: Path) -> None:
    train(child_processes, project, *options(project / "data", project / "outputs", "trainer.epochs=1"))
    (run_dir,) = run_folders(project / "outputs")
    train(child_processes, project, "train", f"resume={run_dir}", "trainer.epochs=2", "optimizer.learning_rate=0.0005")
    summary = summarize_run(run_dir)
    assert set(summary.epochs) == {1, 2}
    recorded = [entry["values"] for entry in journal(run_dir) if entry["kind"] == "params"]
    assert recorded[1:] == [{"trainer.epochs": "2", "optimizer.learning_rate": "0.0005"}]
    assert recorded[0]["trainer.epochs"] == "1"
    config = read_run_config(run_dir)
    assert (config["trainer"]["epochs"], config["optimizer"]["learning_rate"]) == (2, 0.0005)
    last = torch.load(run_dir / "checkpoints" / "epoch-002.pt", weights_only=True)
    assert last["config"]["trainer"]["epochs"] == 2


def test_the_advice_after_a_loss_that_is_not_finite_can_be_followed(
    child_processes: ChildProcesses, project: Path
) -> None:
    begin = options(
        project / "data",
        project / "outputs",
        "optimizer.learning_rate=100",
        "optimizer.warmup_steps=0",
    )
    said = train(child_processes, project, *begin, status=2)
    (run_dir,) = run_folders(project / "outputs")
    assert summarize_run(run_dir).diverged
    assert (run_dir / "checkpoints" / "last.pt").is_file(), "the checkpoint that the message speaks of"
    (advice,) = (line.partition("For example: hmr-light ")[2] for line in said.splitlines() if "For example" in line)
    if "remove " in said:  # a state from which training diverges at once
        Path(said.partition("remove ")[2].split()[0]).unlink()
    train(child_processes, project, *advice.split())
    summary = summarize_run(run_dir)
    assert summary.finished
    assert not summary.diverged


def test_losses_that_are_wrong_or_all_off_are_refused_before_a_run_directory_exists(
    child_processes: ChildProcesses, project: Path
) -> None:
    terms = ("keypoints_2d", "keypoints_3d", "pose", "betas", "vertices", "camera")
    for more in (["loss.pose=-1"], [f"loss.{term}=0" for term in terms], ["loss.total=0"]):
        said = train(child_processes, project, *options(project / "data", project / "outputs", *more), status=2)
        assert "loss" in said
        assert "resume=" not in said
        assert not (project / "outputs").exists()


def test_the_loss_is_logged_by_step_and_the_best_epoch_so_far_by_epoch(
    child_processes: ChildProcesses, project: Path
) -> None:
    more = ("trainer.log_every=3", "trainer.epochs=3", "optimizer.learning_rate=0.05")
    train(child_processes, project, *options(project / "data", project / "outputs", *more))
    (run_dir,) = run_folders(project / "outputs")
    logged = [(entry["step"], entry["values"]) for entry in journal(run_dir) if entry["kind"] == "metrics"]
    by_step = {step: values["loss_by_step"] for step, values in logged if "loss_by_step" in values}
    assert list(by_step) == [3, 6, 9, 12]
    assert all(isinstance(value, float) for value in by_step.values())
    errors = {step: values["mpjpe_mm"] for step, values in logged if "mpjpe_mm" in values}
    best = {step: values for step, values in logged if "best/epoch" in values}
    assert sorted(best) == sorted(errors) == [1, 2, 3]
    for step, values in best.items():
        until = {epoch: error for epoch, error in errors.items() if epoch <= step}
        assert values["best/mpjpe_mm"] == min(until.values()) == errors[values["best/epoch"]]


@pytest.mark.parametrize(
    ("fault", "saved_every", "says", "saved"),
    [
        ("gradient", "1", "the weights are not finite after step 3 of epoch 1", 2),
        ("gradient", "2", "the loss is nan at epoch 1, step 4", 2),
        ("loss", "2", "the loss is inf at epoch 1, step 3", 2),
        ("loss", "null", "the loss is inf at epoch 1, step 3", 0),
    ],
)
def test_a_run_that_diverges_keeps_finite_weights_and_says_what_they_are_worth(
    fault: str, saved_every: str, says: str, saved: int, project: Path
) -> None:
    words = options(project / "data", project / "outputs", f"trainer.checkpoint_steps={saved_every}")[1:]
    config = compose("train", *words)
    config = replace(config, backbone=complete(config.backbone))
    calls = 0

    def losses(network: Any, batch: Any, progress: float) -> dict[str, LossTerm]:
        nonlocal calls
        calls += 1
        camera = network(batch["image"]).camera
        value = camera.square().sum()
        if calls == 3:
            value = value + (0 * camera.sum()).sqrt() if fault == "gradient" else value * torch.inf
        return {"all": LossTerm(value, value.new_ones(()))}

    with init_distributed("cpu") as distributed:
        inputs = open_inputs(config, distributed)
        model = initial_model(config, inputs.training)
        with pytest.raises(UserError) as told:
            train_run(config, model, Objective(losses), inputs)
    (run_dir,) = run_folders(project / "outputs")
    assert told.value.message.startswith(says)
    last = run_dir / "checkpoints" / "last.pt"
    # At once after the state of step 2: it may be beyond help, and the one before it is not.
    is_doubtful = (fault, saved_every) == ("loss", "2")
    assert ("sound" in told.value.remedy, f"remove {last}" in told.value.remedy) == (not is_doubtful, is_doubtful)
    state = torch.load(last, weights_only=True)
    assert (state["epoch"], state["step"]) == (0, saved)
    assert all(value.isfinite().all() for value in state["model"].values())
