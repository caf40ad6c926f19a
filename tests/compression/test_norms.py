"""The step that measures batch norms alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from support.cli import compose
from support.compression import change, context, rebuilt
from support.models import model_of
from support.small_run import options, write_data
from torch import nn

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.compression.calibration import calibration_batches
from hmr_light.compression.chain import apply_phase
from hmr_light.compression.recalibrate import recalibrate
from hmr_light.compression.steps import read_steps
from hmr_light.config.strict import plain
from hmr_light.data.distributed import Distributed
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize
from hmr_light.training.inputs import open_inputs


def test_statistics_are_those_of_the_weights_and_nothing_else_changes() -> None:
    model = model_of("mobilenet_v1", "mlp", "backbone.width=0.25", "backbone.form=shallow", "regressor.hidden=[16]")
    recalibrate(model, context().batches())
    right = copy.deepcopy(model)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.add_(layer.running_var.sqrt() * torch.randn_like(layer.running_mean))
            layer.running_var.mul_(torch.empty_like(layer.running_var).uniform_(0.3, 3))
    made = change(model, "norms")
    assert made.transforms == []
    assert made.state.keys() == right.state_dict().keys()
    for name, value in right.state_dict().items():
        assert torch.equal(made.state[name], value), name
    images = normalize(next(context().batches())["image"])
    with torch.no_grad():
        for ours, theirs in zip(rebuilt(model, made)(images), right(images), strict=True):
            assert torch.equal(ours, theirs)


def test_in_a_chain_the_norms_of_the_parent_are_not_kept(tmp_path: Path) -> None:
    places = (f"data.root={write_data(tmp_path)}", f"outputs={tmp_path}", "tracking=journal")
    config = compose(*options(tmp_path, tmp_path))
    images = ("calibration.images=12", "calibration.batch_size=4")
    chosen = compose("compress", "checkpoint=mobile", "compression=norms", *images, *places)
    distributed = Distributed(0, 1, torch.device("cpu"))
    right = build_model({"backbone": config.backbone, "regressor": config.regressor}).eval()
    recalibrate(right, calibration_batches(config, chosen.calibration, distributed))
    wrong = copy.deepcopy(right)
    for layer in wrong.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.mul_(torch.empty_like(layer.running_var).uniform_(2, 3))
    save_model(tmp_path / "wrong.pt", wrong, plain(config), 1, {})
    parent, inputs = load_checkpoint(tmp_path / "wrong.pt"), open_inputs(config, distributed)
    (step,) = read_steps({"name": "norms"})
    made = apply_phase(step.phases[0], parent, config, chosen, inputs)
    for name, value in right.state_dict().items():
        assert torch.equal(made.state_dict()[name], value), name


def test_a_model_without_batch_norms_is_refused() -> None:
    with pytest.raises(UserError, match="the model has no batch norms"):
        change(model_of("squeezenet1_1", "linear").eval(), "norms")
