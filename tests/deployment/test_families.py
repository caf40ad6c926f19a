"""A network of each family is exported, and gives what it gives in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import SIZE, trained
from support.models import model_of

from hmr_light.body import load_body
from hmr_light.checkpoints.format import save_model
from hmr_light.config.choices import compose_choice
from hmr_light.deployment.export import export_file
from hmr_light.model.hmr import normalize
from hmr_light.model.onnx_predictor import open_onnx

QUICK = ("squeezenet1_1", "thundernet146")
SLOW = (
    *("densenet121", "efficientnet_lite0", "mobilenet_fire", "mobilenet_v2_movenet", "mobilenet_v3_small", "resnet18"),
    *("shufflenet_fire", "shufflenet_residual", "shufflenet_v1", "shufflenet_v2_x0_5", "squeezenext23", "stages"),
    "timm",
)
REGRESSORS = ("light", "mlp")


@pytest.mark.parametrize("regressor", ["linear", *(pytest.param(one, marks=pytest.mark.slow) for one in REGRESSORS)])
@pytest.mark.parametrize("family", [*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)])
def test_a_network_of_each_family_is_exported(family: str, regressor: str, tmp_path: Path) -> None:
    model = trained(model_of(family, regressor))
    nodes = {"backbone": compose_choice("backbone", family), "regressor": compose_choice("regressor", regressor)}
    checkpoint = save_model(tmp_path / "a.pt", model, nodes | {"data": {"image_size": SIZE}}, 1, {})
    file = export_file(checkpoint, load_body(), tmp_path / "a.onnx").path
    crops = torch.from_numpy(np.random.default_rng().integers(0, 256, (3, 3, SIZE, SIZE), np.uint8))
    with torch.no_grad():
        expected = model(normalize(crops))
    for found, value in zip(open_onnx(file, threads=1)(crops), expected, strict=True):
        assert (found - value).abs().max() < 1e-3
