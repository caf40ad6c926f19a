"""Multiply-accumulates (MACs) of one image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from hmr_light.cost.shapes import shapes_of
from hmr_light.model.hmr import HMR


class Macs(NamedTuple):
    """MACs of one image."""

    total: int
    backbone: int
    regressor: int


@torch.no_grad()
def count_macs(model: HMR, image_size: int) -> Macs:
    """The exact MACs of `model` on one image (3, `image_size`, `image_size`): its convolutions and linear layers.

    A multiplication with its addition is one; biases, normalisation, activations and pooling are none, as papers count.
    Layers that run more than once, as the regressor's, count as often. `model` itself is neither run nor changed.
    """
    shapes = shapes_of(model)
    with FlopCounterMode(display=False) as backbone:
        features = shapes.backbone(torch.empty(1, 3, image_size, image_size, device="meta"))
    with FlopCounterMode(display=False) as regressor:
        shapes.regressor(features)
    # torch counts a multiply-accumulate as two operations.
    macs = backbone.get_total_flops() // 2, regressor.get_total_flops() // 2
    return Macs(sum(macs), *macs)
