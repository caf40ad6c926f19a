"""Transforms: what a checkpoint lists is done to the structure before its weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.models import model_of
from torch import nn

from hmr_light.checkpoints.format import save, save_model
from hmr_light.checkpoints.loading import load_checkpoint, start_from
from hmr_light.checkpoints.transforms import apply_transforms, is_plain
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model

CONFIG: dict[str, Any] = {
    "backbone": {"name": "mobilenet_v2", "width": 0.1, "adapter": {"name": "pooled"}},
    "regressor": {"name": "spin", "hidden": 8, "iterations": 3, "dropout": 0.5},
    "data": {"image_size": 64},
}


def trained() -> HMR:
    """A model with weights and statistics as after some training."""
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    model = build_model(CONFIG)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    for layer in (model.regressor.decpose, model.regressor.decshape, model.regressor.deccam):
        nn.init.normal_(layer.weight, std=0.1)  # type: ignore[arg-type, union-attr]
    return model.eval()


@pytest.mark.parametrize("options", [{}, {"batch_norms": False}, {"batch_norms": True}])
@torch.no_grad()
def test_a_folded_model_is_read_back_and_computes_what_it_did(tmp_path: Path, options: dict[str, Any]) -> None:
    model, images = trained(), torch.randn(3, 3, 64, 64)
    expected = model(images)
    folded = apply_transforms(model, [{"name": "fold", "options": options}])
    save_model(tmp_path / "epoch-001.pt", folded, CONFIG, 1, {})

    checkpoint = load_checkpoint(tmp_path / "epoch-001.pt")
    assert checkpoint.transforms == ({"name": "fold", "options": options},)
    built = checkpoint.build()
    assert not built.training
    assert not any(name.startswith("regressor.fc1") for name in built.state_dict())
    assert any(isinstance(one, nn.BatchNorm2d) for one in built.modules()) != bool(options.get("batch_norms"))
    for name, value in built(images)._asdict().items():
        torch.testing.assert_close(value, getattr(expected, name), rtol=1e-3, atol=1e-4)
    # Training may start from it, and goes on with the structure that it has.
    started = start_from(build_model(CONFIG), tmp_path / "epoch-001.pt")
    assert started.transforms == checkpoint.transforms
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in started.state_dict().items())
    # A second file made of it is the same model again.
    save_model(tmp_path / "epoch-002.pt", built, CONFIG, 2, {})
    assert load_checkpoint(tmp_path / "epoch-002.pt").transforms == checkpoint.transforms


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "fold"}, "its transforms are no list"),
        ([{"name": "fold"}], "not of a name and options each"),
        ([{"name": "fold", "options": [1]}], "no plain values"),
        ([{"name": "fold", "options": {"batch_norms": torch.ones(1)}}], "no plain values"),
        ([{"name": "flod", "options": {}}], "by the transform 'flod', which this version of hmr_light does not have"),
        ([{"name": "fold", "options": {"batch_norm": True}}], "transform.batch_norm"),
        ([{"name": "fold", "options": {"batch_norms": 3}}], "transform.batch_norms=3 is not true or false"),
    ],
)
def test_transforms_that_cannot_be_done_are_one_message_that_names_the_file(
    tmp_path: Path, changes: Any, says: str
) -> None:
    path = tmp_path / "other.pt"
    save(
        path,
        {
            "format": 2,
            "config": CONFIG,
            "transforms": changes,
            "epoch": 1,
            "saved": "260101-000000",
            "metrics": {},
            "model": build_model(CONFIG).state_dict(),
        },
    )
    with pytest.raises(UserError) as caught:
        load_checkpoint(path).build()
    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert caught.value.remedy


def test_plain_values_are_told_from_others() -> None:
    assert is_plain({"a": [1, 2.5, None, True, "x", {"b": []}]})
    for value in (torch.ones(1), (1,), {1: 2}, [np.float32(1)], {"a": {"b": np.zeros(1)}}):
        assert not is_plain(value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("prune", {"sizes": {"backbone.nothing": [1, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"backbone": [1, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"regressor.correction": [1.5, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"regressor.correction": [True, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"regressor.correction": [1, 1]}, "features": 4}),
        ("prune", {"sizes": {"regressor.correction": [0, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"regressor.correction": [2**40, 1, 1]}, "features": 4}),
        ("prune", {"sizes": {"backbone.trunk.0": [3, 4, 2]}, "features": 4}),
        ("prune", {"sizes": {}, "features": 0}),
        ("prune", {"sizes": {}, "features": "all"}),
        ("low_rank", {"ranks": {"regressor.correction": 0}}),
        ("low_rank", {"ranks": {"regressor.correction": 10**6}}),
        ("low_rank", {"ranks": {"backbone.trunk.0": 1}}),
        ("low_rank", {"ranks": {"": 1}}),
        ("compact", {"multipliers": {"backbone.trunk.0": 0}, "splits": []}),
        ("compact", {"multipliers": {"backbone.trunk.0": 10**9}, "splits": []}),
        ("compact", {"multipliers": {"regressor.correction": 1}, "splits": []}),
        ("compact", {"multipliers": {}, "splits": ["backbone.trunk.0"]}),
        ("compact", {"multipliers": {}, "splits": [["backbone"]]}),
        ("sparse", {"layers": ["backbone"]}),
        ("sparse", {"layers": [1]}),
    ],
)
def test_a_file_that_asks_for_a_structure_that_cannot_be_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="transform"):
        apply_transforms(model_of("squeezenet1_1", "linear").eval(), [{"name": name, "options": options}])
