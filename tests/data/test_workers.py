"""A loader process that dies is told in one message, at whatever moment it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import resource_sharer
from multiprocessing.connection import Client
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from hmr_light.checkpoints.format import save
from hmr_light.data.workers import explain_worker_failures, start_loader
from hmr_light.errors import UserError


class Dying(Dataset[torch.Tensor]):
    """The process of its first element stops handing over what it has announced, once that `is_announced`, and is
    killed `seconds` later, or lives on."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.is_announced, self.has_stopped = multiprocessing.Event(), multiprocessing.Event()

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 0:
            threading.Thread(target=self._die).start()
        else:
            self.is_announced.wait()  # the first batch is that of the first element
        return torch.zeros(1000)

    def _die(self) -> None:
        self.is_announced.wait()
        resource_sharer.stop()
        self.has_stopped.set()
        if self.seconds is not None:
            time.sleep(self.seconds)
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.5, r"a loader process died \(signal Killed\)"), (None, r"a loader process died\n")]
)
def test_a_loader_that_breaks_off_before_it_is_dead(seconds: float | None, says: str) -> None:
    before = multiprocessing.active_children()
    dataset = Dying(seconds)
    loader = DataLoader(dataset, num_workers=2, prefetch_factor=1, worker_init_fn=start_loader)
    with pytest.raises(UserError, match=says) as told, explain_worker_failures():
        _take_late(loader, dataset)
    assert multiprocessing.active_children() == before  # nobody waits for the other one
    assert isinstance(told.value.__cause__, OSError | EOFError)


def _take_late(loader: DataLoader[torch.Tensor], dataset: Dying) -> None:
    batches = iter(loader)
    while batches._worker_result_queue.empty():  # type: ignore[union-attr]
        time.sleep(0.01)
    dataset.is_announced.set()
    dataset.has_stopped.wait()
    next(batches)


def test_a_missing_file_is_no_dead_loader() -> None:
    class Missing(Dying):
        def __getitem__(self, index: int) -> torch.Tensor:
            raise FileNotFoundError("image.jpg")

    for workers in (0, 1):
        with pytest.raises(FileNotFoundError, match=r"image\.jpg"), explain_worker_failures():
            next(iter(DataLoader(Missing(None), num_workers=workers)))


class Fatal:
    """Whoever writes it kills a process, and is told so while it writes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __reduce__(self) -> tuple[type, tuple[int]]:
        os.kill(self.pid, signal.SIGKILL)
        time.sleep(2.0)
        return Fatal, (self.pid,)


def test_a_loader_that_dies_while_a_checkpoint_is_written_is_no_full_disk(tmp_path: Path) -> None:
    before = multiprocessing.active_children()
    batches = iter(DataLoader(Dying(None), num_workers=1, prefetch_factor=1))
    (loader,) = (child for child in multiprocessing.active_children() if child not in before)
    with pytest.raises(UserError, match=r"a loader process died \(signal Killed\)"), explain_worker_failures():
        save(tmp_path / "last.pt", {"weights": torch.zeros(3), "fatal": Fatal(loader.pid)})
    del batches
    assert list(tmp_path.iterdir()) == []


class LeftAlone(Dataset[torch.Tensor]):
    """Who takes its batches goes away in the midst of it, as a training process does that is killed."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        address, _ = resource_sharer.DupFd(0)._id  # type: ignore[attr-defined]
        Client(address, authkey=multiprocessing.current_process().authkey).close()
        time.sleep(0.3)
        return torch.zeros(1)


def test_a_loader_says_nothing_when_training_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    list(DataLoader(LeftAlone(), num_workers=1, worker_init_fn=start_loader))
    assert capfd.readouterr().err == ""
