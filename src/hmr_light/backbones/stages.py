"""A network from a list of blocks: what a search writes is an ordinary configuration, read without the search."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, conv_bn, nearest_multiple
from hmr_light.backbones.squeezenet import max_pool
from hmr_light.backbones.stage_blocks import ACTIVATIONS, Activation, blocks, check_kernel
from hmr_light.config.registry import check_options, defaults_of
from hmr_light.errors import UserError

MOST_MAPS = 8192
"""Of one layer."""
MOST_BLOCKS = 64
"""Of one stage."""


@backbones.register("stages")
def stages(
    *,
    stages: Sequence[Any],
    stem: Mapping[str, Any] | None = None,
    head: Mapping[str, Any] | None = None,
    width: float = 1.0,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """A stem, `stages`, and on demand a head, whose last maps are the features.

    A stage is a mapping: `block` (a name of `stage_blocks.blocks`), `out` (its number of maps), `stride` (1 or 2, of
    its first block), `repeat` (its number of blocks), and options of the block. `stem` has the options of `_stem`,
    `head` those of `_head`; without a head the features are the last stage's. `width` multiplies the maps of stem and
    stages, rounded to multiples of 8 as in MobileNetV2. Raises `UserError` that names the stage for a list that cannot
    be built.
    """
    if not 0 < width <= 16:
        raise UserError(f"backbone.width={width} is out of range", "Give more than 0 and at most 16.")
    if not stages:
        raise UserError("backbone.stages is an empty list", "Give at least one stage, such as {block: fire, out: 64}.")
    first, inputs = build_stem(stem or {}, width)
    trunk: OrderedDict[str, nn.Module] = OrderedDict(stem=first)
    for number, stage in enumerate(stages):
        trunk[f"stage{number}"], inputs = _stage(f"backbone.stages[{number}]", stage, inputs, width)
    if head is not None:
        trunk["head"], inputs = build_head(head, inputs)
    classifier = nn.Sequential(GlobalPool(), nn.Dropout(0.2), nn.Linear(inputs, 1000))
    return own_network("stages", nn.Sequential(trunk), inputs, classifier, weights, adapter)


def build_stem(options: Mapping[str, Any], width: float = 1.0, place: str = "backbone.stem") -> tuple[nn.Module, int]:
    """The first layers that `options` describe, which stand at `place`, and the number of their maps."""
    return _part(place, _stem, options, width)


def build_head(options: Mapping[str, Any], inputs: int, place: str = "backbone.head") -> tuple[nn.Module, int]:
    """The last layer that `options` describe, for `inputs` maps, and the number of its maps."""
    return _part(place, _head, options, inputs)


def stem_defaults() -> dict[str, Any]:
    """The options of a stem that need not be given."""
    return defaults_of(_stem)


def head_defaults() -> dict[str, Any]:
    """The options of a head that need not be given."""
    return defaults_of(_head)


def _stem(
    width: float,
    *,
    out: int = 32,
    kernel: int = 3,
    stride: Literal[1, 2] = 2,
    activation: Activation = "relu",
    norm: bool = True,
    pool: bool = False,
    padded: bool = True,
) -> tuple[nn.Module, int]:
    """A convolution of the image and, with `pool`, max pooling by 2: `out` maps.

    Without `norm` the convolution is biased instead of normalised. `padded: false` is SqueezeNet's way: neither layer
    is padded, and pooling rounds up.
    """
    outputs = _scaled(out, width)
    check_kernel(kernel)
    convolution = nn.Conv2d(3, outputs, kernel, stride, kernel // 2 if padded else 0, bias=not norm)
    layers = [convolution, *([nn.BatchNorm2d(outputs)] if norm else []), ACTIVATIONS[activation](inplace=True)]
    if pool:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1) if padded else max_pool())
    return nn.Sequential(*layers), outputs


def _head(inputs: int, *, out: int, activation: Activation = "relu") -> tuple[nn.Module, int]:
    """A last 1×1 convolution to `out` maps, which `width` does not multiply."""
    return conv_bn(inputs, _scaled(out, 1), activation=ACTIVATIONS[activation]), out


def _blocks_of(*, out: int, stride: Literal[1, 2] = 1, repeat: int = 1) -> tuple[int, int, int]:
    """What every stage has besides its block and the block's options."""
    if not 1 <= repeat <= MOST_BLOCKS:
        raise UserError(f"repeat={repeat} is out of range", f"Give a number of blocks from 1 to {MOST_BLOCKS}.")
    return out, stride, repeat


def _stage(place: str, stage: Any, inputs: int, width: float) -> tuple[nn.Sequential, int]:
    """The blocks of the stage that stands at `place`, and the number of maps that they give."""
    if not isinstance(stage, Mapping):
        raise UserError(f"{place}={stage!r} is not a mapping", "Give one such as {block: fire, out: 64}.")
    common = {key: stage[key] for key in ("out", "stride", "repeat") if key in stage}
    options = {key: value for key, value in stage.items() if key not in common}
    out, stride, repeat = _part(place, _blocks_of, common)
    layers = nn.Sequential()
    for index in range(repeat):
        try:
            outputs = _scaled(out, width)
            layers.append(blocks.build(options, inputs, outputs, 1 if index else stride, place=place))
        except UserError as error:
            raise _placed(error, place, f"block={stage.get('block')}") from error
        inputs = outputs
    return layers, inputs


def _part(place: str, builder: Any, options: Mapping[str, Any], *context: Any) -> Any:
    """What `builder` makes of `options`, checked; `UserError`s say that they stand at `place`."""
    known = dict(options)
    check_options(place, place.rpartition(".")[2], builder, known, key=None)
    try:
        return builder(*context, **known)
    except UserError as error:
        raise _placed(error, place) from error


def _placed(error: UserError, place: str, what: str = "") -> UserError:
    if error.message.startswith(place):
        return error
    return UserError(f"{place}{f' ({what})' if what else ''}: {error.message}", error.remedy)


def _scaled(out: int, width: float) -> int:
    """`out` maps times `width`, in multiples of 8; a width of 1 changes nothing."""
    if not 1 <= out <= MOST_MAPS or out * width > MOST_MAPS:
        raise UserError(f"out={out} is out of range", f"Give a number of maps from 1 to {MOST_MAPS}, `width` included.")
    return out if width == 1 else nearest_multiple(8, out * width)
