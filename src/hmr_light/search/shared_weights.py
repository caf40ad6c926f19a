"""All networks of a space in one: the weights of a block are kept once, for the widest, and a network is cut from them.

A block has weights of its own for each place in the network and each kind (Guo et al., "Single Path One-Shot Neural
Architecture Search with Uniform Sampling", ECCV 2020). What differs in its numbers of maps alone shares them: the
narrower one has the first of the maps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from hmr_light.backbones.blocks import GlobalPool, initialize
from hmr_light.backbones.stage_blocks import blocks
from hmr_light.backbones.stages import build_head, build_stem
from hmr_light.cost.shapes import only_shapes
from hmr_light.model.hmr import HMR, build_model
from hmr_light.model.regressors import SmplParameters, build_regressor
from hmr_light.model.regressors.base import MeanRegressor
from hmr_light.search.genotype import Block, Options, thawed
from hmr_light.search.parts import maps_of_stem, problem
from hmr_light.search.space import Space, Values

WIDTHS = ("out", "hidden")
"""Options that are numbers of maps or units: parts that differ in nothing else share their weights."""


class Piece(NamedTuple):
    """One part of one network: what stands at a place, and for how many maps."""

    place: str
    """`stem`, `stageS-B` (block B of stage S, from 0), `head` or `regressor`."""
    options: Options
    inputs: int
    """Maps or features that come in."""
    block: Block | None = None
    """Of a block, all of it."""


class SharedRegressor(MeanRegressor):
    """The weights of all regressors of a space; the mean, which is the same for all, is its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterDict()
        self.outputs: set[str] = set()
        """Which of them are added to the estimate whatever the image."""

    def output_biases(self) -> list[nn.Parameter]:
        return [self.weights[name] for name in sorted(self.outputs)]


class Supernet(nn.Module):
    """The networks of a space with shared weights: one of them, that of `values`, runs at a time.

    It is trained by the ordinary loop. Batch norms keep no statistics: each network's are measured when it is taken
    out (`network`), and until then a batch is normalised by its own.
    """

    def __init__(self, space: Space, seed: int) -> None:
        """`seed` decides the weights, which are drawn as those of the ordinary networks are."""
        super().__init__()
        self.space = space
        self.values: Values = {}
        self.transforms: tuple[()] = ()
        self.backbone = nn.ParameterDict()
        self.regressor = SharedRegressor()
        found: dict[str, list[Piece]] = {}
        for piece in dict.fromkeys(_all_pieces(space)):
            found.setdefault(_key(piece), []).append(piece)
        torch.manual_seed(seed)
        for key, pieces in found.items():
            self._draw(key, pieces)

    def forward(self, images: torch.Tensor) -> SmplParameters:
        """What the network of `values` predicts of normalised `images` (B, 3, S, S)."""
        maps = images
        *trunk, regressor = _pieces_of(self.space, self.values)
        for piece in trunk:
            maps = functional_call(_on_meta(piece), self._cut(piece), (maps,))
        features = _POOL(maps)
        weights = {name: value for name, value in self.regressor.named_buffers() if name.startswith("init_")}
        result = functional_call(_on_meta(regressor), self._cut(regressor) | weights, (features,))
        assert isinstance(result, SmplParameters)
        return result

    def network(self, values: Values) -> HMR:
        """The network of `values` as an ordinary model, with its own copy of the weights.

        The statistics of its batch norms are to be measured.
        """
        model = build_model(self.space.decode(values).nodes())
        cuts = [value for piece in _pieces_of(self.space, values) for value in self._cut(piece).values()]
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), cuts, strict=True):
                parameter.copy_(value)
            for name, value in self.regressor.named_buffers():
                model.regressor.get_buffer(name).copy_(value)
        return model

    def _cut(self, piece: Piece) -> dict[str, torch.Tensor]:
        """The weights of `piece`, by the names that its module has."""
        weights, key = self._weights(piece), _key(piece)
        return {
            name: weights[_name(key, name)][tuple(map(slice, parameter.shape))]
            for name, parameter in _on_meta(piece).named_parameters()
        }

    def _weights(self, piece: Piece) -> nn.ParameterDict:
        return self.regressor.weights if piece.place == "regressor" else self.backbone

    def _draw(self, key: str, pieces: list[Piece]) -> None:
        """Weights for all of `pieces`, which share them: those of the widest are drawn."""
        modules = [_on_meta(piece) for piece in pieces]
        shapes = [tuple(tuple(one.shape) for one in module.parameters()) for module in modules]
        widest = [
            piece for piece, shape in zip(pieces, shapes, strict=True) if not any(_holds(o, shape) for o in shapes)
        ]
        weights = self._weights(pieces[0])
        for name, several in zip(dict(modules[0].named_parameters()), zip(*shapes, strict=True), strict=True):
            most = tuple(map(max, zip(*several, strict=True))) if several[0] else ()
            weights[_name(key, name)] = nn.Parameter(torch.zeros(most))
        for piece in widest:
            drawn = _build(piece)
            if piece.place != "regressor":
                initialize(drawn)
            with torch.no_grad():
                for name, value in drawn.named_parameters():
                    weights[_name(key, name)][tuple(map(slice, value.shape))] = value
        if isinstance(regressor := modules[0], MeanRegressor):
            outputs = regressor.output_biases()
            named = regressor.named_parameters()
            self.regressor.outputs |= {_name(key, name) for name, one in named if any(one is out for out in outputs)}


