"""Networks that take pixels in -1 … 1."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.normalization import SymmetricPixels
from hmr_light.model.hmr import normalize


class Same(nn.Module):
    num_features = 3

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


@pytest.mark.parametrize("seed", range(3))
def test_the_network_gets_its_pixels_in_minus_one_to_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8, generator=generator)
    found = SymmetricPixels(Same())(normalize(image))
    torch.testing.assert_close(found, image / 127.5 - 1, rtol=0, atol=1e-6)


def test_it_is_the_option_pixels_and_keeps_no_state() -> None:
    plain = build_backbone({"name": "squeezenet1_1"})
    symmetric = build_backbone({"name": "squeezenet1_1", "pixels": "symmetric"})
    assert isinstance(symmetric, SymmetricPixels)
    assert symmetric.num_features == plain.num_features
    assert list(symmetric.state_dict()) == [f"network.{name}" for name in plain.state_dict()]
