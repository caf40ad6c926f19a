"""The same model in fewer bytes, but for rounding: what a coded file needs to say of batch norms, in half precision."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hmr_light.backbones.state_dicts import State
from hmr_light.model.hmr import HMR

_KEPT = ("_scale", "running_mean", "running_var")
"""Scales of integers decide which number a weight is rounded to; the others are constants by then."""


@torch.no_grad()
def slim_state(model: HMR) -> State:
    """The state of `model`, in evaluation mode, with batch norms as a factor and a summand, and floats as float16 ones.

    A batch norm's mean and variance go into its weight and bias, and become 0 and 1: constants, which take no room.
    Floats stay float32 where float16 cannot hold them. `model` stays as it is; in training it and the result differ.
    """
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for name, norm in model.named_modules():
        if isinstance(norm, _BatchNorm) and norm.affine and norm.running_var is not None:
            variance, mean = state[f"{name}.running_var"], state[f"{name}.running_mean"]
            factor = state[f"{name}.weight"] / torch.sqrt(variance + norm.eps)
            state[f"{name}.bias"] -= mean * factor
            state[f"{name}.weight"] = factor
            mean.zero_()
            variance.fill_(1 - norm.eps)
            if f"{name}.num_batches_tracked" in state:
                state[f"{name}.num_batches_tracked"].zero_()
    for name, value in state.items():
        if value.dtype == torch.float32 and not name.endswith(_KEPT):
            half = value.half().float()
            state[name] = half if half.isfinite().all() else value
    return state
