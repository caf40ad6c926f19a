"""From maps to features, and networks of our own with their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.backbones import LOGITS, config_of, randomise

from hmr_light.backbones import build_backbone
from hmr_light.errors import UserError


def test_the_adapter_is_a_choice_of_its_own() -> None:
    pooled = config_of("squeezenet1_0", "backbone/adapter=pooled")
    assert pooled["adapter"] == {"name": "pooled"}
    assert build_backbone(pooled).num_features == 512
    assert build_backbone({"name": "squeezenet1_0"}).num_features == 512  # pooled, where none is named
    linear = build_backbone(config_of("mobilenet_v2", "backbone/adapter=linear", "backbone.adapter.features=100"))
    assert linear.num_features == 100
    trunk = 3_504_872 - 1_281_000
    assert sum(parameter.numel() for parameter in linear.parameters()) == trunk + 1281 * 100


def test_pooled_features_are_the_means_of_the_maps() -> None:
    backbone = build_backbone({"name": "resnet18"}).eval()
    image = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        expected = backbone.trunk(image).mean((2, 3))  # type: ignore[operator]
        torch.testing.assert_close(backbone(image), expected)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_dropout_of_the_logits_can_be_chosen(rate: float) -> None:
    backbone = build_backbone({"name": "squeezenet1_0", "adapter": {"name": "logits", "dropout": rate}})
    rates = [module.p for module in backbone.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [rate]


@pytest.mark.parametrize("adapter", ["conv", "linear"])
@pytest.mark.parametrize(("features", "size"), [(0, "small"), (10**9, "large")])
def test_a_width_that_no_memory_holds_is_refused(adapter: str, features: int, size: str) -> None:
    config = {"name": "squeezenet1_1", "adapter": {"name": adapter, "features": features}}
    with pytest.raises(UserError, match=f"features={features} is too {size}"):
        build_backbone(config)


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
    with pytest.raises(UserError, match=f"does not fit {name}: 1 missing: features"):
        build_backbone({"name": name, "weights": str(path)})
