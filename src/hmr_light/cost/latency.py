"""How long inference takes, so that it can be compared: in turns with the yardstick, and with its circumstances."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hmr_light.cost.paired import PairedTimes, compare, measure_paired, percentile_95
from hmr_light.cost.share import time_mark
from hmr_light.cost.yardstick import yardstick


@dataclass(frozen=True)
class Latency:
    """Times of one call, and what they depend on."""

    median_s: float
    """By the clock."""
    p95_s: float
    """95 % of the calls were not slower."""
    min_s: float
    cpu_s: float | None
    """The median of the CPU's work; None for a GPU's."""
    cpu_share: float | None
    """The share of a CPU core that the process had; None for a GPU's work. See `hmr_light.cost.share`."""
    ratio: float
    """To the yardstick network's time of the same rounds; see `hmr_light.cost.yardstick`."""
    batch: int
    """Images a call."""
    threads: int
    """CPU threads of the measurement."""
    device: str
    """cpu, or the GPU's name."""
    cpu: str
    load_average: float
    """Runnable processes over the last minute before the measurement."""
    energy_j: float | None = None
    """The mean of what all processors of the machine used during a call; None where none reports it."""

    def figures(self) -> dict[str, float]:
        """By their MLflow names."""
        values = {
            "inference_time_s": self.median_s,
            "inference_time_p95_s": self.p95_s,
            "inference_cpu_time_s": self.cpu_s,
            "inference_cpu_share": self.cpu_share,
            "inference_ratio": self.ratio,
        }
        return {name: value for name, value in values.items() if value is not None}

    def tags(self) -> dict[str, str]:
        """What the time depends on, by MLflow names. A time that other processes made longer is marked."""
        names = ("device", "cpu", "threads", "batch", "load_average")
        share = "" if self.cpu_share is None else f", with {self.cpu_share:.0%} of a core"
        said = f"{time_mark(self.cpu_share)}{self.median_s:.5f} s, {self.ratio:.3g} times the yardstick's{share}"
        circumstances = {name: str(getattr(self, name)) for name in names} | {"time": said}
        return {f"hmr_light.inference_{name}": value for name, value in circumstances.items()}


def measure_latency(
    call: Callable[[], object],
    *,
    device: torch.device,
    batch: int = 1,
    warmup: int = 3,
    rounds: int = 30,
    threads: int = 1,
) -> Latency:
    """Measure `call`, which does the work of one batch of `batch` images on `device`, in turns with the yardstick.

    Each call is timed by itself and ends when the device is done. One CPU thread by default: with more, another busy
    process can make the threads wait for each other ten times longer. The thread count is restored afterwards.
    """
    load = load_average()
    calls = [call, yardstick(device)]
    times = measure_paired(calls, device=device, rounds=rounds, warmup=warmup, threads=threads)
    return make_latency(times, 0, 1, batch=batch, device=device, load=load)


def make_latency(
    times: PairedTimes, call: int, reference: int, *, batch: int, device: torch.device, load: float
) -> Latency:
    """The figures of `call` among calls measured in turns; `reference` is the yardstick's place among them."""
    wall, cpu, energy = times.wall_s[call], times.cpu_s[call], times.energy_j[call]
    return Latency(
        median_s=statistics.median(wall),
        p95_s=percentile_95(wall),
        min_s=min(wall),
        cpu_s=None if any(map(math.isnan, cpu)) else statistics.median(cpu),
        cpu_share=times.cpu_share(call),
        ratio=compare(times.comparable_s(call), times.comparable_s(reference)).median,
        batch=batch,
        threads=times.threads,
        device=device_name(device),
        cpu=cpu_name(),
        load_average=load,
        # The counters go on once a millisecond: single calls are not told apart.
        energy_j=None if any(map(math.isnan, energy)) else statistics.fmean(energy),
    )


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
