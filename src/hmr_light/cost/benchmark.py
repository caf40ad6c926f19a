"""Inference times of several networks side by side, for every batch size and thread count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

from hmr_light.cost.latency import Latency, load_average, make_latency
from hmr_light.cost.paired import Ratio, compare, measure_paired
from hmr_light.cost.variants import EAGER, FileRunner, Runner
from hmr_light.cost.yardstick import yardstick
from hmr_light.model.hmr import HMR

RATIO_ROUNDS = 15
"""Of `time_ratio`."""


class Entry(NamedTuple):
    """A network, ready to be run in one of its variants."""

    model: str
    variant: str
    image_size: int
    runner: Runner | FileRunner


class Measured(NamedTuple):
    """The times of an entry in one setting."""

    entry: Entry
    latency: Latency
    """Of a whole batch."""
    ratio: Ratio
    """To the first entry's times of the same setting."""


def measure(
    entries: Sequence[Entry],
    settings: Iterable[tuple[int, int]],
    *,
    device: torch.device,
    rounds: int,
    warmup: int,
    on_call: Callable[[int, int], None] = lambda batch, threads: None,
) -> list[list[Measured]]:
    """For each of the `settings` (batch size, threads) the times of each entry; the first is the reference.

    The yardstick network is measured in turns with them. `on_call` is told of every measurement's setting.
    """
    found = []
    for batch, threads in settings:
        load = load_average()
        times = measure_paired(
            [*(_call(entry, batch, threads) for entry in entries), yardstick(device)],
            device=device,
            rounds=rounds,
            warmup=warmup,
            threads=threads,
            on_call=lambda batch=batch, threads=threads: on_call(batch, threads),  # type: ignore[misc]
        )
        found.append(
            [
                Measured(
                    entry,
                    make_latency(times, index, len(entries), batch=batch, device=device, load=load),
                    compare(times.comparable_s(index), times.comparable_s(0)),
                )
                for index, entry in enumerate(entries)
            ]
        )
    return found


def time_ratio(model: HMR, reference: HMR, image_size: int) -> float:
    """The CPU time of `model` for one image, as a share of the `reference`'s: one thread, both as they are.

    The median of `RATIO_ROUNDS` rounds, on copies of the networks on the CPU.
    """
    cpu = torch.device("cpu")
    entries = [Entry("", EAGER, image_size, Runner(one, frozenset(), cpu, None)) for one in (reference, model)]
    ((_, measured),) = measure(entries, [(1, 1)], device=cpu, rounds=RATIO_ROUNDS, warmup=2)
    return measured.ratio.median


def _call(entry: Entry, batch: int, threads: int) -> Callable[[], object]:
    runner = entry.runner.for_threads(threads)
    images = runner.prepare(torch.rand(batch, 3, entry.image_size, entry.image_size))
    return lambda: runner(images)
