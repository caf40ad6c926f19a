"""Parameters and multiply-accumulates are exact; times are measured as they say."""

from __future__ import annotations

import math
import time
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from hmr_light.cost.latency import measure_latency
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import bytes_on_disk, count_parameters
from hmr_light.cost.summary import cost_metrics
from hmr_light.model.hmr import HMR, build_model
from hmr_light.paths import conf_dir

CPU = torch.device("cpu")

# At 224×224 with three iterations: parameters in all, of the backbone; MACs in all, of the backbone.
COSTS = {
    "resnet50": (26_977_501, 23_508_032, 4_097_538_048, 4_087_136_256),
    "squeezenet1_0": (5_255_517, 1_786_048, 920_007_712, 909_605_920),
    "squeezenet1_0_logits": (3_644_741, 1_248_424, 826_106_912, 818_924_576),
    "squeezenet_2": (4_606_613, 2_210_296, 1_519_643_680, 1_512_461_344),
    "densenet121": (12_522_525, 9_053_056, 2_845_636_608, 2_835_234_816),
    "densenet169": (16_545_797, 14_149_480, 3_367_025_664, 3_359_843_328),
    "mobilenet_v2": (5_901_189, 3_504_872, 307_956_608, 300_774_272),
    "mobilenet_v3_reference": (5_334_685, 2_938_368, 67_301_856, 60_119_520),
    "mobilenet_v3_large": (7_879_349, 5_483_032, 223_772_096, 216_589_760),
    "shufflenet_v1_reference": (4_274_237, 1_877_920, 144_643_008, 137_460_672),
    "shufflenet_v2_x1_0": (4_674_921, 2_278_604, 152_090_328, 144_907_992),
}


def model_of(backbone: str, regressor: str = "spin", *overrides: str) -> HMR:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(overrides=[f"+backbone={backbone}", f"+regressor={regressor}", *overrides])
    return build_model(OmegaConf.to_container(config))  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", COSTS)
def test_parameters_and_macs_are_exact(backbone: str) -> None:
    model = model_of(backbone)
    parameters, macs = count_parameters(model), count_macs(model, 224)
    assert (parameters.total, parameters.backbone, macs.total, macs.backbone) == COSTS[backbone]
    assert parameters.regressor == parameters.total - parameters.backbone
    assert macs.regressor == macs.total - macs.backbone
    assert parameters.folded == parameters.backbone + 157 * model.backbone.num_features + 157


def test_the_baseline_costs_nothing() -> None:
    model = model_of("blank", "mean")
    assert count_parameters(model) == (0, 0, 0, 0)
    assert count_macs(model, 224) == (0, 0, 0)


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


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_every_pass_of_the_regressor_counts(iterations: int) -> None:
    model = model_of("squeezenet1_0_logits", "spin", f"regressor.iterations={iterations}")
    assert count_macs(model, 224).regressor == iterations * 7_182_336 // 3


def test_counting_neither_runs_nor_changes_the_model() -> None:
    model = model_of("mobilenet_v2").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    assert count_parameters(model).folded < count_parameters(model).total
    assert count_macs(model, 96).backbone < 300_774_272 * (96 / 224) ** 2 * 1.1
    assert model.training
    assert torch.equal(draws, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_times_circumstances_are_told_and_the_threads_restored() -> None:
    before = torch.get_num_threads()
    seen = []
    calls = iter(range(1000))

    def call() -> None:
        seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        time.sleep(0.05 if next(calls) < 3 else 0.01)  # the first calls are slow, as first calls are

    latency = measure_latency(call, device=CPU, batch=4, warmup=3, repeats=20, threads=2)
    assert seen == [(2, True)] * 23
    assert torch.get_num_threads() == before
    assert 0.01 <= latency.min_s <= latency.median_s <= latency.p95_s < 0.05
    assert (latency.batch, latency.repeats, latency.threads, latency.device) == (4, 20, 2, "cpu")
    assert latency.cpu
    assert latency.load_average >= 0 or math.isnan(latency.load_average)


def test_threads_are_restored_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        measure_latency(lambda: 1 / 0, device=CPU, threads=before + 1)
    assert torch.get_num_threads() == before


def test_the_95th_percentile_is_that() -> None:
    waits = iter([0.0] * 19 + [0.03])

    def call() -> None:
        time.sleep(next(waits))

    assert measure_latency(call, device=CPU, warmup=0, repeats=20).p95_s < 0.03
    waits = iter([0.0] * 18 + [0.03] * 2)
    assert measure_latency(call, device=CPU, warmup=0, repeats=20).p95_s >= 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpus_work_is_waited_for() -> None:
    device = torch.device("cuda")
    matrix = torch.rand(8192, 8192, device=device)
    operations = 2 * 8192**3
    latency = measure_latency(lambda: matrix @ matrix, device=device, warmup=2, repeats=5)
    assert latency.min_s > operations / 2e15  # faster than any GPU is
    assert latency.device == torch.cuda.get_device_name()


@pytest.mark.parametrize("training", [True, False])
def test_the_rows_figures_have_their_names_and_leave_the_model_as_it_was(training: bool) -> None:
    model = model_of("squeezenet1_1").train(training)
    figures, latency = cost_metrics(model, 96, CPU)
    assert (
        figures["parameters"]
        == figures["parameters_backbone"] + figures["parameters_regressor"]
        == 1_773_120 + 3_469_469
    )
    assert figures["parameters_folded"] == 1_773_120 + 157 * 2048 + 157
    assert figures["macs"] == count_macs(model, 96).total
    assert 0 < latency.min_s <= figures["inference_time_s"] <= figures["inference_time_p95_s"]
    assert latency.batch == 1
    assert model.training == training
