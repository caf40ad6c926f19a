"""Every backbone choice: counts, sizes, configuration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.backbones import CHOICES, config_of

from hmr_light.backbones import backbones, build_backbone
from hmr_light.errors import UserError

# parameters of trunk and adapter together, number of features
COUNTS = {
    "blank": (0, 0),
    "densenet121": (9_053_056, 2048),
    "densenet169": (14_149_480, 1000),
    "densenet201": (20_013_928, 1000),
    "efficientnet_lite0": (3_371_008, 1280),
    "efficientnet_lite1": (4_135_680, 1280),
    "efficientnet_lite2": (4_811_072, 1280),
    "mobilenet_fire": (3_579_448, 1000),
    "mobilenet_v1": (4_231_976, 1000),
    "mobilenet_v2": (3_504_872, 1000),
    "mobilenet_v2_movenet": (2_223_872, 1280),
    "mobilenet_v2_reference": (3_504_872, 1000),
    "mobilenet_v3_large": (5_483_032, 1000),
    "mobilenet_v3_reference": (2_938_368, 1000),
    "mobilenet_v3_small": (2_542_856, 1000),
    "resnet18": (11_176_512, 512),
    "resnet34": (21_284_672, 512),
    "resnet50": (23_508_032, 2048),
    "shufflenet_fire": (2_224_048, 1000),
    "shufflenet_residual": (2_278_604, 1000),
    "shufflenet_v1": (1_865_728, 1000),
    "shufflenet_v1_reference": (1_877_920, 1000),
    "shufflenet_v2_x0_5": (1_366_792, 1000),
    "shufflenet_v2_x1_0": (2_278_604, 1000),
    "shufflenet_v2_x1_5": (3_503_624, 1000),
    "shufflenet_v2_x2_0": (7_393_996, 1000),
    "snet49": (875_548, 1000),
    "snet146": (1_572_748, 1000),
    "snet535": (4_535_144, 1000),
    "squeezenet": (1_786_048, 2048),
    "squeezenet1_0": (1_786_048, 2048),
    "squeezenet1_0_logits": (1_248_424, 1000),
    "squeezenet1_1": (1_773_120, 2048),
    "squeezenet_2": (2_210_296, 1000),
    "squeezenet_bottleneck": (832_488, 1000),
    "squeezenet_bypass": (1_786_048, 2048),
    "squeezenext23": (724_056, 1000),
    "stages": (351_864, 320),
    "thundernet146": (1_043_748 + 324_135 + 69_847 + 63_210, 245),
    "timm": (2_493_024, 1280),
}


def built(choice: str) -> torch.nn.Module:
    if choice == "timm":
        pytest.importorskip("timm")
    return build_backbone(config_of(choice))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_has_its_exact_number_of_parameters(choice: str) -> None:
    backbone = built(choice)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert (parameters, backbone.num_features) == COUNTS[choice]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_takes_images_of_any_size(choice: str) -> None:
    backbone = built(choice).eval()
    for height, width in ((96, 96), (224, 224), (225, 131), (384, 384)):
        with torch.no_grad():
            features = backbone(torch.rand(1, 3, height, width))
        assert features.shape == (1, backbone.num_features)
        assert features.dtype == torch.float32
        assert features.isfinite().all()


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "blank"])
def test_every_choice_gives_the_same_in_both_memory_layouts(choice: str) -> None:
    torch.manual_seed(0)
    backbone = built(choice)
    image = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        backbone.train()(image)  # so that normalisation has statistics, and the outputs a scale
        expected = backbone.eval()(image)
        found = backbone.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * expected.abs().max().item())


def test_every_registered_backbone_is_a_choice() -> None:
    configs = [config_of(choice) for choice in CHOICES]
    assert {config["name"] for config in configs if "library" not in config} == set(backbones.names())


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v2", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "densenet121"],
)
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
        ({"name": "mobilenet_v1", "width": 0.0}, "backbone.width=0.0"),
        ({"name": "mobilenet_v1", "form": "deep"}, "backbone.form='deep' is not 'separable' or 'full' or 'shallow'"),
        ({"name": "mobilenet_v2", "width": -1.0}, "backbone.width=-1.0"),
        ({"name": "mobilenet_fire", "squeeze_ratio": 2.0}, "backbone.squeeze_ratio=2.0"),
        ({"name": "shufflenet_v1", "groups": 5}, "backbone.groups=5"),
        ({"name": "shufflenet_v1", "scale": 100.0}, "backbone.scale=100.0"),
        ({"name": "shufflenet_fire", "squeeze_ratio": 0.0}, "backbone.squeeze_ratio=0.0"),
        ({"name": "squeezenet", "squeeze_ratio": 0.0}, "backbone.squeeze_ratio=0.0"),
        ({"name": "squeezenet", "share_3x3": 1.0}, "backbone.share_3x3=1.0"),
        ({"name": "squeezenet", "bypass": "double"}, "backbone.bypass='double'"),
        ({"name": "squeezenext23", "width": 0.0}, "backbone.width=0.0"),
        ({"name": "densenet121", "growth_rate": 0}, "backbone.growth_rate=0"),
        ({"name": "densenet121", "growth_rate": 10**9}, "backbone.growth_rate=1000000000 is too large"),
        ({"name": "snet49", "spatial_attention": True}, "backbone.spatial_attention=true"),
        ({"name": "shufflenet_v1", "weights": "imagenet"}, "torchvision has no shufflenet_v1"),
        ({"name": "resnet18", "library": "keras"}, "backbone.library=keras"),
        ({"name": "resnet18", "rewrites": "squeeze_3x3"}, "backbone.rewrites='squeeze_3x3' is not a list"),
        ({"name": "resnet18", "rewrites": ["squeeze_5x5"]}, "there is no squeeze_5x5"),
        ({"name": "resnet18", "rewrites": ["split_5x5"]}, "split_5x5 finds no such convolution"),
    ],
)
def test_a_wrong_choice_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_backbone(config)
    assert message in caught.value.message
    assert caught.value.remedy
