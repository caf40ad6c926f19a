"""Inference times of several networks side by side, for every batch size and thread count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch

from hmr_light.cost.paired import compare, measure_paired
from hmr_light.cost.variants import Runner


class Entry(NamedTuple):
    """A network, ready to be run in one of its variants."""

    model: str
    variant: str
    image_size: int
    runner: Runner


def measure(
    entries: Sequence[Entry],
    settings: Iterable[tuple[int, int]],
    *,
    device: torch.device,
    rounds: int,
    warmup: int,
    on_turn: Callable[[int, int], None] = lambda batch, threads: None,
) -> tuple[list[dict[str, Any]], float]:
    """A row for each of the `settings` (batch size, threads) and, within it, each entry; the first is the reference.

    Beside them, the least share of the CPU that this process got (see `PairedTimes.cpu_share`). `on_turn` is told of
    every turn's setting.
    """
    rows: list[dict[str, Any]] = []
    cpu_share = 1.0
    for batch, threads in settings:
        turns = measure_paired(
            [_call(entry, batch) for entry in entries],
            device=device,
            rounds=rounds,
            warmup=warmup,
            threads=threads,
            on_turn=lambda batch=batch, threads=threads: on_turn(batch, threads),  # type: ignore[misc]
        )
        cpu_share = min(cpu_share, turns.cpu_share)
        for entry, times in zip(entries, turns.times, strict=True):
            what = {"model": entry.model, "variant": entry.variant, "image_size": entry.image_size}
            figures = dataclasses.asdict(compare(times, turns.times[0]))
            rows.append({**what, "batch": batch, "threads": threads, **figures})
    return rows, cpu_share


def _call(entry: Entry, batch: int) -> Callable[[], object]:
    images = entry.runner.prepare(torch.rand(batch, 3, entry.image_size, entry.image_size))
    return lambda: entry.runner(images)
