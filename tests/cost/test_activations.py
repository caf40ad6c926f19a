"""The most that inference must hold at once, against sums made by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.config.choices import compose_choice
from hmr_light.cost.activations import is_bottleneck, peak_activation_elements


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The first block takes 32 and gives 16 maps of 112×112; the wide tensors inside of blocks do not count.
        ("mobilenet_v2", (32 + 16) * 112**2),
        # The addition at the end of a block of the first stage takes two times 256 maps of 56×56 and writes over one.
        ("resnet50", 2 * 256 * 56**2),
        # The concatenation in fire4 takes two times 128 maps of 54×54 and gives 256.
        ("squeezenet1_0", 2 * 256 * 54**2),
        # Batch norm and ReLU write over their operand: the pooling of 64 maps of 112×112 to 56×56, against the
        # concatenation of 256 maps of 56×56 at the end of the first stage.
        ("densenet121", 2 * 256 * 56**2),
    ],
)
def test_the_peak_is_the_largest_operations(name: str, expected: int) -> None:
    assert peak_activation_elements(torchvision.models.get_model(name), 224) == expected


def test_mobilenet_v1s_peak_is_its_second_pointwise_layer() -> None:
    network = build_backbone(compose_choice("backbone", "mobilenet_v1"))
    assert peak_activation_elements(network, 224) == (32 + 64) * 112**2
    assert peak_activation_elements(network, 96) == (32 + 64) * 48**2


class Bottleneck(nn.Module):
    def __init__(self, wide: int, kernel: int = 3, squeeze: bool = False) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, wide, 1)
        self.depthwise = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, wide, 1)) if squeeze else None
        self.project = nn.Conv2d(wide, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.depthwise(self.expand(x).relu())
        if self.squeeze is not None:
            wide = wide * self.squeeze(wide)
        return x + self.project(wide)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_bottlenecks_wide_inside_does_not_count(kernel: int) -> None:
    block = Bottleneck(100, kernel)
    assert is_bottleneck(block)
    assert peak_activation_elements(nn.Sequential(block), 16) == 2 * 3 * 16**2


def test_a_block_that_looks_at_the_whole_wide_tensor_is_no_bottleneck() -> None:
    block = Bottleneck(100, squeeze=True)
    assert not is_bottleneck(block)
    assert peak_activation_elements(nn.Sequential(block), 16) == 2 * 100 * 16**2


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Identity(), 0),
        (nn.Conv2d(3, 8, 1), 11 * 100),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Hardswish()), 11 * 100),
        (nn.Sequential(nn.Flatten(), nn.Linear(300, 7)), 307),
        (nn.Sequential(nn.Flatten(), nn.Linear(300, 1000), nn.Linear(1000, 1000, bias=False)), 2000),
        (nn.ChannelShuffle(3), 600),
    ],
)
def test_small_networks(network: nn.Module, expected: int) -> None:
    assert peak_activation_elements(network, 10) == expected


def test_nothing_is_changed() -> None:
    network = torchvision.models.mobilenet_v2().train()
    draws = torch.get_rng_state()
    assert peak_activation_elements(network, 64) == peak_activation_elements(network, 64)
    assert network.training
    assert torch.equal(draws, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
