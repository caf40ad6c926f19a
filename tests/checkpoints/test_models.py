"""A model is found by a file, by a run's directory, and by an MLflow run id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.models import best_checkpoint, load_model
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize

NODES = {
    "backbone": {"name": "squeezenet1_1", "weights": None, "adapter": {"name": "pooled"}},
    "regressor": {"name": "spin", "hidden": 16, "iterations": 3, "dropout": 0.5},
}
CONFIG = {**NODES, "data": {"image_size": 64}, "body": {"name": "embedded"}}


def write_run(run_dir: Path, errors: list[float]) -> Path:
    for epoch, error in enumerate(errors, 1):
        model = build_model(NODES)
        save_model(run_dir / "checkpoints" / f"epoch-{epoch:03d}.pt", model, CONFIG, epoch, {"mpjpe_mm": error})
    return run_dir


def test_a_loaded_model_computes_what_the_saved_network_does(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [100.0])
    file = run_dir / "checkpoints" / "epoch-001.pt"
    network = build_model(NODES)
    network.load_state_dict(torch.load(file, weights_only=True)["model"])
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.eval()(normalize(crops))
    for source in (file, str(file), run_dir):
        model = load_model(source, device="cpu")
        assert (model.image_size, model.body_name) == (64, "embedded")
        for one, other in zip(model(crops), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


def test_the_best_checkpoint_has_the_lowest_finite_error_and_of_equals_is_the_last(tmp_path: Path) -> None:
    for number, (errors, best) in enumerate(
        [([300.0, 200.0, 250.0], 2), ([float("nan"), 200.0, 200.0], 3), ([float("nan"), float("inf")], 2)]
    ):
        assert best_checkpoint(str(write_run(tmp_path / str(number), errors)), None).epoch == best


def test_what_names_no_model_is_refused(tmp_path: Path, home: Path) -> None:
    for source, says in ((tmp_path / "none.pt", "there is no checkpoint"), (tmp_path / "none", "there is no run")):
        with pytest.raises(UserError, match=says):
            load_model(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no checkpoints"):
        load_model(tmp_path / "empty")
