"""How long a call takes, measured so that it can be compared: warmed up, synchronised, with its circumstances."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Latency:
    """Times of one call, and what they depend on."""

    median_s: float
    p95_s: float
    """95 % of the calls were not slower."""
    min_s: float
    batch: int
    """Images a call."""
    repeats: int
    threads: int
    """CPU threads of the measurement."""
    device: str
    """cpu, or the GPU's name."""
    cpu: str
    load_average: float
    """Runnable processes over the last minute before the measurement; above the number of cores, distrust the times."""


@torch.inference_mode()
def measure_latency(
    call: Callable[[], object],
    *,
    device: torch.device,
    batch: int = 1,
    warmup: int = 10,
    repeats: int = 50,
    threads: int = 1,
) -> Latency:
    """Measure `call`, which does the work of one batch of `batch` images on `device`.

    Each call is timed by itself and ends when the device is done. One CPU thread by default: with more, another busy
    process can make the threads wait for each other ten times longer. The thread count is restored afterwards.
    """
    load = load_average()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        times = [time_call(call, device) for _ in range(warmup + repeats)][warmup:]
    finally:
        torch.set_num_threads(before)
    return Latency(
        median_s=statistics.median(times),
        p95_s=percentile_95(times),
        min_s=min(times),
        batch=batch,
        repeats=repeats,
        threads=threads,
        device=device_name(device),
        cpu=cpu_name(),
        load_average=load,
    )


def percentile_95(times: Sequence[float]) -> float:
    """The smallest of `times` that 95 % of them do not exceed."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def load_average() -> float:
    """Runnable processes over the last minute; not a number where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def device_name(device: torch.device) -> str:
    """cpu, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def cpu_name() -> str:
    """The processor's name, as its maker prints it."""
    info = Path("/proc/cpuinfo")
    if info.is_file() and (match := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)):
        return match[1]
    return platform.processor() or platform.machine()


def time_call(call: Callable[[], object], device: torch.device) -> float:
    """The seconds that `call` takes, its work on `device` included: by a GPU's own clock (events)."""
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    torch.cuda.synchronize(device)
    with torch.cuda.device(device):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000
