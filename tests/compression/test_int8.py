"""int8 from calibration images: scales, ranges, and that little is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from compression_matrix import FAMILIES
from support.cli import compose
from support.compression import change, context, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.checkpoints.format import save_model
from hmr_light.commands.train import run as train
from hmr_light.compression.chain import check_parent
from hmr_light.compression.ranges import BINS, extremes, least_divergence, percentile
from hmr_light.compression.steps import read_steps
from hmr_light.config.strict import plain
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.integers import Int8Weights

OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != "shufflenet_v2_x0_5"]


def trained(family: str, regressor: str = "light") -> HMR:
    """A network whose batch norms have seen images, and whose predictions differ from image to image."""
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    model = model_of(family, regressor).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = 0.5
    with torch.no_grad():
        for batch in context().batches():
            model(normalize(batch["image"]))
    return model.eval()


@pytest.mark.parametrize("family", ["shufflenet_v2_x0_5", *OTHERS])
def test_a_network_in_integers_is_near_it(family: str) -> None:
    model = trained(family)
    small = rebuilt(model, change(model, "int8"))
    assert any(isinstance(one, Int8Weights) for one in small.modules())
    assert not any(type(one) in (nn.Conv2d, nn.Linear) for one in small.modules())
    images = next(iter(context().batches()))["image"]
    with torch.no_grad():
        features, own = small.backbone(normalize(images)), model.backbone(normalize(images))
    noise = float((features - own).square().mean() / own.square().mean())
    assert 0 < noise < 0.15, "eight bits lose little, also through many layers of random weights"


def test_ranges_hold_zero_and_every_input() -> None:
    model = trained("squeezenet1_1")
    name = next(name for name, one in model.named_modules() if isinstance(one, nn.Conv2d))
    least, most = extremes(model, [name], context().batches)[name]
    seen = torch.cat([normalize(batch["image"]) for batch in context().batches()])
    assert (least, most) == (float(seen.min()), float(seen.max()))
    made = change(model, "int8", method="minmax")
    scale, zero = made.state[f"{name}.input_scale"], made.state[f"{name}.input_zero_point"]
    assert float(scale) == pytest.approx((most - least) / 255)
    assert int(zero) == round(-least / float(scale))
    weight = model.get_submodule(name).weight.detach()
    assert torch.allclose(made.state[f"{name}.weight_scale"], weight.abs().flatten(1).amax(1) / 127)
    one = change(model, "int8", method="minmax", per_channel=False).state[f"{name}.weight_scale"]
    assert len(one.unique()) == 1
    kept = rebuilt(model, change(model, "int8", keep_float=[name]))
    assert type(kept.get_submodule(name)) is nn.Conv2d


def test_outliers_are_cut() -> None:
    counts = torch.zeros(BINS, dtype=torch.float64)
    counts[:200] = torch.linspace(1000, 10, 200, dtype=torch.float64)
    counts[-1] = 1
    assert percentile(counts, 100) == 1
    assert percentile(counts, 99.99) == pytest.approx(200 / BINS, abs=2 / BINS)
    assert least_divergence(counts) < 0.3
    even = torch.full((BINS,), 50.0, dtype=torch.float64)
    assert least_divergence(even) > 0.9, "where all magnitudes are as frequent, none is cut"
    assert percentile(torch.zeros(BINS, dtype=torch.float64), 99) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "mean"}, "compression.method"),
        ({"percentile": 20.0}, "compression.percentile=20.0 is too small"),
        ({"percentile": 101.0}, "is too large"),
        ({"per_chanel": True}, "Did you mean 'per_channel'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps({"name": "int8", **options})
    assert says in str(refused.value)


def test_what_cannot_be_done_is_told() -> None:
    model = trained("squeezenet1_1")
    with pytest.raises(UserError, match="keep_float names fire99, and no convolution"):
        change(model, "int8", keep_float=["fire99"])
    shared = rebuilt(model, change(model, "share", bits=2))
    with pytest.raises(UserError, match="layers that share weights"):
        change(shared, "int8")
    with pytest.raises(UserError, match=r"the weights of x\.pt are integers"):
        check_parent(rebuilt(model, change(model, "int8")), Path("x.pt"))
    check_parent(shared, Path("x.pt"))
    with pytest.raises(UserError, match="no layer that could compute in integers"):
        change(model, "int8", keep_float=["*"])


def test_training_that_starts_from_integers_is_refused(quick: list[str], tmp_path: Path) -> None:
    model = trained("squeezenet1_1")
    config = compose("train", *quick, "regressor=light")
    save_model(tmp_path / "int8.pt", rebuilt(model, change(model, "int8")), plain(config), 1, {})
    with pytest.raises(UserError, match="weights are integers"):
        train(
            compose("train", *quick, "regressor=light", f"init={tmp_path / 'int8.pt'}", f"outputs={tmp_path / 'runs'}")
        )
    assert not (tmp_path / "runs").exists()


def test_an_mlp_whose_features_are_of_any_scale_is_near_it_in_integers() -> None:
    small = ("backbone.width=0.25", "backbone.form=shallow", "regressor.hidden=[32]")
    model = model_of("mobilenet_v1", "mlp", *small).eval()
    *_, last = (module for module in model.backbone.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        scales = 10 ** (-3 * torch.rand(last.out_features))
        last.weight.mul_(scales[:, None])
        last.bias.mul_(scales)
        images = torch.cat([normalize(batch["image"]) for batch in context().batches()])
        features, norm = model.backbone(images), model.regressor.correction[0]
        norm.running_mean.copy_(features.mean(0))
        norm.running_var.copy_(features.var(0))
        norm.eps = 1e-20
        whole = rebuilt(model, change(model, "int8"))
        whole.regressor.correction[0].eps = norm.eps
        ours, theirs = (torch.cat(one.regressor.fold().estimate(features), 1) for one in (whole, model))
    assert (ours - theirs).std() < 0.05 * theirs.std(0).square().mean().sqrt()
