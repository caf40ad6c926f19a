"""Inference times are measured as they say, and tell their circumstances."""

from __future__ import annotations

import math
import time

import pytest
import torch

from hmr_light.cost.latency import measure_latency
from hmr_light.cost.yardstick import yardstick

CPU = torch.device("cpu")


def busy(seconds: float) -> None:
    """Work for so much of this thread's CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_times_circumstances_are_told_and_the_threads_restored() -> None:
    before = torch.get_num_threads()
    seen = []
    calls = iter(range(1000))

    def call() -> None:
        seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        time.sleep(0.05 if next(calls) < 6 else 0.01)  # the first calls are slow, as first calls are

    latency = measure_latency(call, device=CPU, batch=4, warmup=3, rounds=20, threads=2)
    assert seen == [(2, True)] * 46, "each measurement is a run that warms, and one that counts"
    assert torch.get_num_threads() == before
    assert 0.01 <= latency.min_s <= latency.median_s <= latency.p95_s
    assert latency.min_s < 0.05
    assert (latency.batch, latency.threads, latency.device) == (4, 2, "cpu")
    assert latency.cpu
    assert latency.load_average >= 0 or math.isnan(latency.load_average)


def test_a_process_that_waits_has_a_small_share_and_its_time_is_marked() -> None:
    def call() -> None:  # half of the time somebody else works
        busy(0.004)
        time.sleep(0.004)

    latency = measure_latency(call, device=CPU, rounds=5)
    assert latency.cpu_share is not None
    assert 0 < latency.cpu_share < 0.6
    assert latency.cpu_s == pytest.approx(0.004, rel=0.5)
    assert latency.median_s > 0.008
    figures, tags = latency.figures(), latency.tags()
    assert tags["hmr_light.inference_time"].startswith(f"~{latency.median_s:.5f} s, ")
    assert f"with {latency.cpu_share:.0%} of a core" in tags["hmr_light.inference_time"]
    assert (figures["inference_time_s"], figures["inference_cpu_share"]) == (latency.median_s, latency.cpu_share)
    assert tags["hmr_light.inference_threads"] == "1"


def test_the_ratio_is_to_the_yardstick_and_waiting_does_not_change_it() -> None:
    reference = yardstick(CPU)

    def thrice_with_a_pause() -> None:
        for _ in range(3):
            reference()
        time.sleep(0.003)

    assert measure_latency(thrice_with_a_pause, device=CPU, rounds=50).ratio == pytest.approx(3, rel=0.25)


def test_threads_are_restored_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        measure_latency(lambda: 1 / 0, device=CPU, threads=before + 1)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpus_work_is_waited_for() -> None:
    device = torch.device("cuda")
    matrix = torch.rand(8192, 8192, device=device)
    operations = 2 * 8192**3
    latency = measure_latency(lambda: matrix @ matrix, device=device, warmup=2, rounds=5)
    assert latency.min_s > operations / 2e15  # faster than any GPU is
    assert latency.device == torch.cuda.get_device_name()
    assert (latency.cpu_s, latency.cpu_share) == (None, None)
    assert "~" not in latency.tags()["hmr_light.inference_time"]
