"""Paired times: every call meets the same machine, and ratios are of the same rounds."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from hmr_light.cost.paired import compare, measure_paired, percentile_95

CPU = torch.device("cpu")


def work(seconds: float) -> None:
    """Use so much of this thread's CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_each_turn_is_a_run_that_warms_and_one_that_counts() -> None:
    seen: list[str] = []
    calls = [lambda name=name: seen.append(name) for name in "abc"]
    done: list[None] = []
    times = measure_paired(calls, device=CPU, rounds=3, warmup=1, threads=1, on_call=lambda: done.append(None))
    # Each round begins with another call, so that none is always behind the same one.
    assert "".join(seen) == "aabbcc" + "bbccaa" + "ccaabb" + "aabbcc"
    assert [len(own) for own in times.wall_s] == [len(own) for own in times.cpu_s] == [3, 3, 3]
    assert len(done) == 12


def test_only_the_second_run_of_a_turn_is_timed() -> None:
    runs = iter(range(100))

    def slow_at_first() -> None:
        if next(runs) % 2 == 0:
            work(0.03)

    times = measure_paired([slow_at_first], device=CPU, rounds=4, warmup=0, threads=1)
    assert max(times.cpu_s[0]) < 0.03
    assert min(times.wall_s[0]) < 0.03  # on a busy machine others may have been waited for


def test_the_threads_are_set_and_restored_and_no_gradients_are_kept() -> None:
    before = torch.get_num_threads()
    seen = set()

    def call() -> None:
        seen.add((torch.get_num_threads(), torch.is_inference_mode_enabled()))

    measure_paired([call], device=CPU, rounds=2, warmup=0, threads=before + 1)
    assert seen == {(before + 1, True)}
    with pytest.raises(ZeroDivisionError):
        measure_paired([lambda: 1 / 0], device=CPU, rounds=2, warmup=0, threads=before + 1)
    assert torch.get_num_threads() == before


def test_a_process_that_waits_has_little_of_the_cpu() -> None:
    calls = [lambda: time.sleep(0.02), lambda: work(0.005)]
    times = measure_paired(calls, device=CPU, rounds=3, warmup=0, threads=1)
    waiting, working = times.cpu_share(0), times.cpu_share(1)
    assert waiting is not None
    assert working is not None
    assert waiting < 0.2
    assert waiting < working <= 1
    assert all(cpu <= wall for cpu, wall in zip(times.cpu_s[1], times.wall_s[1], strict=True))
    assert times.comparable_s(1) == times.cpu_s[1], "of one thread its own work is compared"


def test_what_other_threads_of_the_process_do_is_not_counted() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    other = threading.Thread(target=spin)
    other.start()
    try:
        times = measure_paired([lambda: time.sleep(0.02)], device=CPU, rounds=3, warmup=0, threads=1)
    finally:
        stop.set()
        other.join()
    share = times.cpu_share(0)
    assert share is not None
    assert share < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times, reference = rng.uniform(0.1, 1, (2, 37))
    found = compare(list(times), list(reference))
    expected = np.percentile(times / reference, [25, 50, 75])
    np.testing.assert_allclose([found.low, found.median, found.high], expected, err_msg=f"seed {seed}")
    assert percentile_95(times) == np.sort(times)[35], "36 of 37 are 95 % at least"


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    drift = np.linspace(1, 10, 20)
    found = compare(list(0.3 * drift), list(0.1 * drift))
    np.testing.assert_allclose([found.low, found.median, found.high], 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_gpus_own_time_counts() -> None:
    device = torch.device("cuda")
    matrix = torch.rand(8192, 8192, device=device)
    times = measure_paired([lambda: matrix @ matrix], device=device, rounds=5, warmup=1, threads=1)
    assert times.cpu_share(0) is None
    assert times.comparable_s(0) == times.wall_s[0]
    assert min(times.wall_s[0]) > 2 * 8192**3 / 2e15  # faster than any GPU is
