"""Which range of a layer's inputs 8 bits are spent on, from calibration images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from hmr_light.model.hmr import HMR, normalize
from hmr_light.training.objectives import Batch

BINS = 2048
Ranges = dict[str, tuple[float, float]]
"""Of each layer, the least and the greatest input that is told apart; 0 lies between."""


@torch.no_grad()
def extremes(model: HMR, layers: Sequence[str], batches: Callable[[], Iterator[Batch]]) -> Ranges:
    """The least and greatest input of each of `layers` over all batches, zero included."""
    found = dict.fromkeys(layers, (0.0, 0.0))

    def look(name: str, values: torch.Tensor) -> None:
        least, most = (float(one) for one in torch.aminmax(values))
        found[name] = min(found[name][0], least), max(found[name][1], most)

    _watch(model, layers, batches, look)
    return found


@torch.no_grad()
def histograms(
    model: HMR, layers: Sequence[str], batches: Callable[[], Iterator[Batch]], within: Ranges
) -> dict[str, torch.Tensor]:
    """How many inputs of each layer have which magnitude: (BINS,) float64, from 0 to the greatest magnitude."""
    counts = {name: torch.zeros(BINS, dtype=torch.float64) for name in layers}

    def look(name: str, values: torch.Tensor) -> None:
        greatest = max(-within[name][0], within[name][1])
        if greatest > 0:
            found = torch.histc(values.abs().float().cpu(), BINS, 0, greatest)
            found[0] -= (values == 0).sum().cpu()  # zeros are exact whatever the range
            counts[name] += found.double()

    _watch(model, layers, batches, look)
    return counts


def percentile(counts: torch.Tensor, share: float) -> float:
    """The share of the greatest magnitude below which `share` percent of the magnitudes lie."""
    total = counts.cumsum(0)
    if not total[-1]:
        return 1.0
    return (int(torch.searchsorted(total, total[-1] * share / 100)) + 1) / BINS


def least_divergence(counts: torch.Tensor) -> float:
    """The share of the greatest magnitude at which the quantised magnitudes diverge least from the true ones.

    By the Kullback-Leibler divergence of 128 levels, what lies beyond being counted to the last one (Migacz, "8-bit
    inference with TensorRT", 2017).
    """
    levels, best = 128, (float("inf"), 1.0)
    for end in range(levels, BINS + 1, 16):
        true = counts[:end].clone()
        true[-1] += counts[end:].sum()
        if not true.sum():
            continue
        # Each level spreads what it holds evenly over its bins that are not empty.
        level = torch.arange(end) * levels // end
        held = torch.zeros(levels, dtype=torch.float64).index_add_(0, level, counts[:end])
        filled = (counts[:end] > 0).double()
        bins = torch.zeros(levels, dtype=torch.float64).index_add_(0, level, filled)
        seen = filled * (held / bins.clamp(min=1))[level]
        p, q = true / true.sum(), seen / seen.sum().clamp(min=1e-300)
        is_there = p > 0
        divergence = float((p[is_there] * (p[is_there] / q[is_there].clamp(min=1e-12)).log()).sum())
        best = min(best, (divergence, end / BINS))
    return best[1]


def _watch(
    model: HMR,
    layers: Sequence[str],
    batches: Callable[[], Iterator[Batch]],
    look: Callable[[str, torch.Tensor], None],
) -> None:
    with _hooks(model, layers, look):
        for batch in batches():
            model(normalize(batch["image"]))


@contextmanager
def _hooks(model: nn.Module, layers: Sequence[str], look: Callable[[str, torch.Tensor], None]) -> Iterator[None]:
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs[0]))
        for name in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
