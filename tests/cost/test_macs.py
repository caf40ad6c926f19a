"""Multiply-accumulates are exact."""

from __future__ import annotations

import pytest
import torch
from support.models import model_of

from hmr_light.cost.macs import count_macs

# At 224×224 with three iterations: in all, and of the backbone.
MACS = {
    "resnet50": (4_097_538_048, 4_087_136_256),
    "squeezenet1_0": (920_007_712, 909_605_920),
    "squeezenet1_0_logits": (826_106_912, 818_924_576),
    "squeezenet_2": (1_519_643_680, 1_512_461_344),
    "densenet121": (2_845_636_608, 2_835_234_816),
    "densenet169": (3_367_025_664, 3_359_843_328),
    "mobilenet_v2": (307_956_608, 300_774_272),
    "mobilenet_v3_reference": (67_301_856, 60_119_520),
    "mobilenet_v3_large": (223_772_096, 216_589_760),
    "shufflenet_v1_reference": (144_643_008, 137_460_672),
    "shufflenet_v2_x1_0": (152_090_328, 144_907_992),
}


@pytest.mark.parametrize("backbone", MACS)
def test_macs_are_exact(backbone: str) -> None:
    macs = count_macs(model_of(backbone), 224)
    assert (macs.total, macs.backbone) == MACS[backbone]
    assert macs.regressor == macs.total - macs.backbone


def test_the_baseline_has_none() -> None:
    assert count_macs(model_of("blank", "mean"), 224) == (0, 0, 0)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_every_pass_of_the_regressor_counts(iterations: int) -> None:
    model = model_of("squeezenet1_0_logits", "spin", f"regressor.iterations={iterations}")
    assert count_macs(model, 224).regressor == iterations * 7_182_336 // 3


def test_counting_neither_runs_nor_changes_the_model() -> None:
    model = model_of("mobilenet_v2").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    assert count_macs(model, 96).backbone < 300_774_272 * (96 / 224) ** 2 * 1.1
    assert model.training
    assert torch.equal(draws, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
