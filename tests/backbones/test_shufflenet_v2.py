"""ShuffleNetV2: torchvision's units, and those with a residual path."""

from __future__ import annotations

import pytest
import torch
from support.backbones import randomise
from torch import nn

from hmr_light.backbones.blocks import conv_bn
from hmr_light.backbones.shufflenet_v2 import shuffle_stages


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
