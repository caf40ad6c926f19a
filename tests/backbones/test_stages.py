"""A network from a list of blocks: known networks to the last weight, and lists that cannot be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.cli import compose
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.stage_blocks import blocks
from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.cost.activations import peak_activation_elements
from hmr_light.cost.layers import trace_layers
from hmr_light.cost.macs import count_macs
from hmr_light.errors import UserError
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import HMR, build_model
from hmr_light.model.regressors import build_regressor

RELU6 = {"activation": "relu6"}
MOBILENET_V2: dict[str, Any] = {
    "stem": {"out": 32, **RELU6},
    # Table 2 of its paper: t, c, n, s.
    "stages": [
        {"block": "inverted_residual", "expand": t, "out": c, "repeat": n, "stride": s}
        for t, c, n, s in (
            *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)),
            *((6, 160, 3, 2), (6, 320, 1, 1)),
        )
    ],
    "head": {"out": 1280, **RELU6},
}
KNOWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mobilenet_v2": ({}, MOBILENET_V2),
    "mobilenet_v2 at half width": ({"name": "mobilenet_v2", "width": 0.5}, MOBILENET_V2 | {"width": 0.5}),
    "shufflenet_v2_x1_0": (
        {},
        {
            "stem": {"out": 24, "pool": True},
            "stages": [
                {"block": "shuffle_v2", "out": out, "stride": 2, "repeat": repeat}
                for out, repeat in ((116, 4), (232, 8), (464, 4))
            ],
            "head": {"out": 1024},
        },
    ),
    "shufflenet_v1": (
        {"groups": 4, "squeeze_excitation": True},
        {
            "stem": {"out": 24, "pool": True},
            "stages": [
                {"block": "shuffle_v1", "groups": 4, "squeeze_excitation": True, **stage}
                for stage in (
                    {"out": 272, "stride": 2, "group_first": False},
                    {"out": 272, "repeat": 3},
                    {"out": 544, "stride": 2, "repeat": 8},
                    {"out": 1088, "stride": 2, "repeat": 4},
                )
            ],
        },
    ),
    "squeezenet1_0": (
        {},
        {
            "stem": {"out": 96, "kernel": 7, "norm": False, "pool": True, "padded": False},
            "stages": [
                {"block": "fire", "out": out, "repeat": repeat, "stride": stride}
                for out, repeat, stride in (
                    *((128, 2, 1), (256, 1, 1), (256, 1, 2), (384, 2, 1), (512, 1, 1), (512, 1, 2)),
                )
            ],
        },
    ),
    "resnet18": (
        {},
        {
            "stem": {"out": 64, "kernel": 7, "pool": True},
            "stages": [
                {"block": "residual", "out": out, "repeat": 2, "stride": stride}
                for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2))
            ],
        },
    ),
    "resnet50": (
        {},
        {
            "stem": {"out": 64, "kernel": 7, "pool": True},
            "stages": [
                {"block": "bottleneck", "out": out, "repeat": repeat, "stride": stride}
                for out, repeat, stride in ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2))
            ],
        },
    ),
    "mobilenet_v1": (
        {},
        {
            "stages": [
                {"block": "separable", "out": out, "repeat": repeat, "stride": stride}
                for out, repeat, stride in (*((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)),)
            ],
        },
    ),
}


def from_stages(**options: Any) -> nn.Module:
    return build_backbone({"name": "stages", "stages": [{"block": "fire", "out": 16}], **options})


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_network_is_the_same_from_a_list(name: str) -> None:
    torch.manual_seed(0)
    options, listed = KNOWN[name]
    family = build_backbone({"name": name} | options).eval()
    own = from_stages(**listed).eval()
    assert own.num_features == family.num_features
    assert sum(value.numel() for value in own.parameters()) == sum(value.numel() for value in family.parameters())
    for value in family.state_dict().values():
        if value.dim() == 1:  # biases and statistics too, so that every tensor shows
            nn.init.uniform_(value, 0.5, 1.5)
    for one, other in zip(own.state_dict().values(), family.state_dict().values(), strict=True):
        assert one.shape == other.shape
        one.copy_(other)
    for size in ((96, 96), (131, 65)):
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            assert torch.equal(own(image), family(image))
    regressor = build_regressor({"name": "linear"}, family.num_features)  # type: ignore[arg-type]
    assert count_macs(HMR(own, regressor), 96) == count_macs(HMR(family, regressor), 96)
    assert peak_activation_elements(own, 96) == peak_activation_elements(family, 96)


def test_every_block_is_tried() -> None:
    assert {stage["block"] for _, listed in KNOWN.values() for stage in listed["stages"]} == set(blocks.names()) - {
        "conv"
    }


VARIANTS: list[dict[str, Any]] = [
    {"block": "conv", "kernel": 5, "groups": 4, "activation": "silu", "squeeze_excitation": True},
    {"block": "separable", "kernel": 7, "squeeze_excitation": True},
    {"block": "inverted_residual", "kernel": 5, "expand": 2.5, "squeeze_excitation": True, "activation": "hardswish"},
    {"block": "inverted_residual", "expand": 0.5},
    {"block": "fire", "norm": True, "shortcut": True, "squeeze_excitation": True, "share_3x3": 0.25},
    {"block": "shuffle_v1", "kernel": 5, "groups": 2, "squeeze_excitation": True},
    {"block": "shuffle_v2", "kernel": 7, "form": "xception", "squeeze_excitation": True},
    {"block": "shuffle_v2", "residual": True},
    {"block": "residual", "kernel": 5, "squeeze_excitation": True},
    {"block": "bottleneck", "kernel": 5, "groups": 2, "squeeze_ratio": 0.5, "squeeze_excitation": True},
]


@pytest.mark.parametrize("stage", VARIANTS, ids=lambda stage: f"{stage['block']}-{len(stage)}")
def test_every_variant_of_a_block_trains_fuses_and_is_counted(stage: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(
        {
            "backbone": {
                "name": "stages",
                "stem": {"out": 8},
                "stages": [{**stage, "out": 16, "stride": 2, "repeat": 2}, {**stage, "out": 32, "stride": 2}],
            },
            "regressor": {"name": "linear"},
        }
    )
    network = model.backbone
    image = torch.randn(2, 3, 64, 64)
    features = network(image)
    assert features.shape == (2, 32)
    features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.trunk(image).shape[2:] == (8, 8)  # type: ignore[operator]
    network.double().eval()
    with torch.no_grad():
        fused = fuse_conv_bn(network)
        torch.testing.assert_close(fused(image.double()), network(image.double()), rtol=1e-9, atol=1e-9)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    layers = trace_layers(network, 64)
    assert sum(layer.macs for layer in layers) == count_macs(model, 64).backbone


def test_squeeze_and_excitation_is_one_more_part_of_each_block() -> None:
    for name in blocks.names():
        stage = {"block": name, "out": 48, "stride": 2, **({"groups": 2} if name == "shuffle_v1" else {})}
        plain, weighed = (
            from_stages(stem={"out": 16}, stages=[stage | {"squeeze_excitation": on}]) for on in (False, True)
        )
        added = {key.split(".fc.")[0] for key in weighed.state_dict() if ".fc." in key}
        assert len(added) == 1, name
        assert not any(".fc." in key for key in plain.state_dict()), name


def test_a_list_may_be_short_and_stand_on_the_command_line(home: Path) -> None:
    listed = "backbone.stages=[{block: fire, out: 64}, {block: shuffle_v2, out: 90, stride: 2}]"
    config = compose("train", "backbone=stages", listed, "backbone.head=null", "backbone.stem.kernel=7")
    network = build_backbone(config.backbone)
    assert network.num_features == 90
    assert network.trunk(torch.rand(1, 3, 64, 64)).shape == (1, 90, 16, 16)  # type: ignore[operator]


def test_a_list_is_part_of_the_checkpoint(tmp_path: Path) -> None:
    config = {
        "backbone": {"name": "stages", "stages": [{"block": "fire", "out": 12}], "stem": {"out": 6}},
        "regressor": {"name": "linear"},
        "data": {"image_size": 64},
    }
    model = build_model(config).eval()
    save_model(tmp_path / "epoch-001.pt", model, config, 1, {})
    again = load_checkpoint(tmp_path / "epoch-001.pt").build()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for own, other in zip(again(image), model(image), strict=True):
            assert torch.equal(own, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": []}, "backbone.stages is an empty list"),
        ({"stages": "fire"}, "backbone.stages='fire' is not a list"),
        ({"stages": ["fire"]}, "backbone.stages[0]='fire' is not a mapping"),
        ({"stages": [{"out": 16}]}, "backbone.stages[0].block is missing"),
        ({"stages": [{"block": "fyre", "out": 16}]}, "backbone.stages[0].block=fyre does not exist"),
        ({"stages": [{"block": "fire"}]}, "backbone.stages[0].out is missing"),
        ({"stages": [{"block": "fire", "out": "wide"}]}, "backbone.stages[0].out='wide' is not a whole number"),
        ({"stages": [{"block": "fire", "out": 0}]}, "backbone.stages[0] (block=fire): out=0 is out of range"),
        ({"stages": [{"block": "fire", "out": 10**6}]}, "backbone.stages[0] (block=fire): out=1000000"),
        ({"stages": [{"block": "fire", "out": 16, "stride": 3}]}, "backbone.stages[0].stride=3 is not 1 or 2"),
        ({"stages": [{"block": "fire", "out": 16, "repeat": 0}]}, "backbone.stages[0]: repeat=0"),
        (
            {"stages": [{"block": "fire", "out": 16, "kernel": 5}]},
            "backbone.stages[0].kernel: backbone.stages[0].block",
        ),
        ({"stages": [{"block": "fire", "out": 1}]}, "backbone.stages[0] (block=fire): share_3x3"),
        (
            {"stages": [{"block": "fire", "out": 16}, {"block": "shuffle_v2", "out": 33, "stride": 2}]},
            "backbone.stages[1] (block=shuffle_v2): out=33 is odd",
        ),
        (
            {"stages": [{"block": "shuffle_v2", "out": 48}]},
            "backbone.stages[0] (block=shuffle_v2): a unit of stride 1 gives as many maps as it takes, not 48 of 32",
        ),
        (
            {"stages": [{"block": "shuffle_v1", "out": 64, "stride": 2}]},
            "backbone.stages[0] (block=shuffle_v1): groups=3 does not divide its 32 inputs",
        ),
        (
            {"stem": {"out": 24}, "stages": [{"block": "shuffle_v1", "out": 100, "stride": 2, "repeat": 2}]},
            "groups=3 does not divide its 100 outputs",
        ),
        ({"stages": [{"block": "shuffle_v1", "out": 24, "stride": 2}]}, "out=24 is not more"),
        ({"stages": [{"block": "conv", "out": 16, "groups": 5}]}, "groups=5 does not divide its 32 inputs"),
        ({"stages": [{"block": "bottleneck", "out": 36, "groups": 2}]}, "groups=2 does not divide its 9 squeezed maps"),
        ({"stages": [{"block": "residual", "out": 16, "kernel": 4}]}, "kernel=4"),
        ({"stages": [{"block": "inverted_residual", "out": 16, "expand": 0}]}, "expand=0"),
        ({"stem": {"outs": 16}}, "backbone.stem.outs: backbone.stem has no such option"),
        ({"stem": {"kernel": 2}}, "backbone.stem: kernel=2"),
        ({"head": {}}, "backbone.head.out is missing"),
        ({"width": 0.0}, "backbone.width=0.0"),
        (
            {"width": 0.5, "stem": {"out": 48}, "stages": [{"block": "shuffle_v1", "out": 208, "stride": 2}]},
            "groups=3 does not divide its 104 outputs",
        ),
        ({"weights": "imagenet"}, "torchvision has no stages"),
    ],
)
def test_a_list_that_cannot_be_built_is_refused_by_its_stage(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        from_stages(**options)
    assert message in caught.value.message
    assert caught.value.remedy
