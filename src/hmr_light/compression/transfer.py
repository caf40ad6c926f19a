"""The weights of a narrower network: those of the channels that stay."""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from hmr_light.checkpoints.transforms import Transform, apply_transforms
from hmr_light.compression.cells import Cells
from hmr_light.compression.channels import trace_channels
from hmr_light.compression.steps import Change
from hmr_light.model.hmr import HMR


class Narrowed(NamedTuple):
    """A narrower network."""

    change: Change
    kept: set[int]
    """The cells that stay."""
    added: int
    """Channels without a source, where rounding gave a place more than there were; nothing sees them yet."""


def prune_transform(cells: Cells, widths: Mapping[str, int], model: HMR, image_size: int) -> tuple[Cells, Transform]:
    """The cells of the network whose layers have `widths`, and the transform that makes its structure."""
    small = Cells(trace_channels(model, image_size, widths))
    sizes = {name: list(size) for name, size in small.graph.sizes.items() if size != cells.graph.sizes[name]}
    return small, Transform(name="prune", options={"sizes": sizes, "features": small.graph.num_features})


@torch.no_grad()
def narrow(model: HMR, cells: Cells, widths: Mapping[str, int], importance: torch.Tensor, image_size: int) -> Narrowed:
    """`model` with its layers as wide as `widths` says: of cells that are alike the most important ones stay.

    Cells are alike that the same layers make and see. `importance` (cells,) is higher for what should stay. With the
    other cells silent, `model` gives what the narrower network does.
    """
    small_cells, transform = prune_transform(cells, widths, model, image_size)
    small = apply_transforms(copy.deepcopy(model), [transform])
    source, kept, added = _sources(cells, small_cells, importance)
    modules, state = dict(small.named_modules()), dict(model.named_modules())
    for name, own in small_cells.inputs.items():
        inputs = _positions(own, cells.inputs[name], source)
        layer, before = modules[name], state[name]
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for key, value in before.state_dict().items():
                if value.dim():
                    fresh = 1.0 if key in ("weight", "running_var") else 0.0
                    getattr(layer, key).copy_(_pick(value, inputs, 0, fresh))
            continue
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert isinstance(before, nn.Conv2d | nn.Linear)
        outputs = _positions(small_cells.outputs[name], cells.outputs[name], source)
        weight = _columns(_pick(before.weight, outputs, 0, 0.0), layer, inputs)
        # What has no source can learn: it makes something, and nothing sees it yet.
        fresh_weight = torch.empty_like(weight)
        nn.init.kaiming_normal_(fresh_weight, mode="fan_out")
        own_columns = torch.where(inputs < 0, inputs, torch.arange(len(inputs)))
        weight[outputs < 0] = _columns(fresh_weight, layer, own_columns)[outputs < 0]
        layer.weight.copy_(weight)
        if layer.bias is not None and before.bias is not None:
            layer.bias.copy_(_pick(before.bias, outputs, 0, 0.0))
    for key, value in small.state_dict().items():
        if value.shape == (old := model.state_dict()[key]).shape and key.rpartition(".")[0] not in small_cells.inputs:
            value.copy_(old)
    return Narrowed(Change([transform], dict(small.state_dict())), kept, added)


def _sources(big: Cells, small: Cells, importance: torch.Tensor) -> tuple[dict[int, int], set[int], int]:
    """Which cell of the wider network each one of the narrower is, -1 for none; those that stay; how many have none."""
    alike, added = big.by_signature(), 0
    source: dict[int, int] = {}
    for signature, cells in small.by_signature().items():
        candidates = alike.get(signature, [])
        order = sorted(candidates, key=lambda cell: -float(importance[cell]))[: len(cells)]
        chosen = sorted(order)
        added += len(cells) - len(chosen)
        source |= dict(zip(cells, [*chosen, *[-1] * (len(cells) - len(chosen))], strict=True))
    return source, set(source.values()) - {-1}, added


def _positions(small: torch.Tensor, big: torch.Tensor, source: Mapping[int, int]) -> torch.Tensor:
    """Of each channel of a layer of the narrower network its position in the wider one, -1 for none."""
    places: dict[int, deque[int]] = defaultdict(deque)
    for position, cell in enumerate(big.tolist()):
        places[cell].append(position)
    found = [places[source[cell]] for cell in small.tolist()]
    return torch.tensor([several.popleft() if several else -1 for several in found])


def _pick(values: torch.Tensor, positions: torch.Tensor, dim: int, fresh: float) -> torch.Tensor:
    positions = positions.to(values.device)
    return values.index_select(dim, positions.clamp(min=0)).index_fill(dim, (positions < 0).nonzero().flatten(), fresh)


def _columns(rows: torch.Tensor, layer: nn.Conv2d | nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    """`rows`, the weights of all outputs of `layer`, with the columns at `inputs`; zeros for those below zero."""
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    if groups > 1 and rows.shape[1] == 1:  # depthwise: there is one column
        return rows
    within = torch.where(inputs < 0, inputs, inputs % rows.shape[1])
    parts = zip(rows.chunk(groups), within.chunk(groups), strict=True)
    return torch.cat([_pick(of_group, columns, 1, 0.0) for of_group, columns in parts])
