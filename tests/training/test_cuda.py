"""On a GPU: what the CPU gives, to the rounding of the arithmetic; training, resuming, evaluating and predicting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.cli import Command, compose

from hmr_light.backbones import complete
from hmr_light.body import load_body
from hmr_light.commands.train import run
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import build_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def float32_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32, whose rounding is 1e-3."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def journal(run_dir: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    return [line["values"][name] for line in lines if line["kind"] == "metrics" and name in line["values"]]


def model_of(backbone: str, regressor: str) -> Any:
    config = compose("train", f"backbone={backbone}", f"regressor={regressor}", "tracking=journal")
    return build_model({"backbone": complete(config.backbone), "regressor": config.regressor}).eval()


@pytest.mark.parametrize(
    ("backbone", "regressor"),
    [
        ("mobilenet_v2_movenet", "mlp"),
        ("shufflenet_v2_x1_0", "spin"),
        ("squeezenet1_1", "hmr"),
        ("efficientnet_lite0", "light"),
        ("densenet121", "linear"),
        ("resnet18", "spin"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_network_gives_on_a_gpu_what_it_gives_on_the_cpu(backbone: str, regressor: str) -> None:
    model = model_of(backbone, regressor)
    images = torch.rand(3, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        expected = model(images)
        features = model.backbone(images)
        on_gpu = model.cuda()(images.cuda())
        fused = fuse_conv_bn(model.backbone)(images.cuda().contiguous(memory_format=torch.channels_last))
    for name, value in expected._asdict().items():
        torch.testing.assert_close(getattr(on_gpu, name).cpu(), value, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fused.cpu(), features, rtol=1e-3, atol=1e-3)


def test_the_body_is_posed_as_on_the_cpu() -> None:
    body = load_body()
    rng = np.random.default_rng()
    rotations = torch.linalg.qr(torch.from_numpy(rng.normal(size=(4, 24, 3, 3))).float())[0]
    betas = torch.from_numpy(rng.normal(size=(4, 10))).float()
    expected = body(rotations, betas)
    posed = load_body().cuda()(rotations.cuda(), betas.cuda())
    for value, wanted in zip(posed, expected, strict=True):
        torch.testing.assert_close(value.cpu(), wanted, rtol=1e-4, atol=1e-5)


def test_the_first_steps_have_the_losses_of_the_cpu(quick: list[str]) -> None:
    same = [*quick, "trainer.epochs=1", "trainer.log_every=1", "regressor.dropout=0", "backbone.adapter.dropout=0"]
    first, second = (
        journal(run(compose("train", *same, f"trainer.device={d}")), "loss_by_step") for d in ("cpu", "cuda")
    )
    assert len(second) == len(first) > 0
    np.testing.assert_allclose(second, first, rtol=2e-3)


@pytest.mark.parametrize(
    "options", [["trainer.precision=bfloat16"], ["trainer.freeze_backbone=1"], ["trainer.compile=true"]]
)
def test_every_way_to_train_ends_with_finite_weights(quick: list[str], home: Path, options: list[str]) -> None:
    common = [*quick, "trainer.device=cuda", "trainer.ema_decay=0.9", "data.workers=2", *options]
    run_dir = run(compose("train", *common, f"outputs={home}/runs"))
    losses = journal(run_dir, "loss/total")
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    state = torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)
    assert state["epoch"] == 2
    assert all(value.isfinite().all() for value in state["model"].values())


def test_a_run_of_a_gpu_is_evaluated_on_the_cpu_with_the_same_figures(quick: list[str], hmr_light: Command) -> None:
    run_dir = run(compose("train", *quick, "trainer.device=cuda"))
    figures = {}
    for device in ("cpu", "cuda"):
        done = hmr_light("evaluate", f"run={run_dir}", "tracking=journal", f"device={device}")
        assert done.returncode == 0, done.stderr
        figures[device] = done.stdout
    assert figures["cpu"] == figures["cuda"]


def test_a_run_that_was_stopped_goes_on(quick: list[str], home: Path, hmr_light: Command) -> None:
    common = [*quick, "trainer.device=cuda", f"outputs={home}/runs"]
    run_dir = run(compose("train", *common, "trainer.epochs=1"))
    done = hmr_light("train", f"resume={run_dir}", "trainer.epochs=2")
    assert done.returncode == 0, done.stderr
    assert torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)["epoch"] == 2
