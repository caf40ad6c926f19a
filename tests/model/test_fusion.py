"""Batch norms disappear into the convolutions before them, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.config.choices import compose_choice
from hmr_light.model.fusion import fuse_conv_bn


def with_statistics(network: nn.Module, seed: int) -> nn.Module:
    """As if trained: batch norms that do something."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return network.double().eval()


def batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


# DenseNet normalises before it convolves: half of its batch norms have no convolution of their own.
LEFT = {
    "mobilenet_v2": 0,
    "mobilenet_v3_reference": 0,
    "resnet18": 0,
    "shufflenet_v1_reference": 0,
    "shufflenet_v2_x0_5": 0,
    "squeezenet1_1": 0,
    "thundernet146": 0,
    "densenet121": 62,
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("backbone", LEFT)
@torch.no_grad()
def test_a_fused_backbone_computes_the_same(backbone: str, layout: torch.memory_format) -> None:
    network = with_statistics(build_backbone(compose_choice("backbone", backbone)), seed=0).to(memory_format=layout)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64).contiguous(memory_format=layout)
    expected, before = network(images), {name: value.clone() for name, value in network.state_dict().items()}
    fused = fuse_conv_bn(network)
    assert batch_norms(fused) == LEFT[backbone]
    torch.testing.assert_close(fused(images), expected, rtol=1e-9, atol=1e-9)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Awkward(nn.Module):
    """A convolution whose result is used twice, one that runs twice, and a batch norm that is fed by an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(4))
        self.plain = nn.Conv2d(3, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        x = first + self.norms[0](first)
        x = self.norms[1](self.again(x)) + self.again(image)
        return self.norms[3](self.plain(self.norms[2](x)))


@torch.no_grad()
def test_a_batch_norm_stays_where_it_is_not_the_convolutions_own() -> None:
    network = with_statistics(Awkward(), seed=1)
    images = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    fused = fuse_conv_bn(network)
    assert batch_norms(fused) == 3
    torch.testing.assert_close(fused(images), network(images), rtol=1e-12, atol=1e-12)


def test_a_network_in_training_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match="training"):
        fuse_conv_bn(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_shifts_of_batch_norms_are_trained_on_as_biases(has_bias: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=has_bias), nn.BatchNorm2d(3)).eval()
    convolution = fuse_conv_bn(network).get_submodule("0")
    assert all(one.requires_grad for one in convolution.parameters())
    assert len(list(convolution.parameters())) == 2
    convolution = fuse_conv_bn(network.requires_grad_(False)).get_submodule("0")
    assert not any(one.requires_grad for one in convolution.parameters())
