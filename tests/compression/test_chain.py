"""A chain of compression from the command line: its runs, their lineage, and that it survives being killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.child_processes import ChildProcesses
from support.small_run import assert_same, journal, options, result, run_folders, write_data

from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config.run_config import read_run_config
from hmr_light.training.provenance import file_sha256


@pytest.fixture(scope="module")
def parent(child_processes: ChildProcesses, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, beside its data."""
    home = tmp_path_factory.mktemp("parent")
    write_data(home / "data")
    child = child_processes.start(*options(home / "data", home / "outputs", "trainer.epochs=1"))
    assert child.wait() == 0, child.said
    return run_folders(home / "outputs")[0]


def arguments(parent: Path, outputs: Path, *more: str) -> list[str]:
    return [
        "compress",
        f"run={parent}",
        "compression=sparse",
        "compression.steps=[sparse,{name: sparse, keep: 0.2}]",
        "calibration.images=12",
        "calibration.batch_size=4",
        "trainer.epochs=1",
        "trainer.batch_size=4",
        "trainer.checkpoint_steps=2",
        "trainer.device=cpu",
        "trainer.threads=1",
        "tracking=journal",
        f"outputs={outputs}",
        *more,
    ]


def compress(child_processes: ChildProcesses, *words: str, status: int = 0, **start: Any) -> str:
    child = child_processes.start(*words, **start)
    assert child.wait() == status, child.said
    assert "Traceback" not in child.said
    return child.said


@pytest.fixture(scope="module")
def whole(child_processes: ChildProcesses, parent: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The runs of an undisturbed chain."""
    outputs = tmp_path_factory.mktemp("whole")
    compress(child_processes, *arguments(parent, outputs))
    return run_folders(outputs)


@pytest.mark.parametrize("step", ["prune", "int8"])
def test_what_was_compressed_alone_is_trained_on_or_refused(
    step: str, child_processes: ChildProcesses, parent: Path, tmp_path: Path
) -> None:
    words = (f"compression={step}", "compression.steps=null", "trainer.epochs=0")
    compress(child_processes, *arguments(parent, tmp_path, *words))
    (run_dir,) = run_folders(tmp_path)
    before = journal(run_dir)
    train_on = ("train", f"resume={run_dir}", "trainer.epochs=1")
    if step == "int8":
        assert "its weights are integers" in compress(child_processes, *train_on, status=2)
        assert journal(run_dir) == before
        return
    compress(child_processes, *train_on)
    first, last = (load_checkpoint(path) for path in sorted((run_dir / "checkpoints").glob("epoch-*.pt")))
    assert (first.epoch, last.epoch) == (0, 1)
    assert first.transforms == last.transforms != []
    changed = [not torch.equal(value, last.state[name]) for name, value in first.state.items()]
    assert any(changed)


def test_a_run_that_has_no_compressed_model_is_not_trained(
    child_processes: ChildProcesses, parent: Path, tmp_path: Path
) -> None:
    words = ("compression=prune", "compression.steps=null", "trainer.epochs=0")
    compress(child_processes, *arguments(parent, tmp_path, *words))
    (run_dir,) = run_folders(tmp_path)
    (run_dir / "checkpoints" / "epoch-000.pt").unlink()
    said = compress(child_processes, "train", f"resume={run_dir}", "trainer.epochs=1", status=2)
    assert "resume=auto" in said
    assert not list((run_dir / "checkpoints").glob("*.pt"))


def test_each_step_is_a_run_with_its_parent(parent: Path, whole: list[Path]) -> None:
    assert [one.name[14:] for one in whole] == ["mobilenet_v1-sparse", "mobilenet_v1-sparse-sparse"]
    before = parent
    for number, run_dir in enumerate(whole, 1):
        (path,) = (run_dir / "checkpoints").glob("epoch-*.pt")
        (origin,) = (before / "checkpoints").glob("epoch-*.pt")
        tags = {}
        for entry in journal(run_dir):
            tags |= entry["values"] if entry["kind"] == "tags" else {}
        assert tags["hmr_light.parent_run"] == before.name
        assert tags["hmr_light.parent_checkpoint"] == file_sha256(origin)
        assert read_run_config(run_dir)["compressed"]["parent"] == file_sha256(origin)
        checkpoint = load_checkpoint(path)
        assert [one["name"] for one in checkpoint.transforms] == ["sparse"] * number
        weights = [one.weight for one in checkpoint.build().modules() if type(one) is torch.nn.Linear]
        share = sum(int((one != 0).sum()) for one in weights) / sum(one.numel() for one in weights)
        assert share == pytest.approx(0.33 if number == 1 else 0.2, abs=0.01)
        assert any("mpjpe_mm" in entry["values"] for entry in journal(run_dir) if entry["kind"] == "metrics")
        before = run_dir


@pytest.mark.parametrize(
    "at",
    [
        ("hmr_light.compression.chain:recalibrate", 2),
        pytest.param(("hmr_light.training.report:score", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.compression.chain:recalibrate", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.training.run:describe_run", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.training.run:describe_run", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.checkpoints.format:save_last", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.training.loop:forward", 6), marks=pytest.mark.slow),
        pytest.param(("hmr_light.checkpoints.format:save_model", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.tracking.tracker:Tracker.finish", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.tracking.tracker:Tracker.finish", 2), marks=pytest.mark.slow),
    ],
)
def test_a_chain_that_was_killed_ends_as_an_undisturbed_one(
    at: tuple[str, int], child_processes: ChildProcesses, parent: Path, whole: list[Path], tmp_path: Path
) -> None:
    compress(child_processes, *arguments(parent, tmp_path), status=-9, at=at)
    compress(child_processes, *arguments(parent, tmp_path, "resume=auto"))
    ended = [one for one in run_folders(tmp_path) if list((one / "checkpoints").glob("epoch-*.pt"))]
    assert len(ended) == len(whole)
    for one, other in zip(ended, whole, strict=True):
        assert_same(result(one), result(other))
    assert "is finished" in compress(child_processes, *arguments(parent, tmp_path, "resume=auto"))
    assert len(run_folders(tmp_path)) == len(ended), "nothing is done twice"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["compression.steps=[{name: sparse, layers: {nothing: 0.5}}]"], "compression.layers names nothing"),
        (["calibration.images=1"], "calibration needs two images or more"),
    ],
)
def test_a_mistake_is_told_and_leaves_nothing(
    more: list[str], says: str, child_processes: ChildProcesses, parent: Path, tmp_path: Path
) -> None:
    said = compress(child_processes, *arguments(parent, tmp_path, *more), status=2)
    assert says in said
    assert run_folders(tmp_path) == []
