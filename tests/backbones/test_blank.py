"""The backbone without features."""

from __future__ import annotations

import torch

from hmr_light.backbones import build_backbone


def test_it_has_neither_features_nor_weights() -> None:
    backbone = build_backbone({"name": "blank"})
    assert backbone.num_features == 0
    assert backbone(torch.rand(5, 3, 8, 9)).shape == (5, 0)
    assert not list(backbone.state_dict())
