"""Times of several calls side by side: measured in turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from hmr_light.cost.energy import EnergyMeter


class CallTime(NamedTuple):
    """How long a call took."""

    wall_s: float
    """By the clock; a GPU's work by the GPU's own clock."""
    cpu_s: float
    """Of a CPU: what it worked for the call. Of a GPU's work not a number."""


@dataclass(frozen=True)
class PairedTimes:
    """The seconds of every round, for each call."""

    wall_s: list[list[float]]
    """[call][round]"""
    cpu_s: list[list[float]]
    """[call][round]; see `CallTime`."""
    energy_j: list[list[float]]
    """[call][round]: of all processors of the machine; see `hmr_light.cost.energy`."""
    threads: int

    def cpu_share(self, call: int) -> float | None:
        """The CPU seconds that `call` got for each second by the clock, 1 at most; None for a GPU's work.

        Well under 1: other processes were busy too.
        """
        share = sum(self.cpu_s[call]) / sum(self.wall_s[call])
        return None if math.isnan(share) else min(1.0, share)

    def comparable_s(self, call: int) -> list[float]:
        """The times that ratios are made of: one thread's CPU time, which no other process makes longer by waiting.

        Of several threads, and of a GPU, the times by the clock.
        """
        is_cpu_time = self.threads == 1 and not any(map(math.isnan, self.cpu_s[call]))
        return self.cpu_s[call] if is_cpu_time else self.wall_s[call]


@dataclass(frozen=True)
class Ratio:
    """Of a call's times to the reference's of the same rounds."""

    median: float
    low: float
    """A quarter of the rounds had a lower ratio."""
    high: float
    """A quarter of the rounds had a higher ratio."""


@torch.inference_mode()
def measure_paired(
    calls: Sequence[Callable[[], object]],
    *,
    device: torch.device,
    rounds: int,
    warmup: int,
    threads: int,
    on_call: Callable[[], None] = lambda: None,
) -> PairedTimes:
    """Measure `calls` round-robin, `warmup` + `rounds` times each; the first `warmup` do not count.

    Each measurement is two runs: one that brings the call's weights back into the caches, then the one that is timed.
    Each round begins with the next call, so that none is always behind the same one. The thread count is restored.
    `on_call` is told of every measurement that is done.
    """
    times: list[list[CallTime]] = [[] for _ in calls]
    energy: list[list[float]] = [[] for _ in calls]
    meter = EnergyMeter()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for round in range(warmup + rounds):
            for position in range(len(calls)):
                index = (round + position) % len(calls)
                calls[index]()
                meter.joules()
                taken = time_call(calls[index], device, threads)
                used = meter.joules()
                if round >= warmup:
                    times[index].append(taken)
                    energy[index].append(used)
                on_call()
    finally:
        torch.set_num_threads(before)
    return PairedTimes(
        [[one.wall_s for one in own] for own in times], [[one.cpu_s for one in own] for own in times], energy, threads
    )


def compare(times: Sequence[float], reference: Sequence[float]) -> Ratio:
    """The ratio of a call's `times` to the `reference`'s, round by round."""
    ratios = [own / other for own, other in zip(times, reference, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)


def percentile_95(times: Sequence[float]) -> float:
    """The smallest of `times` that 95 % of them do not exceed."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def time_call(call: Callable[[], object], device: torch.device, threads: int = 1) -> CallTime:
    """How long `call` takes, its work on `device` included."""
    if device.type != "cuda":
        # One thread's own clock leaves out what other threads of this process do meanwhile.
        clock = time.thread_time if threads == 1 else time.process_time
        start, cpu_start = time.perf_counter(), clock()
        call()
        cpu_end, end = clock(), time.perf_counter()
        return CallTime(end - start, cpu_end - cpu_start)
    torch.cuda.synchronize(device)
    with torch.cuda.device(device):
        begin, finish = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        finish.record()
    finish.synchronize()
    return CallTime(begin.elapsed_time(finish) / 1000, math.nan)
