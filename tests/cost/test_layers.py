"""Layer by layer: torchsummary's rule, and what layers cost."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.config.choices import compose_choice
from hmr_light.cost.activations import forward_backward_mib
from hmr_light.cost.layers import Layer, trace_layers
from hmr_light.cost.profile import shares


def layers_of(backbone: str, image_size: int = 224) -> list[Layer]:
    return trace_layers(build_backbone(compose_choice("backbone", backbone)), image_size)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.act(self.shared(x)), torch.relu(self.shared(x))


class Join(nn.Module):
    def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return pair[0] + pair[1]


class Stem(nn.Sequential):
    """A subclass counts as `nn.Sequential` does: not at all."""


def test_every_call_of_every_module_is_a_layer_but_containers_and_functions_are_none() -> None:
    network = nn.Sequential(
        Stem(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)),
        Branches(),
        Join(),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)),
    )
    layers = trace_layers(network, 8)
    assert [(layer.name, layer.type, layer.kind, layer.elements, layer.parameters, layer.macs) for layer in layers] == [
        ("0.0", "Conv2d", "conv3x3", 64, 112, 64 * 27),
        ("0.1", "BatchNorm2d", "norm", 64, 8, 0),
        ("1.shared", "Conv2d", "depthwise 3x3", 64, 40, 64 * 9),
        ("1.act", "ReLU", "other", 64, 0, 0),
        ("1.shared", "Conv2d", "depthwise 3x3", 64, 40, 64 * 9),
        ("1", "Branches", "block", 128, 0, 0),
        ("2", "Join", "other", 64, 0, 0),
        ("3.0", "AdaptiveAvgPool2d", "other", 4, 0, 0),
        ("3.1", "Flatten", "other", 4, 0, 0),
        ("3.2", "Linear", "fc", 5, 25, 20),
    ]
    assert [layer.accesses for layer in layers if layer.accesses] == [192 + 112 + 64, 64 + 40 + 64, 64 + 40 + 64, 34]
    assert layers[5].output_shapes == ((4, 4, 4), (4, 4, 4))
    assert forward_backward_mib(layers) == 2 * 4 * sum(layer.elements for layer in layers) / 2**20


def test_tracing_neither_runs_nor_changes_the_network() -> None:
    network = torchvision.models.mobilenet_v2().train()
    before, draws = {name: value.clone() for name, value in network.state_dict().items()}, torch.get_rng_state()
    trace_layers(network, 96)
    assert network.training
    assert torch.equal(draws, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("name", "expected"), [("mobilenet_v2", 152.87), ("shufflenet_v2_x1_0", 47.94), ("squeezenet1_0", 91.80)]
)
def test_torchvisions_networks_get_torchsummarys_figures(name: str, expected: float) -> None:
    assert round(forward_backward_mib(trace_layers(torchvision.models.get_model(name), 224)), 2) == expected


# torchsummary 1.5.1's sums of output elements for the five networks of the reference table. Their ShuffleNet pools by a
# function, ours by a module, which has 960 outputs.
@pytest.mark.parametrize(
    ("backbone", "elements"),
    [
        ("mobilenet_v1", 15_130_088),
        ("mobilenet_v2_reference", 20_610_216),
        ("mobilenet_v3_reference", 5_264_684),
        ("shufflenet_v1_reference", 8_136_568 + 960),
        ("shufflenet_v2_x1_0", 6_284_216),
    ],
)
def test_the_reference_networks_have_torchsummarys_elements(backbone: str, elements: int) -> None:
    assert sum(layer.elements for layer in layers_of(backbone)) == elements


@pytest.mark.parametrize(
    "backbone", ["mobilenet_v2", "shufflenet_v1_reference", "densenet121", "squeezenext23", "snet49"]
)
def test_the_layers_parameters_and_macs_are_the_networks(backbone: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    network = build_backbone(compose_choice("backbone", backbone)).eval()
    layers = trace_layers(network, 96)
    assert sum(layer.parameters for layer in layers) == sum(parameter.numel() for parameter in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 96, 96))
    assert sum(layer.macs for layer in layers) == counter.get_total_flops() // 2


def test_the_shares_are_those_of_mobilenets_second_table() -> None:
    """Howard et al., 2017, table 2; of parameters, the weights of convolutions and fc alone. 1.19 is a misprint."""
    found = {share.kind: share for share in shares(layers_of("mobilenet_v1"))}
    macs = {"conv1x1": 94.86, "depthwise 3x3": 3.06, "conv3x3": 1.91, "fc": 0.18}
    weights = {"conv1x1": 74.59, "depthwise 3x3": 1.06, "conv3x3": 0.02, "fc": 24.33}
    assert {kind: round(100 * found[kind].macs_share, 2) for kind in macs} == macs
    assert {kind: round(100 * found[kind].weights_share, 2) for kind in weights} == weights
    assert list(found)[:4] == list(macs), "the most multiply-accumulates first"
    assert found["norm"].layers == 27
    for of in ("macs_share", "parameters_share", "weights_share"):
        assert math.isclose(sum(getattr(share, of) for share in found.values()), 1), of


def channels_by_side(layers: list[Layer]) -> dict[int, int]:
    """The most channels of any layer's maps, by the maps' side."""
    most: dict[int, int] = {}
    for layer in layers:
        channels, *sides = (*layer.output_shapes[0], 1, 1)[:3]
        most[sides[0]] = max(most.get(sides[0], 0), channels)
    return most


def test_mobilenet_v1_has_the_channels_of_mobilenet_v2s_memory_table() -> None:
    """Sandler et al., CVPR 2018, table 3: the most channels at each resolution, 2 bytes a number."""
    most = channels_by_side(layers_of("mobilenet_v1"))
    assert {side: most[side] for side in (56, 28, 14, 7, 1)} == {56: 128, 28: 256, 14: 512, 7: 1024, 1: 1024}
    kilobytes = [2 * most[side] * side**2 / 1000 for side in (56, 28, 14, 7, 1)]
    assert kilobytes == [802.816, 401.408, 200.704, 100.352, 2.048]


def test_mobilenet_v2_has_the_channels_of_its_memory_table() -> None:
    """The same table; its column V2 has a block's outputs at the resolution of the block's input."""
    blocks = [layer for layer in layers_of("mobilenet_v2") if layer.type == "InvertedResidual"]
    side, most = 112, {}
    for block in blocks:
        most[side] = max(most.get(side, 0), block.output_shapes[0][0])
        side = block.output_shapes[0][1]
    assert {side: most[side] for side in (56, 28, 14, 7)} == {56: 32, 28: 64, 14: 160, 7: 320}


def test_shufflenets_units_have_the_channels_of_the_memory_table() -> None:
    """The same table's column ShuffleNet (2x): 400, 800 and 1600 channels are those of two groups."""
    config = compose_choice("backbone", "shufflenet_v1") | {"groups": 2, "scale": 2.0}
    units = [layer for layer in trace_layers(build_backbone(config), 224) if layer.kind == "block"]
    assert {unit.output_shapes[0][1]: unit.output_shapes[0][0] for unit in units} == {28: 400, 14: 800, 7: 1600}
