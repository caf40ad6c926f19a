"""What is particular to single families."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.blocks import Residual, conv_bn
from hmr_light.backbones.shufflenet_v1 import ShuffleUnit
from hmr_light.backbones.shufflenet_v2 import shuffle_stages
from hmr_light.errors import UserError

LOGITS = {"name": "logits"}


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Statistics of normalisation too, so that every tensor shows."""
    torch.manual_seed(seed)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.2 + (0.5 if value.dim() == 1 else -0.1))


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


def test_a_residual_block_adds() -> None:
    block, shortcut = nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 1)
    maps = torch.rand(1, 4, 3, 3)
    torch.testing.assert_close(Residual(block, shortcut)(maps), block(maps) + shortcut(maps))
    double = nn.Conv2d(4, 4, 1)
    torch.testing.assert_close(Residual(double)(maps), double(maps) + maps)


@pytest.mark.parametrize("size", [(96, 96), (131, 225)])
def test_our_shufflenet_v2_units_are_torchvisions(size: tuple[int, int]) -> None:
    import torchvision

    reference = torchvision.models.shufflenet_v2_x1_0().eval()
    layers = shuffle_stages(24, (116, 232, 464))
    layers["conv5"] = conv_bn(464, 1024)
    own = nn.Sequential(layers).eval()
    randomise(reference)
    own.load_state_dict({name: value for name, value in reference.state_dict().items() if not name.startswith("fc.")})
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(reference.fc(own(image).mean((2, 3))), reference(image))


def test_the_residual_path_adds_the_convolved_halfs_input() -> None:
    plain, residual = (shuffle_stages(8, (16, 32, 64), residual=residual)["stage2"] for residual in (False, True))
    for parameter in [*plain[1].branch2[-2:].parameters(), *residual[1].branch2.block[-2:].parameters()]:  # type: ignore[index]
        nn.init.zeros_(parameter)  # the convolved half gives nothing
    maps = torch.rand(2, 16, 5, 5)
    shuffled = [unit(maps).unflatten(1, (8, 2)).transpose(1, 2).flatten(1, 2) for unit in (plain[1], residual[1])]  # type: ignore[index]
    torch.testing.assert_close(shuffled[0], torch.cat((maps[:, :8], torch.zeros(2, 8, 5, 5)), 1))
    torch.testing.assert_close(shuffled[1], maps)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_shuffle_unit_follows_figure_2(groups: int) -> None:
    torch.manual_seed(groups)
    maps = torch.randn(2, 24, 7, 7)
    keep = ShuffleUnit(24, 24, 1, groups, first=False, bias=False, weigh=False).eval()
    reduce = ShuffleUnit(24, 48, 2, groups, first=True, bias=True, weigh=False).eval()
    with torch.no_grad():
        inner = nn.ChannelShuffle(groups)(keep.compress(maps))
        assert inner.shape[1] == 6
        torch.testing.assert_close(keep(maps), (maps + keep.expand(keep.depthwise(inner))).clamp(min=0))
        added = reduce.expand(reduce.depthwise(nn.ChannelShuffle(groups)(reduce.compress(maps))))
        pooled = nn.AvgPool2d(3, 2, 1)(maps)
        torch.testing.assert_close(reduce(maps), torch.cat((pooled, added), 1).clamp(min=0))
    convolutions = [layer for layer in keep.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.groups for layer in convolutions] == [groups, 6, groups]
    assert reduce.compress[0].groups == 1


def test_densenets_growth_rate_is_how_many_maps_each_layer_adds() -> None:
    trunk = build_backbone({"name": "densenet121", "growth_rate": 12}).trunk
    layers = [module for name, module in trunk.named_modules() if name.endswith("conv2")]  # type: ignore[union-attr]
    assert len(layers) == 6 + 12 + 24 + 16
    assert {layer.out_channels for layer in layers} == {12}


def test_densenets_weights_load_by_their_old_names(tmp_path: Path) -> None:
    import torchvision

    state = torchvision.models.densenet121().state_dict()
    old = {}
    for name, value in state.items():
        for layer in ("norm1", "norm2", "conv1", "conv2"):
            name = name.replace(f".{layer}.", f".{layer[:-1]}.{layer[-1]}.") if "denselayer" in name else name
        old[name] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet121.pth")
    backbone = build_backbone({"name": "densenet121", "weights": str(tmp_path / "densenet121.pth")})
    for name, value in backbone.trunk.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, state[f"features.{name}"]), name


@pytest.mark.parametrize("name", ["mobilenet_v1", "squeezenext23", "snet49"])
def test_our_networks_weights_load_from_a_file(name: str, tmp_path: Path) -> None:
    trained = build_backbone({"name": name, "adapter": LOGITS})
    randomise(trained)
    state = {
        name.replace("trunk.", "features.").replace("adapter.", "classifier."): value
        for name, value in trained.state_dict().items()
    }
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    again = build_backbone({"name": name, "adapter": LOGITS, "weights": str(path)})
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in trained.state_dict().items())
    del state[next(iter(state))]
    torch.save(state, path)
    with pytest.raises(UserError, match=f"does not fit {name}: it lacks features"):
        build_backbone({"name": name, "weights": str(path)})


def test_the_reference_layout_of_mobilenet_v2_is_the_same_network() -> None:
    plain, reference = (
        build_backbone({"name": "mobilenet_v2", "layout": layout, "adapter": LOGITS}).eval()
        for layout in ("torchvision", "reference")
    )
    randomise(plain)
    for own, other in zip(reference.state_dict().values(), plain.state_dict().values(), strict=True):
        own.copy_(other)
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(reference(image), plain(image))
