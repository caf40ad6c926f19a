"""The cost figures of a row have their names, and leave the model as it was."""

from __future__ import annotations

import pytest
import torch
from support.models import model_of

from hmr_light.cost.macs import count_macs
from hmr_light.cost.summary import cost_metrics


@pytest.mark.parametrize("training", [True, False])
def test_the_rows_figures_have_their_names_and_leave_the_model_as_it_was(training: bool) -> None:
    model = model_of("squeezenet1_1").train(training)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[parameter == 0] = 1e-3  # of some million random weights, one may be zero
    figures, latency = cost_metrics(model, 96, torch.device("cpu"))
    assert (
        figures["parameters"]
        == figures["parameters_backbone"] + figures["parameters_regressor"]
        == 1_773_120 + 3_469_469
    )
    assert figures["parameters_folded"] == 1_773_120 + 157 * 2048 + 157
    assert figures["macs"] == count_macs(model, 96).total
    assert figures["disk_bytes"] == pytest.approx(4 * figures["parameters"], rel=0.05)
    assert "parameters_effective" not in figures, "no weight is zero"
    assert 0 < latency.min_s <= figures["inference_time_s"] <= figures["inference_time_p95_s"]
    assert 0 < figures["inference_cpu_share"] <= 1
    assert figures["inference_cpu_time_s"] <= figures["inference_time_p95_s"]
    assert figures["inference_ratio"] == latency.ratio > 0
    assert latency.batch == 1
    assert model.training == training
