"""Rewrites of convolutions, on any backbone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.rewrites import rewrite, split_5x5, squeeze_3x3
from hmr_light.errors import UserError


def kernels(module: nn.Module) -> list[tuple[int, ...]]:
    return [layer.kernel_size for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_a_3x3_becomes_a_1x1_and_a_3x3(stride: int, bias: bool) -> None:
    conv = nn.Conv2d(16, 24, 3, stride, padding=1, bias=bias)
    new = squeeze_3x3(conv)
    assert new is not None
    assert kernels(new) == [(1, 1), (3, 3)]
    maps = torch.rand(2, 16, 13, 17)
    assert new(maps).shape == conv(maps).shape
    weights = sum(layer.weight.numel() for layer in new.modules() if isinstance(layer, nn.Conv2d))
    assert weights == 16 * 8 + 8 * 24 * 9
    assert (new[-1].bias is not None) == bias  # type: ignore[index]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4, 16])
def test_a_5x5_becomes_two_3x3_that_see_the_same_pixels(stride: int, groups: int) -> None:
    conv = nn.Conv2d(16, 16, 5, stride, padding=2, groups=groups, bias=False)
    new = split_5x5(conv)
    assert new is not None
    assert kernels(new) == [(3, 3), (3, 3)]
    assert {layer.groups for layer in new.modules() if isinstance(layer, nn.Conv2d)} == {groups}
    for layer in (conv, *new.modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)  # so that no path is closed
    seen = []
    for module in (conv, new.eval()):
        maps = torch.rand(1, 16, 15, 15, requires_grad=True)
        output = module(maps)
        (gradient,) = torch.autograd.grad(output[0, 0, 3, 3], maps)
        seen.append((output.shape, (gradient[0, 0] != 0).tolist()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 16, 1),
        nn.Conv2d(16, 16, (1, 3), padding=(0, 1)),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 16, 7),
    ],
)
def test_other_convolutions_stay(conv: nn.Conv2d) -> None:
    assert squeeze_3x3(conv) is None
    assert split_5x5(conv) is None


@pytest.mark.parametrize(
    ("name", "rewrites"),
    [
        ("resnet18", ["squeeze_3x3"]),
        ("densenet121", ["squeeze_3x3"]),
        ("squeezenet1_1", ["squeeze_3x3"]),
        ("mobilenet_fire", ["squeeze_3x3"]),
        ("mobilenet_v3_small", ["split_5x5"]),
        ("mobilenet_v3_reference", ["split_5x5"]),
        ("snet146", ["split_5x5"]),
    ],
)
def test_a_rewritten_backbone_is_smaller_and_learns(name: str, rewrites: list[str]) -> None:
    torch.manual_seed(0)
    plain, new = (build_backbone({"name": name, "rewrites": chosen}) for chosen in ([], rewrites))
    assert new.num_features == plain.num_features
    count, new_count = (sum(value.numel() for value in module.parameters()) for module in (plain, new))
    # Normalising the new layers costs depthwise ones what they save.
    assert new_count < (count if "squeeze_3x3" in rewrites else 1.01 * count)
    kernel = (3, 3) if "squeeze_3x3" in rewrites else (5, 5)
    if kernel == (5, 5):
        assert kernel not in kernels(new)
    features = new.train()(torch.rand(4, 3, 96, 96))
    features.square().sum().backward()
    for parameter_name, parameter in new.named_parameters():
        assert parameter.grad is not None, parameter_name


def test_one_rewrite_does_not_see_what_another_made() -> None:
    trunk = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 5, padding=2))
    rewrite(trunk, ["split_5x5", "squeeze_3x3"])
    assert kernels(trunk) == [(1, 1), (3, 3), (3, 3), (3, 3)]


def test_rewrites_and_weights_exclude_each_other() -> None:
    config = {"name": "resnet18", "weights": "/no/such/file.pth", "rewrites": ["squeeze_3x3"]}
    with pytest.raises(UserError, match=r"backbone\.rewrites replace layers"):
        build_backbone(config)
