from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from hmr_light.body import load_body
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.deployment.parity import Parity, measure_parity, parity_crops
from hmr_light.errors import UserError
from hmr_light.model.onnx_predictor import open_onnx


def test_another_model_is_told(exported: Path) -> None:
    model = load_checkpoint(exported.parent / "checkpoints" / "epoch-003.pt").build()
    predictor, body = open_onnx(exported, threads=1), load_body()
    measure_parity(predictor, model, body).check()
    with torch.no_grad():
        model.regressor.init_cam += 0.01
    moved = measure_parity(predictor, model, body)
    assert moved.parameters == pytest.approx(0.01, rel=0.5)
    with pytest.raises(UserError, match="does not give what the model gives"):
        moved.check()


@pytest.mark.parametrize(
    "parity", [Parity(2e-4, 0, 0), Parity(0, 0.06, 0), Parity(math.inf, 0, 0), Parity(0, math.nan, 0)]
)
def test_the_limits(parity: Parity) -> None:
    with pytest.raises(UserError):
        parity.check()


def test_crops_are_many_different_pictures() -> None:
    crops = parity_crops(48)
    assert crops.shape == (32, 3, 48, 48)
    assert len({crop.numpy().tobytes() for crop in crops}) == 32
    assert crops.float().std((1, 2, 3)).min() > 10
    assert torch.equal(crops, parity_crops(48))
