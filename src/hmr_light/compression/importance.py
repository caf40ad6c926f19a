"""How much each cell of channels matters: the criteria of structured pruning."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from hmr_light.compression.cells import Cells
from hmr_light.compression.steps import StepContext
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, normalize


def group_l2(model: HMR, cells: Cells, context: StepContext) -> torch.Tensor:
    """(cells,): the squared norm of all weights that make or see a channel, relative to the mean of their layer.

    The group norm of DepGraph (Fang et al., CVPR 2023), averaged over the layers, so that all of them count alike.
    """
    return _mean_over_uses(model, cells, lambda layer, weight, dim: _norms(layer, weight, dim))


def batch_norm_scale(model: HMR, cells: Cells, context: StepContext) -> torch.Tensor:
    """(cells,): the mean magnitude of the scales of a cell's batch norms (Liu et al., "Network Slimming", ICCV 2017).

    Raises `UserError` for a network without batch norms that have scales; cells without one have the mean of all.
    """
    total, count = torch.zeros(len(cells)), torch.zeros(len(cells))
    for name, layer in _layers(model, cells).items():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            total.index_add_(0, cells.inputs[name], layer.weight.detach().abs().float().cpu())
            count.index_add_(0, cells.inputs[name], torch.ones(layer.num_features))
    if not count.any():
        raise UserError("the network has no batch norms with scales", "Choose compression.criterion=l2 or taylor.")
    found = total / count.clamp(min=1)
    return torch.where(count > 0, found, found[count > 0].mean())


def taylor(model: HMR, cells: Cells, context: StepContext) -> torch.Tensor:
    """(cells,): how much the loss would change without a channel, to first order (Molchanov et al., CVPR 2019).

    The square of the sum of weight times gradient, over all weights that make a channel; the mean over the calibration
    batches, which need labels.
    """
    network = copy.deepcopy(model).eval().requires_grad_(True)
    total, batches = torch.zeros(len(cells)), 0
    for batch in context.batches():
        network.zero_grad(set_to_none=True)
        terms = context.objective(network, batch | {"image": normalize(batch["image"])})
        torch.stack([one.weight * one.sum / one.count.clamp(min=1e-12) for one in terms.values()]).sum().backward()
        change = torch.zeros(len(cells))
        for name, layer in _layers(network, cells).items():
            made = cells.outputs.get(name, cells.inputs[name])
            for values in layer.parameters(recurse=False):
                if values.grad is not None:
                    change.index_add_(
                        0,
                        made,
                        (values.grad * values).detach().flatten(1).sum(1).float().cpu()
                        if values.dim() > 1
                        else (values.grad * values).detach().float().cpu(),
                    )
        total += change.square()
        batches += 1
    if not torch.isfinite(total).all():
        raise UserError("the gradients of the loss are not finite", "Choose compression.criterion=l2.")
    return total / max(1, batches)


CRITERIA: dict[str, Callable[[HMR, Cells, StepContext], torch.Tensor]] = {
    "l2": group_l2,
    "batch_norm": batch_norm_scale,
    "taylor": taylor,
}


def _layers(model: HMR, cells: Cells) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    return {name: modules[name] for name in cells.inputs}


def _mean_over_uses(
    model: HMR, cells: Cells, measure: Callable[[nn.Module, torch.Tensor, int], torch.Tensor]
) -> torch.Tensor:
    total, count = torch.zeros(len(cells)), torch.zeros(len(cells))
    for name, layer in _layers(model, cells).items():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight = layer.weight.detach().float()
        for dim, channels in ((0, cells.outputs[name]), (1, cells.inputs[name])):
            values = measure(layer, weight, dim).cpu()
            total.index_add_(0, channels, values / values.mean().clamp(min=1e-12))
            count.index_add_(0, channels, torch.ones(len(channels)))
    return total / count.clamp(min=1)


def _norms(layer: nn.Module, weight: torch.Tensor, dim: int) -> torch.Tensor:
    """The squared norms of the weights of each output (`dim` 0) or input (1)."""
    squares = weight.square()
    if dim == 0:
        return squares.flatten(1).sum(1)
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    parts = squares.unflatten(0, (groups, -1)).transpose(1, 2)  # groups, inputs of a group, outputs of a group, …
    return parts.flatten(2).sum(2).flatten()
