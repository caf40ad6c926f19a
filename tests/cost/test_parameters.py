"""Numbers of parameters, and the size of a model's file, are exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.models import model_of

from hmr_light.cost.parameters import bytes_on_disk, count_parameters

# In all, and of the backbone.
PARAMETERS = {
    "resnet50": (26_977_501, 23_508_032),
    "squeezenet1_0": (5_255_517, 1_786_048),
    "squeezenet1_0_logits": (3_644_741, 1_248_424),
    "squeezenet_2": (4_606_613, 2_210_296),
    "densenet121": (12_522_525, 9_053_056),
    "densenet169": (16_545_797, 14_149_480),
    "mobilenet_v2": (5_901_189, 3_504_872),
    "mobilenet_v3_reference": (5_334_685, 2_938_368),
    "mobilenet_v3_large": (7_879_349, 5_483_032),
    "shufflenet_v1_reference": (4_274_237, 1_877_920),
    "shufflenet_v2_x1_0": (4_674_921, 2_278_604),
}


@pytest.mark.parametrize("backbone", PARAMETERS)
def test_parameters_are_exact(backbone: str) -> None:
    model = model_of(backbone)
    parameters = count_parameters(model)
    assert (parameters.total, parameters.backbone) == PARAMETERS[backbone]
    assert parameters.regressor == parameters.total - parameters.backbone
    assert parameters.folded == parameters.backbone + 157 * model.backbone.num_features + 157


def test_the_baseline_has_none() -> None:
    assert count_parameters(model_of("blank", "mean")) == (0, 0, 0, 0)


@pytest.mark.parametrize("regressor", ["hmr", "light", "linear"])
def test_what_cannot_be_folded_is_counted_as_trained(regressor: str) -> None:
    parameters = count_parameters(model_of("mobilenet_v2", regressor))
    assert parameters.folded == parameters.total == parameters.backbone + parameters.regressor


def test_bytes_on_disk_are_those_of_the_file(tmp_path: Path) -> None:
    model = model_of("mobilenet_v2")
    torch.save(model.state_dict(), tmp_path / "state.pt")
    file = (tmp_path / "state.pt").stat().st_size
    assert abs(bytes_on_disk(model) - file) < 0.01 * file
    half = bytes_on_disk(model.half())
    assert 0.49 < half / file < 0.52


def test_counting_leaves_the_model_as_it_is() -> None:
    model = model_of("mobilenet_v2").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    assert count_parameters(model).folded < count_parameters(model).total
    assert model.training
    assert torch.equal(draws, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
