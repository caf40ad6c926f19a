"""What goes wrong around a run (signals, a full disk, a dead loader, damaged files) ends it with one clear message, and
the run goes on from there to the same end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from support.child_processes import Child, ChildProcesses
from support.small_run import assert_same, journal, options, result, run_folders, write_data

SEED = random.randrange(10**6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("tiny"), SEED)


@pytest.fixture(scope="module")
def whole(child_processes: ChildProcesses, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run ends with that nothing has happened to."""
    outputs = tmp_path_factory.mktemp("whole")
    ended(child_processes.start(*options(data, outputs)), 0)
    return result(run_folders(outputs)[0])


def ended(child: Child, status: int) -> str:
    """Its message, once it has ended with this status and without a traceback."""
    assert child.wait() == status, child.said
    assert "Traceback" not in child.said
    return child.said


def wait_for(outputs: Path, pattern: str, child: Child) -> Path:
    while not (found := list(outputs.rglob(pattern))):
        time.sleep(0.005)
        assert "Traceback" not in child.said
    return found[0]


def test_a_request_to_stop_is_met_after_the_step(
    child_processes: ChildProcesses, data: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    # One run, stopped in each way once; the last time while it evaluates, if that is what it is doing then.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        child = child_processes.start(*options(data, tmp_path, "resume=auto", "data.workers=1"))
        while child.phase in ("start", "tracking", "end"):
            time.sleep(0.002)
        asked = time.monotonic()
        # To the whole group, as a terminal and a batch system do it: the loaders get it too.
        os.killpg(child.pid, number)
        if child.wait() == 0:
            break
        print(f"\n{number.name}: ended after {time.monotonic() - asked:.1f} s")
        assert "hmr-light: stopped." in child.said, child.said
        assert "Traceback" not in child.said
        assert f"resume={run_folders(tmp_path)[0]}" in child.said
    assert journal(run_folders(tmp_path)[0])[-1]["status"] in ("KILLED", "FINISHED")
    child = child_processes.start(*options(data, tmp_path, "resume=auto"))
    ended(child, 0)
    assert_same(result(run_folders(tmp_path)[0]), whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_a_request_to_stop_before_the_first_step(
    number: int, child_processes: ChildProcesses, data: Path, tmp_path: Path
) -> None:
    child = child_processes.start(*options(data, tmp_path), at=("hmr_light.training.run:describe_run", 1), by=number)
    assert child.wait() == 130, child.said
    assert "hmr-light: stopped." in child.said
    assert "Traceback" not in child.said


def test_a_request_to_stop_ends_a_sweep_and_not_only_the_run_at_hand(
    child_processes: ChildProcesses, data: Path, tmp_path: Path
) -> None:
    sweep = ("seed=0,1,2", "trainer.epochs=500", f"hydra.sweep.dir={tmp_path / 'sweep'}", "-m")
    child = child_processes.start(*options(data, tmp_path, *sweep))
    wait_for(tmp_path, "last.pt", child)
    child.kill(signal.SIGTERM)
    assert child.wait() == 130, child.said
    assert "hmr-light: stopped. Saved after" in child.said
    assert "Traceback" not in child.said
    (folder,) = run_folders(tmp_path)
    assert journal(folder)[-1]["status"] == "KILLED"


@pytest.mark.parametrize("damage", ["cut", pytest.param("changed", marks=pytest.mark.slow)])
def test_the_state_before_is_used_when_the_last_is_damaged(
    damage: str, child_processes: ChildProcesses, data: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    child = child_processes.start(*options(data, tmp_path), at=("hmr_light.training.report:score", 2))
    assert child.wait() == -9
    last = run_folders(tmp_path)[0] / "checkpoints" / "last.pt"
    content = bytearray(last.read_bytes())
    if damage == "cut":
        del content[random.Random(SEED).randrange(len(content)) :]
    else:
        content[len(content) // 2] ^= 1 << random.Random(SEED).randrange(8)
    last.write_bytes(content)
    said = ended(child_processes.start(*options(data, tmp_path, "resume=auto")), 0)
    assert "warning: " in said
    assert "last.pt cannot be read as a checkpoint" in said
    assert "going on from previous.pt" in said
    assert_same(result(run_folders(tmp_path)[0]), whole)


def test_a_loader_killed_by_the_system_is_said_and_the_run_goes_on(
    child_processes: ChildProcesses, data: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    # It waits while one of its loaders is killed, so that it has not ended before.
    fourth_step = ("hmr_light.training.loop:forward", 4)
    child = child_processes.start(*options(data, tmp_path, "data.workers=2"), at=fourth_step, by=signal.SIGSTOP)
    child.wait_until_stopped()
    loaders = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(loaders[0]), signal.SIGKILL)
    child.kill(signal.SIGCONT)
    said = ended(child, 2)
    assert "a loader process died (signal Killed)" in said
    assert "resume=" in said
    ended(child_processes.start(*options(data, tmp_path, "resume=auto")), 0)
    assert_same(result(run_folders(tmp_path)[0]), whole)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of that size."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ("24k", "cannot write"),  # no room even for the journal
        ("5m", "cannot write"),  # for a state, not for two
    ],
)
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(
    size: str, says: str, child_processes: ChildProcesses, data: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", size) as disk:
        said = ended(child_processes.start(*options(data, disk)), 2)
        assert says in said
        assert "Free some space" in said
        assert len(said.splitlines()) < 12, said
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        ended(child_processes.start(*options(data, disk, "resume=auto")), 0)
        assert_same(result(run_folders(disk)[0]), whole)


def test_a_folder_that_cannot_be_written_is_said(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "50m") as disk:
        child = child_processes.start(*options(data, disk), at=("hmr_light.training.report:score", 1))
        assert child.wait() == -9
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "cannot" in ended(child_processes.start(*options(data, disk, "resume=auto")), 2)
        assert "cannot make a run directory" in ended(child_processes.start(*options(data, disk)), 2)


@pytest.mark.slow
def test_too_little_shared_memory_is_said(data: Path, tmp_path: Path) -> None:
    from support.child_processes import open_child_processes

    # In a mount namespace of its own, so that no other process loses its shared memory.
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /dev/shm"]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a /dev/shm of its own needs root")
    with open_child_processes(
        tmp_path, "unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm; "$@"', "sh"
    ) as own:
        said = ended(own.start(*options(data, tmp_path / "outputs", "data.workers=1")), 2)
    assert "too little shared memory" in said
    assert "data.workers=0" in said


def test_a_second_process_is_kept_out_of_a_run(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    child = child_processes.start(*options(data, tmp_path, "trainer.epochs=500"))
    folder = wait_for(tmp_path, "last.pt", child).parents[1]
    said = ended(child_processes.start(*options(data, tmp_path, "trainer.epochs=500", f"resume={folder}")), 2)
    child.kill(signal.SIGTERM)
    assert "is being trained by another process" in said
    assert child.wait() == 130


def test_bad_samples_are_named_counted_and_bounded(child_processes: ChildProcesses, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", SEED)
    (data / "train003.jpg").write_bytes((data / "train003.jpg").read_bytes()[:500])
    (data / "train011.jpg").write_bytes(b"")
    results = []
    for workers in (0, 2):
        outputs = tmp_path / str(workers)
        child = child_processes.start(
            *options(data, outputs, "trainer.max_bad_fraction=0.2", f"data.workers={workers}")
        )
        said = ended(child, 0)
        (folder,) = run_folders(outputs)
        assert f"2 samples cannot be used so far: see {folder / 'bad_samples.csv'}" in said
        assert journal_figure(folder, "bad_samples")[-1] == 2
        results.append(result(folder))
    assert "train.synthetic,3,train003.jpg," in results[0]["bad"]
    assert "train.synthetic,11,train011.jpg," in results[0]["bad"]
    assert_same({**results[0], "bad": ""}, {**results[1], "bad": ""})
    assert results[0]["bad"] == results[1]["bad"]

    said = ended(child_processes.start(*options(data, tmp_path / "strict")), 2)
    assert "of the 17 samples of 'train.synthetic' cannot be used, more than trainer.max_bad_fraction=0.01" in said
    assert "bad_samples.csv names them all" in said
    said = ended(child_processes.start(*options(data, tmp_path / "error", "trainer.on_bad_sample=error")), 2)
    assert "is not an image, or a damaged one" in said


def test_a_bad_validation_sample_is_an_error_unless_it_is_left_out(
    child_processes: ChildProcesses, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data", SEED)
    (data / "val002.jpg").write_bytes(b"not an image")
    said = ended(child_processes.start(*options(data, tmp_path / "error", "trainer.epochs=1")), 2)
    assert "val002.jpg is not an image" in said
    more = ("trainer.epochs=1", "trainer.on_bad_validation_sample=skip", "trainer.max_bad_fraction=0.5")
    # The run that the error has ended goes on where it was, once it is told to leave the sample out.
    ended(child_processes.start(*options(data, tmp_path / "error", *more, "resume=auto")), 0)
    (folder,) = run_folders(tmp_path / "error")
    assert journal_figure(folder, "synthetic/dropped") == [1]
    assert "evaluation.synthetic,2,val002.jpg," in (folder / "bad_samples.csv").read_text()


def journal_figure(folder: Path, name: str) -> list[float]:
    entries = [entry for entry in journal(folder) if entry["kind"] == "metrics"]
    return [entry["values"][name] for entry in entries if name in entry["values"]]


@pytest.mark.slow
def test_of_the_checkpoints_the_newest_the_best_and_the_evaluated_stay(
    child_processes: ChildProcesses, data: Path, tmp_path: Path
) -> None:
    more = ("trainer.epochs=5", "trainer.keep=1", "trainer.checkpoint_steps=null", "optimizer.learning_rate=0.1")
    ended(child_processes.start(*options(data, tmp_path, *more)), 0)
    (folder,) = run_folders(tmp_path)
    errors = journal_figure(folder, "mpjpe_mm")
    best = 5 - errors[::-1].index(min(errors))
    assert {path.name for path in (folder / "checkpoints").glob("epoch-*.pt")} == {
        "epoch-005.pt",
        f"epoch-{best:03d}.pt",
    }


def test_annotations_that_have_changed_end_a_continuation(child_processes: ChildProcesses, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", SEED)
    child = child_processes.start(*options(data, tmp_path / "runs"), at=("hmr_light.training.report:score", 1))
    assert child.wait() == -9
    write_data(data, SEED + 1)
    said = ended(child_processes.start(*options(data, tmp_path / "runs", "resume=auto")), 2)
    assert "the annotations have changed since" in said


def test_a_crash_is_on_record_with_its_error(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    child = child_processes.start(
        *options(
            data,
            tmp_path,
            "optimizer.learning_rate=100",
            "optimizer.backbone_factor=1e6",
            "optimizer.warmup_steps=0",
            "trainer.checkpoint_steps=null",  # before a state is saved its weights are judged, and then not the loss
        )
    )
    assert "the loss is" in ended(child, 2)
    (folder,) = run_folders(tmp_path)
    last = journal(folder)[-1]
    assert (last["kind"], last["status"]) == ("status", "FAILED")
    assert "the loss is" in last["error"]
    state = (
        torch.load(folder / "checkpoints" / "last.pt", weights_only=True) if (folder / "checkpoints").exists() else {}
    )
    assert all(value.isfinite().all() for value in state.get("model", {}).values())
