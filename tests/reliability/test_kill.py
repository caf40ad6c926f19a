"""A run that was killed, anywhere and any number of times, ends as one that was not: bit for bit, on CPUs."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.child_processes import Child, ChildProcesses
from support.ports import free_port
from support.small_run import assert_same, options, result, run_folders, write_data

SEED = random.randrange(10**6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("tiny"), SEED)


@pytest.fixture(scope="module")
def whole(
    child_processes: ChildProcesses, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], float]:
    """What the uninterrupted run ends with, and how long it took."""
    return uninterrupted(child_processes, data, tmp_path_factory.mktemp("whole"))


def uninterrupted(
    child_processes: ChildProcesses, data: Path, outputs: Path, *more: str
) -> tuple[dict[str, Any], float]:
    started = time.monotonic()
    child = child_processes.start(*options(data, outputs, *more))
    assert child.wait(600) == 0, child.said
    return result(run_folders(outputs)[0]), time.monotonic() - started


def finish(child_processes: ChildProcesses, data: Path, outputs: Path, *more: str) -> dict[str, Any]:
    """Let the killed run go on to its end; what it ends with."""
    child = child_processes.start(*options(data, outputs, "resume=auto", *more))
    assert child.wait(600) == 0, child.said
    folder = run_folders(outputs)[0]  # one that was killed after its last word is done, and another began
    assert not list((folder / "checkpoints").glob(".*")), "what a killed process has left is removed"
    return result(folder)


def kill_at_random(
    child_processes: ChildProcesses,
    data: Path,
    expected: dict[str, Any],
    seconds: float,
    tmp_path: Path,
    kills: int,
    *more: str,
) -> Counter[str]:
    """Kill runs at random moments, each again and again until it has ended; returns how many died in which phase."""
    draw = random.Random(SEED)
    phases: Counter[str] = Counter()
    number = 0
    while sum(phases.values()) < kills:
        child = child_processes.start(*options(data, tmp_path / str(number), "resume=auto", *more))
        # Most of so short a run is its beginning: of five kills, four wait until that is over.
        if draw.random() < 0.8:
            while child.phase == "start" and not child.has_ended():
                time.sleep(0.005)
        try:
            status = child.wait(draw.uniform(0, 0.5) * seconds)
        except TimeoutError:
            child.kill()
            status = child.wait()
        if status == 0:  # it was quicker
            assert_same(result(run_folders(tmp_path / str(number))[0]), expected)
            number += 1
            continue
        assert status == -9, child.said
        phases[child.phase] += 1
    assert_same(finish(child_processes, data, tmp_path / str(number), *more), expected)
    return phases


def test_five_kills_at_random_moments(
    child_processes: ChildProcesses, data: Path, whole: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    print(f"\nseed {SEED}, died in: {dict(kill_at_random(child_processes, data, *whole, tmp_path, 5))}")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_twenty_kills_at_random_moments(
    workers: int, child_processes: ChildProcesses, data: Path, whole: tuple[dict[str, Any], float], tmp_path: Path
) -> None:
    more = f"data.workers={workers}"
    print(f"\nseed {SEED}, {more}, died in: {dict(kill_at_random(child_processes, data, *whole, tmp_path, 20, more))}")


@pytest.mark.parametrize(
    "at",
    [
        ("hmr_light.training.run:describe_run", 1),
        pytest.param(("hmr_light.tracking.tracker:Tracker.metrics", 1), marks=pytest.mark.slow),
        pytest.param(("torch:save", 2), marks=pytest.mark.slow),
        ("os:link", 1),  # last.pt becomes previous.pt
        ("os:fsync", 5),  # a checkpoint is written, but not under its name
        pytest.param(("hmr_light.training.report:score", 1), marks=pytest.mark.slow),
        ("hmr_light.tracking.tracker:Tracker.metrics", 2),
        ("hmr_light.tracking.tracker:Tracker.checkpoint", 2),  # the last epoch's figures are told, its row is not
        ("hmr_light.commands.train:overlay_sheet", 1),
    ],
)
def test_a_kill_at_the_worst_place(
    at: tuple[str, int],
    child_processes: ChildProcesses,
    data: Path,
    whole: tuple[dict[str, Any], float],
    tmp_path: Path,
) -> None:
    child = child_processes.start(*options(data, tmp_path), at=at)
    assert child.wait() == -9, child.said
    assert_same(finish(child_processes, data, tmp_path), whole[0])


def start_two(child_processes: ChildProcesses, *arguments: str, at: tuple[str, int] | None = None) -> list[Child]:
    """Two processes that train together, as torchrun starts them; with `at` the second dies there."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    return [
        child_processes.start(*arguments, at=at if rank else None, **place, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(2)
    ]


def test_two_processes_of_which_one_is_killed(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    children = start_two(child_processes, *options(data, tmp_path / "whole"))
    assert [child.wait() for child in children] == [0, 0], children[0].said + children[1].said
    expected = result(run_folders(tmp_path / "whole")[0])

    outputs = tmp_path / "cut"
    children = start_two(child_processes, *options(data, outputs), at=("hmr_light.training.loop:forward", 6))
    assert children[1].wait() == -9, children[1].said
    # The other neither waits for ever nor shows a traceback.
    assert children[0].wait() == 2, children[0].said
    assert "another training process has ended" in children[0].said
    assert "Traceback" not in children[0].said

    children = start_two(child_processes, *options(data, outputs, "resume=auto"))
    assert [child.wait() for child in children] == [0, 0], children[0].said + children[1].said
    assert_same(result(run_folders(outputs)[0]), expected)


@pytest.mark.slow
def test_kills_of_two_processes_at_random_moments(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    children = start_two(child_processes, *options(data, tmp_path / "whole"))
    assert [child.wait() for child in children] == [0, 0], children[0].said + children[1].said
    seconds = time.monotonic() - started
    expected = result(run_folders(tmp_path / "whole")[0])
    draw, phases, number = random.Random(SEED), Counter[str](), 0
    while sum(phases.values()) < 20 or number == 0:
        outputs = tmp_path / str(number)
        children = start_two(child_processes, *options(data, outputs, "resume=auto", "data.workers=1"))
        time.sleep(draw.uniform(0, 1) * seconds)
        for child in children:
            child.kill()
        statuses = {child.wait() for child in children}
        phases[children[0].phase] += -9 in statuses
        if statuses == {0}:
            assert_same(result(run_folders(outputs)[0]), expected)
            number += 1
    print(f"\nseed {SEED}, two processes, died in: {dict(+phases)}; runs compared: {number}")


@pytest.mark.slow
def test_kills_of_a_compiled_network(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    expected, seconds = uninterrupted(child_processes, data, tmp_path / "whole", "trainer.compile=true")
    again, seconds = uninterrupted(child_processes, data, tmp_path / "again", "trainer.compile=true")
    assert_same(again, expected)
    print(f"\n{dict(kill_at_random(child_processes, data, expected, seconds, tmp_path, 5, 'trainer.compile=true'))}")
