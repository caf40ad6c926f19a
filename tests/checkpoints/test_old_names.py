"""Checkpoints of before a network was renamed are read under today's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hmr_light.checkpoints.format import save
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.model.hmr import HMR, build_model

CONFIG: dict[str, Any] = {
    "backbone": {"name": "mobilenet_v1"},
    "regressor": {"name": "spin", "hidden": 8, "iterations": 3, "dropout": 0.5},
    "data": {"image_size": 64},
}


def content(config: dict[str, Any], model: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"format": 1, "config": config, "epoch": 1, "saved": "260101-000000", "metrics": {}, "model": model}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"name": "mobilenet_v3_seeds"}, {"name": "mobilenet_v3_reference"}),
        ({"name": "shufflenet_v1_seeds"}, {"name": "shufflenet_v1_reference"}),
        ({"name": "mobilenet_v2_seeds"}, {"name": "mobilenet_v2_reference"}),
        ({"name": "mobilenet_v2", "layout": "seeds"}, {"name": "mobilenet_v2", "layout": "reference"}),
    ],
)
def test_the_old_names_of_the_reference_networks_are_read(
    tmp_path: Path, old: dict[str, str], new: dict[str, str]
) -> None:
    save(tmp_path / "old.pt", content(CONFIG | {"backbone": old}, {}))
    assert load_checkpoint(tmp_path / "old.pt").config == CONFIG | {"backbone": new}


def test_a_network_of_an_old_name_is_built_with_its_weights(tmp_path: Path) -> None:
    config = CONFIG | {"backbone": {"name": "mobilenet_v2", "width": 0.1, "layout": "reference"}}
    model: HMR = build_model(config)
    old = config | {"backbone": config["backbone"] | {"layout": "seeds"}}
    save(tmp_path / "old.pt", content(old, model.state_dict()))
    built = load_checkpoint(tmp_path / "old.pt").build()
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in model.state_dict().items())
