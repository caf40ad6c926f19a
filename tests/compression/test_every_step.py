"""Every step on every family: a small case each of what `scripts/compression_matrix.py` does at full size.

Pruning makes the narrow network of a family, and every other step is done to that one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from compression_matrix import FAMILIES
from support.backbones import config_of
from support.compression import change, context, rebuilt, to_zero
from support.pruning import check, narrowed, trained

from hmr_light.checkpoints.format import Checkpoint, save_model
from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint, start_from
from hmr_light.checkpoints.models import predictor_of
from hmr_light.compression.recalibrate import recalibrate
from hmr_light.compression.steps import read_steps
from hmr_light.config.choices import compose_choice
from hmr_light.config.strict import plain
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, normalize
from hmr_light.model.integers import Int8Weights
from hmr_light.training.schedule import build_optimizer

SMALLER = {
    "densenet121": ("backbone.growth_rate=8",),
    "mobilenet_v1": ("backbone.width=0.25", "backbone.form=shallow"),
}
"""Options of families, which change neither their layers nor how these are joined."""
STEPS: dict[str, dict[str, Any]] = {
    "prune": {},
    "compact": {},
    "low_rank": {"rank": 0.3},
    "share": {"bits": 3},
    "sparse": {"keep": 0.4},
    "int8": {"method": "minmax", "train": True},
}
"""By name, with options at which each changes any network."""
WITHOUT_LARGE_KERNELS = {name for name in FAMILIES if name.startswith(("mobilenet_v1", "mobilenet_v2", "shufflenet"))}
"""Families that `compact` has nothing to do for."""
CODED = "squeezenet1_1"
"""The family whose models are written to the coded file too: it is the same for all, tensor by tensor."""


@dataclass(frozen=True)
class Narrow:
    """The narrow network of a family."""

    family: str
    config: dict[str, Any]
    """What a checkpoint of it says."""
    model: HMR


@pytest.fixture(scope="module", params=FAMILIES)
def narrow(request: pytest.FixtureRequest) -> Narrow:
    family: str = request.param
    options = SMALLER.get(family, ())
    model = trained(family, *options)
    cells, made = narrowed(model, 0.3, 8, "layer")
    small = rebuilt(model, made.change)
    check(model, small, cells, made)
    small.float()
    recalibrate(small, context().batches())
    return Narrow(family, configuration(family, *options), small)


def configuration(family: str, *options: str) -> dict[str, Any]:
    network = {"backbone": config_of(family, *options), "regressor": compose_choice("regressor", "light")}
    return plain(context().config) | network


def reread(model: HMR, config: dict[str, Any], path: Path) -> Checkpoint:
    """The checkpoint of `model`, saved and read."""
    save_model(path, model, config, 1, {})
    read = load_checkpoint(path)
    assert read.transforms == model.transforms
    return read


def coded(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The same from its coded file, whose size is about that of the codes of its weights."""
    size = write_hmrz(path, checkpoint)
    codes = sum(value.numel() for value in checkpoint.state.values() if value.dtype in (torch.uint8, torch.int8))
    others = sum(value.numel() for value in checkpoint.state.values()) - codes
    assert size < codes + 4 * others + 64 * len(checkpoint.state)
    read = load_checkpoint(path)
    assert (read.config, read.transforms) == (checkpoint.config, checkpoint.transforms)
    assert list(read.state) == list(checkpoint.state)
    assert all(torch.equal(value, read.state[name]) for name, value in checkpoint.state.items())
    return read


def train_a_step(model: HMR) -> None:
    """One step of the optimizer of `conf/`, which changes all that is trained."""
    optimizer = build_optimizer(context().config.optimizer, model)
    assert optimizer is not None
    model.train()
    to_zero(model, {"image": torch.randn(4, 3, 64, 64)})["all"].sum.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer.step()
    assert any(not torch.equal(value, before[name]) for name, value in model.named_parameters())
    model.eval()


def predict(model: HMR, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return model(normalize(images))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_leaves_a_model_that_is_saved_read_evaluated_and_trained(
    narrow: Narrow, step: str, tmp_path: Path
) -> None:
    model = narrow.model
    if step == "compact" and narrow.family in WITHOUT_LARGE_KERNELS:
        with pytest.raises(UserError, match="no convolutions that two others would be cheaper than"):
            change(model, step)
        return
    if step != "prune":
        model = rebuilt(model, change(model, step, **STEPS[step]))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    checkpoint = reread(model, narrow.config, tmp_path / "a.pt")
    again = checkpoint.build()
    assert all(map(torch.equal, predict(again, images), predict(model, images)))
    train_a_step(again)
    if step == "int8":
        (chosen,) = read_steps({"name": step, **STEPS[step]})
        model = rebuilt(again, chosen.phases[1](copy.deepcopy(again), context()))
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert any(isinstance(layer, Int8Weights) and layer.is_frozen for layer in model.modules())
        checkpoint = reread(model, narrow.config, tmp_path / "b.pt")
        assert all(map(torch.equal, predict(checkpoint.build(), images), predict(again, images)))
    if narrow.family == CODED:
        read = coded(checkpoint, tmp_path / "a.hmrz")
        for ours, theirs in zip(predictor_of(read, "cpu")(images), predict(model, images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "family",
    [
        "squeezenet1_1",
        *(pytest.param(one, marks=pytest.mark.slow) for one in FAMILIES if one != "squeezenet1_1"),
    ],
)
def test_a_model_of_all_steps_is_a_model_like_any_other(family: str, tmp_path: Path) -> None:
    config = configuration(family)
    model, done = build_model(config | {"backbone": config["backbone"] | {"weights": None}}).eval(), []
    for name in ("prune", "compact", "low_rank", "prune", "sparse", "share"):
        if name != "compact" or family not in WITHOUT_LARGE_KERNELS:
            model = rebuilt(model, change(model, name, **STEPS[name]))
            done.append(name)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    path = tmp_path / "a.pt"
    for _ in range(2):
        checkpoint = reread(model, config, path)
        assert [one["name"] for one in checkpoint.transforms] == done
        again = checkpoint.build()
        assert all(map(torch.equal, predict(again, images), predict(model, images)))
        fresh = start_from(build_model(config), path)
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in fresh.state_dict().items())
        train_a_step(again)
        model = again
