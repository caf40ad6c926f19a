"""Parameters: what training moves. Running statistics and mean parameters are state, not parameters."""

from __future__ import annotations

from typing import IO, NamedTuple, cast

import torch
from torch import nn

from hmr_light.model.hmr import HMR


class ParameterCounts(NamedTuple):
    """Numbers of parameters; a parameter that modules share counts once."""

    total: int
    """Those that are trained: backbone and regressor."""
    backbone: int
    regressor: int
    folded: int
    """Those that evaluation needs: backbone and folded regressor (see `MeanRegressor.fold`)."""


def count_parameters(model: HMR) -> ParameterCounts:
    """The exact numbers of parameters of `model`."""
    backbone = _count(model.backbone)
    folded = backbone + _count(model.regressor.fold())
    return ParameterCounts(_count(model), backbone, _count(model.regressor), folded)


@torch.no_grad()
def count_effective(model: nn.Module) -> int:
    """The number of parameters of `model`, less the weights of convolutions and linear layers that are zero."""
    layers = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    zeros = sum(layer.weight.numel() - int(torch.count_nonzero(layer.weight)) for layer in layers)
    return _count(model) - zeros


def bytes_on_disk(model: nn.Module) -> int:
    """The size of the file that `torch.save` makes of the model's state: parameters and buffers in their own type.

    Of a model on the meta device, the file that it would be with values.
    """
    state = model.state_dict(keep_vars=True)
    copies: dict[int, torch.Tensor] = {}
    for name, tensor in state.items():
        # A tensor that stands twice in the state is written once.
        values = copies.setdefault(id(tensor), torch.empty_like(tensor, device="cpu") if tensor.is_meta else tensor)
        state[name] = values.detach()
    counter = _Counter()
    torch.save(state, cast(IO[bytes], counter))
    return counter.bytes


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Counter:
    """A file that only counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing to flush."""
