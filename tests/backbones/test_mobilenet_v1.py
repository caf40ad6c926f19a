"""MobileNetV1: the counts that its paper prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from support.backbones import classifier, macs, parameters, total_macs
from torch import nn

from hmr_light.backbones.mobilenet_v1 import depthwise_separable, full_convolution


@pytest.mark.parametrize(
    ("width", "size", "expected"),
    [(1.0, 192, 418_121_728), (1.0, 160, 290_675_200), (1.0, 128, 186_400_768), (0.5, 160, 76_524_800)],
)
def test_mobilenet_v1s_resolution_multiplier_is_the_image_size(width: float, size: int, expected: int) -> None:
    assert total_macs(classifier("mobilenet_v1", width=width), size) == expected


def test_conv_mobilenets_4866_millions_are_without_the_classifier() -> None:
    model = classifier("mobilenet_v1", form="full")
    assert total_macs(model) - 1024 * 1000 == 4_866_269_184


def layer_type(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return "fc"
    assert isinstance(layer, nn.Conv2d)
    if layer.groups > 1:
        return "depthwise"
    return "conv1x1" if layer.kernel_size == (1, 1) else "conv3x3"


def test_mobilenet_v1s_shares_by_layer_type() -> None:
    # Its table 2, whose 1.19 % of conv3x3's multiply-adds is a misprint of 1.91; parameters are weights alone.
    model = classifier("mobilenet_v1")
    weights: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    for layer, number in macs(model, (1, 3, 224, 224)):
        operations[layer_type(layer)] += number
        weights[layer_type(layer)] += layer.weight.numel()  # type: ignore[union-attr, operator]
    assert weights.total() == 4_209_088
    assert {name: round(100 * number / operations.total(), 3) for name, number in operations.items()} == {
        "conv3x3": 1.906, "depthwise": 3.057, "conv1x1": 94.857, "fc": 0.18
    }  # fmt: skip
    assert {name: round(100 * number / weights.total(), 3) for name, number in weights.items()} == {
        "conv3x3": 0.021, "depthwise": 1.061, "conv1x1": 74.591, "fc": 24.328
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "width", "size", "expected"),
    [
        (full_convolution, 512, 14, (462_422_016, 2_359_296)),
        (depthwise_separable, 512, 14, (52_283_392, 266_752)),
        (depthwise_separable, 384, 14, (29_578_752, 150_912)),
        (depthwise_separable, 384, 10, (15_091_200, 150_912)),
    ],
)
def test_mobilenet_v1s_layer_example(
    make: Callable[[int, int, int], nn.Module], width: int, size: int, expected: tuple[int, int]
) -> None:
    # Its table 3: an inner layer, by steps.
    layer = make(width, width, 1)
    assert (sum(n for _, n in macs(layer, (1, width, size, size))), parameters(layer, nn.BatchNorm2d)) == expected