_POOL = GlobalPool()


def _pieces_of(space: Space, values: Values) -> list[Piece]:
    """The parts of the network of `values`, from the image to the parameters."""
    stem, head, regressor = space.stem.pick(values), space.head.pick(values), space.regressor.pick(values)
    assert stem is not None
    assert regressor is not None
    pieces = [Piece("stem", stem, 3)]
    channels = maps_of_stem(stem, space.image_sizes[0]).channels
    for number, stage in enumerate(space.stages):
        for index, block in enumerate(stage.pick(values)):
            pieces.append(Piece(f"stage{number}-{index}", block.options, channels, block))
            channels = block.out
    if head is not None:
        pieces.append(Piece("head", head, channels))
        channels = dict(head)["out"]
    return [*pieces, Piece("regressor", regressor, channels)]


def _all_pieces(space: Space) -> Iterator[Piece]:
    """Every part of every network of `space`, and parts that are in none only because of what stands elsewhere."""
    before: dict[int, None] = {}
    for stem in space.stem.all():
        assert stem is not None
        yield Piece("stem", stem, 3)
        before[maps_of_stem(stem, space.image_sizes[0]).channels] = None
    for number, stage in enumerate(space.stages):
        for block in stage.first():
            yield from (
                Piece(f"stage{number}-0", block.options, inputs, block)
                for inputs in before
                if not problem(block, inputs)
            )
        for index in range(1, max(stage.repeats)):
            for options in stage.blocks[index if stage.each else 0].all():
                assert options is not None
                for out in stage.outs:
                    block = Block(options, out, 1)
                    if not problem(block, out):
                        yield Piece(f"stage{number}-{index}", options, out, block)
        before = (before if 0 in stage.repeats else {}) | dict.fromkeys(stage.outs)
    features: dict[int, None] = {}
    for head in space.head.all():
        if head is None:
            features |= before
        else:
            yield from (Piece("head", head, inputs) for inputs in before)
            features[dict(head)["out"]] = None
    for options in space.regressor.all():
        assert options is not None
        yield from (Piece("regressor", options, inputs) for inputs in features)


def _build(piece: Piece) -> nn.Module:
    options = thawed(piece.options)
    if piece.block is not None:
        return blocks.build(options, piece.inputs, piece.block.out, piece.block.stride, place="block")
    if piece.place == "stem":
        return build_stem(options)[0]
    return build_head(options, piece.inputs)[0] if piece.place == "head" else build_regressor(options, piece.inputs)


@lru_cache(maxsize=4096)
def _on_meta(piece: Piece) -> nn.Module:
    """The part without values, in training mode, its batch norms without statistics."""
    with only_shapes():
        module = _build(piece).train()
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    return module


@lru_cache(maxsize=4096)
def _key(piece: Piece) -> str:
    """What the weights of a part are called: parts of the same name share them."""
    kept = {name: value for name, value in piece.options if name not in WIDTHS}
    layers = [(name, one.ndim) for name, one in _on_meta(piece).named_parameters()]
    told = json.dumps([kept, piece.block.stride if piece.block else None, layers], sort_keys=True)
    return f"{piece.place}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _name(key: str, name: str) -> str:
    return f"{key}-{name.replace('.', '-')}"


def _holds(one: tuple[tuple[int, ...], ...], other: tuple[tuple[int, ...], ...]) -> bool:
    """Whether tensors of the shapes `one` hold those of the shapes `other`, and are not the same."""
    pairs = [pair for shapes in zip(one, other, strict=True) for pair in zip(*shapes, strict=True)]
    return one != other and all(a >= b for a, b in pairs)
