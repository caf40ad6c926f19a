"""Structured pruning: with the removed channels silent, the wide network gives what the narrow one does."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from compression_matrix import FAMILIES
from support.backbones import CHOICES
from support.compression import IMAGE_SIZE, change, context, rebuilt
from support.models import model_of
from support.pruning import check, narrowed, trained
from torch import nn

from hmr_light.compression.cells import Cells
from hmr_light.compression.channels import trace_channels
from hmr_light.compression.importance import batch_norm_scale, taylor
from hmr_light.compression.plan import Limits, measure, uniform, within
from hmr_light.compression.steps import read_steps
from hmr_light.compression.transfer import narrow
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, normalize

OTHERS = sorted(set(CHOICES) - set(FAMILIES) - {"blank", "timm"})


def pruned(model: HMR, share: float, multiple: int, scope: str) -> HMR:
    """`model` without its least important channels, which gives what `model` does with them silent."""
    cells, made = narrowed(model, share, multiple, scope)
    small = rebuilt(model, made.change)
    check(model, small, cells, made)
    return small


@pytest.mark.slow
@pytest.mark.parametrize("backbone", OTHERS)
def test_narrow_and_wide_agree_for_every_backbone(backbone: str) -> None:
    pruned(trained(backbone), 0.6, 8, "layer")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize(("share", "multiple"), [(0.6, 4), (0.9, 1), (0.3, 8)])
def test_narrow_and_wide_agree_globally(backbone: str, share: float, multiple: int) -> None:
    pruned(trained(backbone), share, multiple, "global")


@pytest.mark.parametrize("regressor", ["spin", "hmr", "mlp", "linear"])
def test_narrow_and_wide_agree_for_every_regressor(regressor: str) -> None:
    model = trained("mobilenet_v1", "backbone.width=0.25", "backbone.form=shallow", regressor=regressor)
    for layer in model.regressor.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.02)
    small = pruned(model, 0.5, 1, "global")
    assert small.backbone.num_features < model.backbone.num_features == 1000
    with torch.no_grad():
        small.regressor.fold()(torch.randn(2, small.backbone.num_features, dtype=torch.double))


@pytest.mark.parametrize("name", ["resnet10t", "ghostnet_050"])
def test_networks_of_timm_are_pruned_without_being_traced(name: str) -> None:
    pytest.importorskip("timm")
    pruned(trained("timm", f"backbone.name={name}"), 0.6, 8, "layer")


def test_widths_are_multiples_where_the_network_allows_it() -> None:
    model = trained("mobilenet_v3_small")
    small = rebuilt(model, change(model, "prune", keep=0.6))
    widths = {layer.out_channels for layer in small.modules() if isinstance(layer, nn.Conv2d)}
    assert all(width % 8 == 0 for width in widths)


def test_layers_have_shares_of_their_own() -> None:
    model = trained("squeezenet1_1")
    layers = {"*": 1.0, "*squeeze": 0.25}
    small = rebuilt(model, change(model, "prune", keep=0.5, layers=layers, multiple=1))
    before = dict(model.named_modules())
    for name, layer in small.named_modules():
        if isinstance(layer, nn.Conv2d):
            share = 0.25 if name.endswith("squeeze") else 1.0
            assert layer.out_channels == round(share * before[name].out_channels), name


@pytest.mark.parametrize(
    ("backbone", "budget"),
    [("squeezenet1_1", "macs"), pytest.param("shufflenet_v2_x0_5", "parameters", marks=pytest.mark.slow)],
)
def test_a_budget_is_held_and_used(backbone: str, budget: str) -> None:
    model = trained(backbone)
    limit = 0.6 * measure(model, IMAGE_SIZE)[budget]
    small = rebuilt(model, change(model, "prune", budget={budget: limit}, scope="global", multiple=1))
    assert 0.9 * limit < measure(small, IMAGE_SIZE)[budget] <= limit


def test_a_budget_of_time_is_held_and_used_by_what_is_measured() -> None:
    model = trained("mobilenet_v1", "backbone.width=0.25", "backbone.form=shallow")
    cells = Cells(trace_channels(model, IMAGE_SIZE))
    planner, macs = uniform(cells, Limits(1, 0.1, {})), measure(model, IMAGE_SIZE)["macs"]
    asked: list[float] = []

    def time_of(small: HMR) -> float:
        """A time that is the same on each day."""
        asked.append(measure(small, IMAGE_SIZE)["macs"] / macs)
        return asked[-1]

    widths = within(planner, {"latency": 0.5, "macs": 0.9 * macs}, cells, model, IMAGE_SIZE, time_of)
    small = rebuilt(model, narrow(model, cells, widths, torch.ones(len(cells)), IMAGE_SIZE).change)
    ratio = measure(small, IMAGE_SIZE)["macs"] / macs
    assert 0.47 < ratio <= 0.5
    assert ratio == max(one for one in asked if one <= 0.5)
    assert max(asked) <= 0.9, "what the other limits forbid is not measured"
    assert len(set(asked)) == len(asked), "nothing is measured twice"
    asked.clear()
    with pytest.raises(
        UserError, match=r"latency=0\.001 cannot be reached: the narrowest network has 0\.\d\d of"
    ) as told:
        within(planner, {"latency": 0.001}, cells, model, IMAGE_SIZE, time_of)
    assert f"{asked[0]:.2f} of the latency" in str(told.value)
    with pytest.raises(UserError, match="costs no more than the budget latency=1 already"):
        within(planner, {"latency": 1.0}, cells, model, IMAGE_SIZE, time_of)


def test_rounds_go_to_the_same_width_step_by_step() -> None:
    model = trained("mobilenet_v1", "backbone.width=0.25", "backbone.form=shallow")
    costs, options = [measure(model, IMAGE_SIZE)["macs"]], {"budget": {"macs": 1e6}, "rounds": 2, "multiple": 1}
    for phase in range(2):
        model = rebuilt(model, change(model, "prune", phase, **options))
        costs.append(measure(model, IMAGE_SIZE)["macs"])
    assert costs[-1] <= 1e6
    assert len(model.transforms) == 2
    shares = [after / before for before, after in pairwise(costs)]
    assert max(shares) - min(shares) < 0.1
    with pytest.raises(UserError, match="costs no more than the budget macs=1,000,000 already"):
        change(model, "prune", 1, **options)


def test_the_first_order_criterion_is_the_slope_of_the_loss() -> None:
    model = trained("mobilenet_v1", "backbone.width=0.25", "backbone.form=shallow").float()
    cells = Cells(trace_channels(model, IMAGE_SIZE))
    scores = taylor(model, cells, context())
    step = 1e-2
    for cell in torch.randperm(len(cells))[:1].tolist():
        slopes = []
        for batch in context().batches():
            losses = []
            for factor in (1 + step, 1 - step):
                scaled = copy.deepcopy(model).double()
                for name, layer in scaled.named_modules():
                    if name in cells.inputs:
                        made = cells.outputs.get(name, cells.inputs[name]) == cell
                        with torch.no_grad():
                            for value in layer.parameters(recurse=False):
                                value[made] *= factor
                image = normalize(batch["image"]).double()
                terms = context().objective(scaled, {"image": image})["all"]
                losses.append((terms.sum / terms.count).item())
            slopes.append((losses[0] - losses[1]) / (2 * step))
        expected = sum(slope**2 for slope in slopes) / len(slopes)
        # Scores are computed in float32: where the true slope is 0, they are what rounding leaves of the others.
        assert float(scores[cell]) == pytest.approx(expected, rel=0.05, abs=1e-3 * float(scores.max()))


def test_scales_of_batch_norms_are_a_criterion_where_there_are_any() -> None:
    model = trained("resnet18")
    cells = Cells(trace_channels(model, IMAGE_SIZE))
    scores = batch_norm_scale(model, cells, context())
    norm = model.backbone.trunk.layer1[0].bn1  # its channels have no other
    torch.testing.assert_close(scores[cells.inputs["backbone.trunk.layer1.0.bn1"]], norm.weight.abs().float())
    with pytest.raises(UserError, match="no batch norms with scales"):
        change(trained("squeezenet1_1"), "prune", criterion="batch_norm")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep": 0}, "compression.keep=0 is no share"),
        ({"layers": {"a": 2}}, "compression.layers.a=2 is no share"),
        ({"budget": {"seconds": 1}}, "compression.budget.seconds is no budget"),
        ({"budget": {"latency": 1.5}}, "compression.budget.latency=1.5 is no share"),
        ({"budget": {"macs": -1}}, "compression.budget.macs=-1 is no number"),
        ({"budget": {"macs": float("inf")}}, "is no number"),
        ({"multiple": 0}, "compression.multiple=0 is out of range"),
        ({"rounds": 0}, "compression.rounds=0 is out of range"),
        ({"criterion": "l3"}, "compression.criterion='l3'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps({"name": "prune", **options})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("backbone", "options", "says"),
    [
        ("squeezenet1_1", {"budget": {"macs": 1e3}}, "the budget macs=1,000 cannot be reached"),
        ("squeezenet1_1", {"layers": {"fire2": 0.5}}, "compression.layers names fire2"),
        ("squeezenet1_1", {"keep": 0.999}, "nothing is pruned"),
    ],
)
def test_what_cannot_be_is_told(backbone: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        change(model_of(backbone, "light"), "prune", **options)
    assert says in str(refused.value)
