"""ResNet-50's published counts."""

from __future__ import annotations

from support.backbones import classifier, outputs, total_macs
from torch import nn

from hmr_light.backbones import build_backbone


def test_resnet50s_published_macs_are_of_its_first_version() -> None:
    # 3.87 G: strides in the first 1×1 convolutions, and one for each output of a normalisation.
    model = classifier("resnet50")
    for block in model.modules():
        if hasattr(block, "conv3"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    normalised = sum(n for layer, n in outputs(model, (1, 3, 224, 224)) if isinstance(layer, nn.BatchNorm2d))
    assert (total_macs(model), normalised) == (3_857_973_248, 10_587_136)


def test_resnet50_pooled() -> None:
    assert total_macs(build_backbone({"name": "resnet50"})) == 4_087_136_256
