"""Times of several calls side by side: measured in turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from hmr_light.cost.latency import percentile_95, time_call


@dataclass(frozen=True)
class PairedTimes:
    """The seconds of every turn, for each call, and this process' share of the machine meanwhile."""

    times: list[list[float]]
    """[call][round]"""
    cpu_share: float
    """CPU seconds that this process got for each second of a CPU measurement, 1 at most. Well under 1: contended."""


@dataclass(frozen=True)
class Comparison:
    """Times of one call, and their ratios to the reference's in the same rounds."""

    median_s: float
    p95_s: float
    min_s: float
    ratio: float
    """The median over the rounds of this call's time divided by the reference's."""
    ratio_low: float
    """A quarter of the rounds had a lower ratio."""
    ratio_high: float
    """A quarter of the rounds had a higher ratio."""


@torch.inference_mode()
def measure_paired(
    calls: Sequence[Callable[[], object]],
    *,
    device: torch.device,
    rounds: int,
    warmup: int,
    threads: int,
    on_turn: Callable[[], None] = lambda: None,
) -> PairedTimes:
    """Measure `calls` round-robin, `warmup` + `rounds` times each; the first `warmup` do not count.

    Each turn is two runs: one that brings the call's weights back into the caches, then the one that is timed. Each
    round begins with the next call, so that none is always behind the same one. The thread count is restored.
    """
    times: list[list[float]] = [[] for _ in calls]
    wall = cpu = 0.0
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for round in range(warmup + rounds):
            for turn in range(len(calls)):
                index = (round + turn) % len(calls)
                calls[index]()
                cpu_start = time.process_time()
                seconds = time_call(calls[index], device)
                if round >= warmup:
                    times[index].append(seconds)
                    cpu += time.process_time() - cpu_start
                    wall += seconds
                on_turn()
    finally:
        torch.set_num_threads(before)
    return PairedTimes(times, min(1.0, cpu / wall))


def compare(times: Sequence[float], reference: Sequence[float]) -> Comparison:
    """The figures of one call's `times` beside the `reference`'s, round by round."""
    ratios = [own / other for own, other in zip(times, reference, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Comparison(
        median_s=statistics.median(times),
        p95_s=percentile_95(times),
        min_s=min(times),
        ratio=middle,
        ratio_low=low,
        ratio_high=high,
    )
