"""A network of each family is exported, and gives what it gives in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.exported import SIZE, shortened, trained
from support.models import model_of

from hmr_light.body import load_body
from hmr_light.checkpoints.format import save_model
from hmr_light.config.choices import compose_choice
from hmr_light.deployment.export import export_file
from hmr_light.deployment.formats import FORMATS, Content
from hmr_light.deployment.network import OUTPUTS, DeployedNetwork, prepare
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.onnx_predictor import open_onnx

FAMILIES = (
    *("densenet121", "efficientnet_lite0", "mobilenet_fire", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small"),
    *("resnet18", "shufflenet_fire", "shufflenet_residual", "shufflenet_v1", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("squeezenext23", "stages", "thundernet146", "timm"),
)
LONG = ("densenet121",)
REGRESSORS = ("light", "mlp")


def crops_and_parameters(model: HMR) -> tuple[torch.Tensor, torch.Tensor]:
    crops = torch.from_numpy(np.random.default_rng().integers(0, 256, (3, 3, SIZE, SIZE), np.uint8))
    with torch.no_grad():
        return crops, torch.cat([value.flatten(1) for value in model(normalize(crops))], dim=1)


@pytest.mark.parametrize("family", [pytest.param(one, marks=[pytest.mark.slow] * (one in LONG)) for one in FAMILIES])
def test_a_short_network_of_each_family_in_every_runtime(family: str, exported: Path, tmp_path: Path) -> None:
    model = trained(shortened(model_of(family, "linear")))
    crops, expected = crops_and_parameters(model)
    metadata = onnx.load(exported).metadata_props[0].value
    network = DeployedNetwork(prepare(model), "uint8", None)
    content = Content(network, model, SIZE, OUTPUTS["parameters"], "float32", metadata)
    for name in ("onnx", "openvino"):
        files = [tmp_path / f"a{ending}" for ending in FORMATS[name].endings]
        FORMATS[name].write(content, *files)
        found = torch.cat([value.flatten(1) for value in FORMATS[name].open(*files)(crops)], dim=1)
        assert (found - expected).abs().max() < 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("regressor", REGRESSORS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_of_each_family_and_regressor(family: str, regressor: str, tmp_path: Path) -> None:
    model = trained(model_of(family, regressor))
    nodes = {"backbone": compose_choice("backbone", family), "regressor": compose_choice("regressor", regressor)}
    checkpoint = save_model(tmp_path / "a.pt", model, nodes | {"data": {"image_size": SIZE}}, 1, {})
    file = export_file(checkpoint, load_body(), tmp_path / "a.onnx").path
    crops, expected = crops_and_parameters(model)
    found = torch.cat([value.flatten(1) for value in open_onnx(file, threads=1)(crops)], dim=1)
    assert (found - expected).abs().max() < 1e-3
