"""The parts of networks on the meta device: whether they can be built, what maps they give, and what they cost.

A block is looked at once, however many networks it stands in: the costs of a network are the sums of its parts'.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hmr_light.backbones.stage_blocks import blocks
from hmr_light.backbones.stages import build_head, build_stem
from hmr_light.cost.shapes import only_shapes, shapes_of
from hmr_light.errors import UserError
from hmr_light.model.regressors import build_regressor
from hmr_light.search.genotype import Block, Genotype, Options, thawed


class Cost(NamedTuple):
    """What a network costs as evaluation runs it: with the regressor folded, where it can be."""

    parameters: int
    macs: int
    """Multiply-accumulates of one image."""


class Maps(NamedTuple):
    """What goes from one part to the next."""

    channels: int
    side: int
    """Height and width, pixels."""


NEUTRAL = {"kernel", "squeeze_excitation", "activation", "norm", "form", "shuffle", "shortcut", "residual"}
"""Options of blocks that do not bear on which numbers of maps go together."""


@cache
def problem(block: Block, inputs: int) -> str | None:
    """Why `block` cannot be built for `inputs` maps; None if it can."""
    options = tuple(one for one in block.options if one[0] not in NEUTRAL)
    return _problem(Block(options, block.out, block.stride), inputs)


@cache
def _problem(block: Block, inputs: int) -> str | None:
    try:
        _build(block, inputs)
    except UserError as error:
        return error.message.removeprefix(f"{_HERE}.").removeprefix(f"{_HERE}: ")
    return None


def maps_after(block: Block, maps: Maps) -> Maps:
    """What `block`, which can be built, makes of `maps`; of too few pixels, maps of side 0."""
    if block.stride == 1:
        return Maps(block.out, maps.side)  # all blocks pad so
    key = (block.options, maps.side)
    if key not in _sides:  # how wide the maps are does not change their side
        _sides[key] = _side(_build(block, maps.channels), maps)
    return Maps(block.out, _sides[key])


@cache
def maps_of_stem(stem: Options, image_size: int) -> Maps:
    """What `stem` makes of an image. Raises `UserError` if it cannot be built."""
    with only_shapes():
        layers, channels = build_stem(thawed(stem))
    return Maps(channels, _side(layers, Maps(3, image_size)))


def cost_of(genotype: Genotype) -> Cost:
    """The cost of a network that can be built."""
    maps = maps_of_stem(genotype.stem, genotype.image_size)
    costs = [_stem_cost(genotype.stem, genotype.image_size)]
    for block in genotype.blocks:
        costs.append(_block_cost(block, maps))
        maps = maps_after(block, maps)
    channels = maps.channels
    if genotype.head is not None:
        costs.append(_head_cost(genotype.head, maps))
        channels = dict(genotype.head)["out"]
    costs.append(_regressor_cost(genotype.regressor, channels))
    return Cost(*map(sum, zip(*costs, strict=True)))


_HERE = "block"
_sides: dict[tuple[Options, int], int] = {}


def _build(block: Block, inputs: int) -> nn.Module:
    with only_shapes():
        return blocks.build(thawed(block.options), inputs, block.out, block.stride, place=_HERE)


@torch.no_grad()
def _side(layers: nn.Module, maps: Maps) -> int:
    try:
        return int(shapes_of(layers)(torch.empty(1, maps.channels, maps.side, maps.side, device="meta")).shape[-1])
    except RuntimeError:  # fewer pixels than a layer without padding takes
        return 0


@torch.no_grad()
def _measure(layers: nn.Module, *shape: int) -> Cost:
    with FlopCounterMode(display=False) as counter:
        shapes_of(layers)(torch.empty(1, *shape, device="meta"))
    # torch counts a multiply-accumulate as two operations.
    return Cost(sum(one.numel() for one in layers.parameters()), counter.get_total_flops() // 2)


@cache
def _stem_cost(stem: Options, image_size: int) -> Cost:
    with only_shapes():
        layers, _ = build_stem(thawed(stem))
    return _measure(layers, 3, image_size, image_size)


@cache
def _block_cost(block: Block, maps: Maps) -> Cost:
    return _measure(_build(block, maps.channels), *maps, maps.side)


@cache
def _head_cost(head: Options, maps: Maps) -> Cost:
    with only_shapes():
        layers, _ = build_head(thawed(head), maps.channels)
    return _measure(layers, *maps, maps.side)


@cache
def _regressor_cost(regressor: Options, num_features: int) -> Cost:
    with only_shapes():
        folded = build_regressor(thawed(regressor), num_features).fold()
    return _measure(folded, num_features)
