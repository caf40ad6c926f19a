"""Every step, one after the other on one model: saved, read back, trained on, saved and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.backbones import config_of
from support.compression import change, context, rebuilt, to_zero

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint, start_from
from hmr_light.config.strict import plain
from hmr_light.model.hmr import HMR, build_model
from hmr_light.training.schedule import build_optimizer

STEPS = (("compact", {}), ("low_rank", {"rank": 0.3}), ("prune", {"keep": 0.5}), ("sparse", {"keep": 0.4}))


def train_a_step(model: HMR) -> None:
    optimizer = build_optimizer(context().config.optimizer, model, None)
    assert optimizer is not None
    model.train()
    loss = to_zero(model, {"image": torch.randn(4, 3, 64, 64)})["all"].sum
    loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
    optimizer.step()
    model.eval()


@pytest.mark.parametrize(
    "backbone",
    [
        "squeezenet1_1",
        pytest.param("shufflenet_v2_x0_5", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_small", marks=pytest.mark.slow),
        pytest.param("thundernet146", marks=pytest.mark.slow),
        pytest.param("shufflenet_fire", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
    ],
)
def test_a_model_of_all_steps_is_a_model_like_any_other(backbone: str, tmp_path: Path) -> None:
    network = {"backbone": config_of(backbone) | {"weights": None}, "regressor": {"name": "mlp", "hidden": [32]}}
    config, model = plain(context().config) | network, build_model(network).eval()
    done = []
    for name, options in STEPS:
        if name == "compact" and backbone.startswith("shufflenet"):
            continue  # no large kernels but depthwise 3×3
        model = rebuilt(model, change(model, name, **options))
        done.append(name)
    images = torch.randn(2, 3, 64, 64)
    for _ in range(2):
        save_model(tmp_path / "epoch-001.pt", model, config, 1, {})
        read = load_checkpoint(tmp_path / "epoch-001.pt")
        assert [one["name"] for one in read.transforms] == done
        again = read.build()
        with torch.no_grad():
            for ours, theirs in zip(again(images), model(images), strict=True):
                assert torch.equal(ours, theirs)
        fresh = start_from(build_model(config), tmp_path / "epoch-001.pt")
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in fresh.state_dict().items())
        train_a_step(again)
        model = again
    zeros = [int((one.weight == 0).sum()) for one in model.modules() if isinstance(one, torch.nn.Linear)]
    assert sum(zeros) > 0
