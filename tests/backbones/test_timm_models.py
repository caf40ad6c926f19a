"""Models of timm, where it is installed, and the message where it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.cli import compose

from hmr_light.backbones import build_backbone
from hmr_light.commands import train
from hmr_light.errors import UserError


def config(name: str, **options: Any) -> dict[str, Any]:
    return {"library": "timm", "name": name, **options}


def test_without_timm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what the import system does for a module that there is not
    with pytest.raises(UserError) as caught:
        build_backbone(config("mobilenetv4_conv_small"))
    assert "timm, which is not installed" in caught.value.message
    assert "hmr-light[timm]" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "features", "size"),
    [
        ("mobilenetv4_conv_small", 1280, 96),
        ("resnet18", 512, 128),
        ("lcnet_050", 1280, 96),
        ("convnext_atto", 320, 96),
        ("vit_tiny_patch16_224", 192, 224),
        ("deit_tiny_distilled_patch16_224", 192, 224),
    ],
)
def test_features_are_what_timm_pools(name: str, features: int, size: int) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    backbone = build_backbone(config(name)).eval()
    reference = timm.create_model(name, num_classes=0).eval()
    reference.load_state_dict(backbone.trunk.model.state_dict())  # type: ignore[union-attr]
    image = torch.rand(2, 3, size, size)
    with torch.no_grad():
        found = backbone(image)
        assert found.shape == (2, features) == (2, backbone.num_features)
        torch.testing.assert_close(found, reference(image))


def test_logits_and_weights_are_timms(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    reference = timm.create_model("lcnet_050").eval()
    path = tmp_path / "lcnet.pth"
    torch.save(reference.state_dict(), path)
    backbone = build_backbone(config("lcnet_050", weights=str(path), adapter={"name": "logits"})).eval()
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), reference(image))


def test_mistakes_are_named(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    no_logits = "no linear classifier of 1000 logits"
    for wrong, message in [
        (config("mobilenetv4_conv_smal"), "backbone.name=mobilenetv4_conv_smal is not a model of timm"),
        (config("lcnet_050", width=2), "backbone.width"),
        (
            config("vit_tiny_patch16_224.augreg_in21k", adapter={"name": "logits"}),
            "no linear classifier of 1000 logits",
        ),
        (config("deit_tiny_distilled_patch16_224", adapter={"name": "logits"}), no_logits),
        (config("lcnet_050", weights=str(tmp_path / "none.pth")), "there is no such file"),
    ]:
        with pytest.raises(UserError) as caught:
            build_backbone(wrong)
        assert message in caught.value.message
        assert caught.value.remedy


@pytest.mark.parametrize("prefix", ["hf_hub:timm/", "hf-hub:timm/", "timm/"])
def test_a_name_as_the_hub_writes_it_gets_timms_name(prefix: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(UserError) as caught:
        build_backbone(config(f"{prefix}resnet10t.c3_in1k"))
    assert caught.value.remedy == "Did you mean 'resnet10t.c3_in1k'?"
    with pytest.raises(UserError) as caught:
        build_backbone(config(f"{prefix}resnext10t"))
    assert "resne" in caught.value.remedy
    assert "--help" not in caught.value.remedy


def test_pretrained_weights_that_cannot_be_had_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"backbone.weights=imagenet: timm could not build it"):
        build_backbone(config("mobilenetv4_conv_small", weights="imagenet"))


def test_a_size_that_does_not_fit_is_told_before_anything_is_written(home: Path, quick: list[str]) -> None:
    pytest.importorskip("timm")
    options = ["backbone=timm", "backbone.name=vit_tiny_patch16_224", "data.image_size=64"]
    with pytest.raises(UserError, match="cannot take images of 64 pixels") as caught:
        train.run(compose("train", *quick[1:], *options))
    assert "data.image_size=224" in caught.value.remedy
    assert not (home / "outputs").exists()
