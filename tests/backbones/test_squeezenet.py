"""SqueezeNet: its family, its bypasses, and the counts that its paper prints."""

from __future__ import annotations

import pytest
import torch
from support.backbones import LOGITS, classifier, config_of, parameters, total_macs
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.blocks import Residual


def test_the_squeezenet_family_begins_with_torchvisions() -> None:
    import torchvision

    reference = torchvision.models.squeezenet1_0().eval()
    own = build_backbone({"name": "squeezenet", "adapter": LOGITS}).eval()
    assert [name.removeprefix("trunk.") for name in own.state_dict() if name.startswith("trunk.")] == [
        name.removeprefix("features.") for name in reference.state_dict() if name.startswith("features.")
    ]
    own.load_state_dict(dict(zip(own.state_dict(), reference.state_dict().values(), strict=True)))
    image = torch.rand(2, 3, 127, 96)
    with torch.no_grad():
        torch.testing.assert_close(own(image), reference(image))


@pytest.mark.parametrize(("squeeze_ratio", "share_3x3"), [(0.125, 0.5), (0.75, 0.25), (0.5, 0.99), (0.01, 0.01)])
def test_squeezenets_parameters_set_the_widths_of_fire_modules(squeeze_ratio: float, share_3x3: float) -> None:
    trunk = build_backbone({"name": "squeezenet", "squeeze_ratio": squeeze_ratio, "share_3x3": share_3x3}).trunk
    fires = [module for module in trunk.modules() if hasattr(module, "expand3x3")]  # type: ignore[union-attr]
    assert len(fires) == 8
    for fire, expanded in zip(fires, (128, 128, 256, 256, 384, 384, 512, 512), strict=True):
        assert fire.squeeze.out_channels == max(1, round(squeeze_ratio * expanded))
        assert fire.expand3x3.out_channels == max(1, round(share_3x3 * expanded))
        assert fire.expand1x1.out_channels + fire.expand3x3.out_channels == expanded


@pytest.mark.parametrize(("bypass", "expected"), [("none", (0, 0)), ("simple", (4, 0)), ("complex", (4, 4))])
def test_squeezenets_bypasses(bypass: str, expected: tuple[int, int]) -> None:
    trunk = build_backbone({"name": "squeezenet", "bypass": bypass}).trunk
    shortcuts = [block.shortcut for block in trunk.modules() if isinstance(block, Residual)]  # type: ignore[union-attr]
    identities = sum(shortcut is None for shortcut in shortcuts)
    assert (identities, sum(isinstance(shortcut, nn.Conv2d) for shortcut in shortcuts)) == expected


def test_hmrs_squeezenet_is_torchvisions_with_2048_classes() -> None:
    import torchvision

    reference = torchvision.models.squeezenet1_0(num_classes=2048).eval()
    backbone = build_backbone(config_of("squeezenet1_0")).eval()
    for own, other in zip(backbone.parameters(), reference.parameters(), strict=True):
        own.data.copy_(other)
    image = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), reference(image), atol=0, rtol=0)


def test_squeezenets_layers() -> None:
    # Table 1's last but one column.
    model = classifier("squeezenet")
    layers = [*model.trunk, *model.adapter]  # type: ignore[misc]
    assert [parameters(layer) for layer in layers if parameters(layer)] == [
        14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000
    ]  # fmt: skip


@pytest.mark.parametrize(("padding", "expected"), [(0, 832_667_936), (1, 861_339_936)])
def test_squeezenets_published_macs_are_of_images_of_227_pixels(padding: int, expected: int) -> None:
    # 861.34 M as released, whose conv10 is padded; 833 M in ShuffleNet's paper.
    model = classifier("squeezenet1_0")
    conv10 = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    conv10.padding = (padding, padding)
    assert total_macs(model, 227) == expected


def test_squeezenets_parameters_after_pruning() -> None:
    # Table 1's last column, by the densities beside it; fire8's 33 % is a misprint of 30. Biases are not pruned.
    densities = [
        (1.0,), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33),
        (1.0, 0.5, 0.33), (0.5, 1.0, 0.33), (1.0, 0.5, 0.30), (0.5, 1.0, 0.30), (0.2,),
    ]  # fmt: skip
    model = classifier("squeezenet")
    layers = [layer for layer in (*model.trunk, *model.adapter) if parameters(layer)]  # type: ignore[misc]
    kept = []
    for layer, shares in zip(layers, densities, strict=True):
        convolutions = [inner for inner in layer.modules() if isinstance(inner, nn.Conv2d)]
        weights = sum(c.weight.numel() * round(100 * d) for c, d in zip(convolutions, shares, strict=True))
        kept.append(-(-weights // 100) + sum(c.bias.numel() for c in convolutions if c.bias is not None))
    assert kept == [14_208, 5_746, 6_258, 20_646, 24_742, 44_700, 46_236, 77_581, 77_581, 103_400]
    assert sum(kept) == 421_098
