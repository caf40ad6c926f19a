"""Batch norms measured anew: where the weights before them have changed, their statistics are another network's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hmr_light.model.hmr import HMR, normalize
from hmr_light.training.objectives import Batch


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of `model` that keep statistics, and have scales and shifts."""
    norms = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    return [layer for layer in norms if layer.track_running_stats and layer.affine]


@torch.no_grad()
def restate(model: HMR, batches: Iterable[Batch]) -> None:
    """Give the batch norms of `model` the statistics of `batches`, in place, without a change of what it computes.

    What differs from their own statistics goes into scales and shifts. A network whose norms were trained on other
    images, as a frozen backbone's, would be another one if it were measured anew; after this it stays the same.
    """
    norms = batch_norms(model)
    if not norms:
        return
    model.eval()
    seen: dict[_BatchNorm, list[tuple[torch.Tensor, torch.Tensor]]] = {layer: [] for layer in norms}

    def note(layer: nn.Module, inputs: Any) -> None:
        assert isinstance(layer, _BatchNorm)
        channels = inputs[0].transpose(0, 1).flatten(1).double()
        seen[layer].append((channels.mean(1), channels.var(1)))

    hooks = [layer.register_forward_pre_hook(note) for layer in norms]
    for batch in batches:
        model(normalize(batch["image"]))
    for hook in hooks:
        hook.remove()
    for layer, several in seen.items():
        if not several:
            continue  # a layer that never runs
        mean, variance = (torch.stack(values).mean(0) for values in zip(*several, strict=True))
        assert layer.running_mean is not None
        assert layer.running_var is not None
        own = (layer.running_var.double() + layer.eps).sqrt()
        layer.bias.copy_(layer.bias + layer.weight * (mean - layer.running_mean) / own)
        layer.weight.copy_(layer.weight * (variance + layer.eps).sqrt() / own)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


@torch.no_grad()
def recalibrate(model: HMR, batches: Iterable[Batch]) -> None:
    """Set the statistics of the batch norms of `model` to the mean over `batches`, in place; no label is looked at.

    Each norm sees what the layers before it give with the statistics of the batch, as in training; dropout is off. A
    norm without scale and shift keeps its own: those before it bring back what it was made for. The model is left in
    evaluation mode. Without batch norms, nothing is read.
    """
    norms = batch_norms(model)
    if not norms:
        return
    model.eval()
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # torch's sign for the mean of all batches
        layer.train()
    for batch in batches:
        model(normalize(batch["image"]))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
