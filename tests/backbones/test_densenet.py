"""DenseNet: its growth rate, and weights with their old names."""

from __future__ import annotations

from pathlib import Path

import torch

from hmr_light.backbones import build_backbone


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
