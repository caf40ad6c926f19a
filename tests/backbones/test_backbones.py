"""Every backbone choice: counts, sizes, configuration."""

from __future__ import annotations

from typing import Any

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from hmr_light.backbones import backbones, build_backbone
from hmr_light.errors import UserError
from hmr_light.paths import conf_dir

CHOICES = sorted(file.stem for file in (conf_dir() / "backbone").glob("*.yaml"))

# parameters of trunk and adapter together, number of features
COUNTS = {
    "resnet18": (11_176_512, 512),
    "resnet34": (21_284_672, 512),
    "resnet50": (23_508_032, 2048),
    "mobilenet_v2": (3_504_872, 1000),
    "squeezenet1_0": (1_786_048, 2048),
    "squeezenet1_0_logits": (1_248_424, 1000),
    "squeezenet1_1": (1_773_120, 2048),
    "blank": (0, 0),
}


def config_of(choice: str, *overrides: str) -> dict[str, Any]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(overrides=[f"+backbone={choice}", *overrides])
    return OmegaConf.to_container(config.backbone)  # type: ignore[return-value]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_has_its_exact_number_of_parameters(choice: str) -> None:
    backbone = build_backbone(config_of(choice))
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert (parameters, backbone.num_features) == COUNTS[choice]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_takes_images_of_any_size(choice: str) -> None:
    backbone = build_backbone(config_of(choice)).eval()
    for height, width in ((96, 96), (225, 131), (384, 384)):
        with torch.no_grad():
            features = backbone(torch.rand(2, 3, height, width))
        assert features.shape == (2, backbone.num_features)
        assert features.dtype == torch.float32
        assert features.isfinite().all()


def test_every_registered_backbone_is_a_choice() -> None:
    assert {config_of(choice)["name"] for choice in CHOICES} == set(backbones.names())


def test_hmrs_squeezenet_is_torchvisions_with_2048_classes() -> None:
    import torchvision

    reference = torchvision.models.squeezenet1_0(num_classes=2048).eval()
    backbone = build_backbone(config_of("squeezenet1_0")).eval()
    for own, other in zip(backbone.parameters(), reference.parameters(), strict=True):
        own.data.copy_(other)
    image = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), reference(image), atol=0, rtol=0)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_the_logits_are_torchvisions(name: str) -> None:
    import torchvision

    torch.manual_seed(0)
    reference = torchvision.models.get_model(name, weights=None).eval()
    backbone = build_backbone({"name": name, "adapter": {"name": "logits"}}).eval()
    for own, other in zip(backbone.state_dict().values(), reference.state_dict().values(), strict=True):
        own.copy_(other)
    image = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), reference(image), atol=0, rtol=0)


def test_the_adapter_is_a_choice_of_its_own() -> None:
    pooled = config_of("squeezenet1_0", "backbone/adapter=pooled")
    assert pooled["adapter"] == {"name": "pooled"}
    assert build_backbone(pooled).num_features == 512
    assert build_backbone({"name": "squeezenet1_0"}).num_features == 512  # pooled, where none is named
    linear = build_backbone(config_of("mobilenet_v2", "backbone/adapter=linear", "backbone.adapter.features=100"))
    assert linear.num_features == 100
    trunk = 3_504_872 - 1_281_000
    assert sum(parameter.numel() for parameter in linear.parameters()) == trunk + 1281 * 100


def test_pooled_features_are_the_means_of_the_maps() -> None:
    backbone = build_backbone({"name": "resnet18"}).eval()
    image = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        expected = backbone.trunk(image).mean((2, 3))  # type: ignore[operator]
        torch.testing.assert_close(backbone(image), expected)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_dropout_of_the_logits_can_be_chosen(rate: float) -> None:
    backbone = build_backbone({"name": "squeezenet1_0", "adapter": {"name": "logits", "dropout": rate}})
    rates = [module.p for module in backbone.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [rate]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "resnet_50"}, "backbone.name=resnet_50"),
        ({"name": "resnet18", "adaptor": None}, "backbone.adaptor"),
        ({"name": "resnet18", "adapter": {"name": "convolution"}}, "backbone.adapter.name=convolution"),
        ({"name": "resnet18", "adapter": {"name": "pooled", "features": 7}}, "backbone.adapter.features"),
        ({"name": "resnet18", "adapter": {"name": "conv", "features": 0}}, "backbone.adapter.features=0"),
        ({"name": "resnet18", "adapter": {"name": "conv"}}, "backbone.adapter.features is missing"),
        (
            {"name": "resnet18", "adapter": {"name": "linear", "features": 8, "dropout": 1.0}},
            "backbone.adapter.dropout=1.0",
        ),
        ({"name": "blank", "weights": "imagenet"}, "backbone.weights='imagenet' is not null"),
    ],
)
def test_a_wrong_choice_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_backbone(config)
    assert message in caught.value.message
    assert caught.value.remedy
