"""MobileNetV2 in the two layouts."""

from __future__ import annotations

import torch
from support.backbones import LOGITS, randomise

from hmr_light.backbones import build_backbone


def test_the_reference_layout_of_mobilenet_v2_is_the_same_network() -> None:
    plain, reference = (
        build_backbone({"name": "mobilenet_v2", "layout": layout, "adapter": LOGITS}).eval()
        for layout in ("torchvision", "reference")
    )
    randomise(plain)
    for own, other in zip(reference.state_dict().values(), plain.state_dict().values(), strict=True):
        own.copy_(other)
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(reference(image), plain(image))
