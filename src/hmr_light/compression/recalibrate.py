"""Batch norms measured anew: where the weights before them have changed, their statistics are another network's."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hmr_light.model.hmr import HMR, normalize
from hmr_light.training.objectives import Batch


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of `model` that keep statistics."""
    return [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


@torch.no_grad()
def recalibrate(model: HMR, batches: Iterable[Batch]) -> None:
    """Set the statistics of all batch norms of `model` to the mean over `batches`, in place; no label is looked at.

    Each norm sees what the layers before it give with the statistics of the batch, as in training; dropout is off. The
    model is left in evaluation mode. Without batch norms, nothing is read.
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
