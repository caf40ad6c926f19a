"""A frozen backbone stays as it starts; its cached features give the training that the images give."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.cli import compose
from support.small_run import TRAIN, assert_same, journal, options, result, run_folders, write_data

from hmr_light.commands.train import run
from hmr_light.config.signals import stop_request
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import Interrupted
from hmr_light.model.hmr import normalize
from hmr_light.training.features import cached_samples
from hmr_light.training.inputs import initial_model, open_inputs
from hmr_light.training.progress import TrainingProgress


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path / "home"))
    return write_data(tmp_path / "data", seed=int(np.random.default_rng().integers(2**31)))


def config(data: Path, outputs: Path, *more: str) -> Any:
    return compose(*options(data, outputs, *more))


def trained(data: Path, outputs: Path, *more: str) -> Path:
    return run(config(data, outputs, *more))


def weights(run_dir: Path, epoch: int) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoints" / f"epoch-{epoch:03d}.pt", weights_only=True)["model"]


def test_the_backbone_stays_as_it_starts_for_as_long_as_it_is_frozen(data: Path, tmp_path: Path) -> None:
    more = ("trainer.epochs=3", "trainer.freeze_backbone=2", "trainer.ema_decay=null", "optimizer.name=adamw")
    settings = config(data, tmp_path / "runs", *more, "optimizer.weight_decay=0.1")
    with init_distributed("cpu") as distributed:
        start = initial_model(settings, open_inputs(settings, distributed).training).state_dict()
    run_dir = run(settings)
    frozen, thawed = weights(run_dir, 2), weights(run_dir, 3)
    of_backbone = [name for name in start if name.startswith("backbone.")]
    assert of_backbone
    assert all(torch.equal(start[name], frozen[name]) for name in of_backbone)
    assert not torch.equal(start["regressor.fc1.weight"], frozen["regressor.fc1.weight"])
    changed = [name for name in of_backbone if not torch.equal(frozen[name], thawed[name])]
    assert any(name.endswith("running_mean") for name in changed)
    assert any(name.endswith("weight") for name in changed)


@pytest.mark.parametrize("on_bad", ["skip", "error"])
def test_a_cache_holds_the_samples_and_the_features_of_their_images(data: Path, tmp_path: Path, on_bad: str) -> None:
    if on_bad == "skip":
        (data / "train003.jpg").write_bytes(b"no image")
    more = ("trainer.feature_views=2", "trainer.freeze_backbone=9", f"trainer.on_bad_sample={on_bad}")
    settings = config(data, tmp_path / "runs", *more, "trainer.max_bad_fraction=0.2")
    said: list[str] = []
    with init_distributed("cpu") as distributed, stop_request() as stop:
        inputs = open_inputs(settings, distributed)
        backbone = initial_model(settings, inputs.training).backbone.eval()
        arguments = (inputs.training, settings, backbone, distributed, said.append, stop)
        cached = cached_samples(*arguments)
        for epoch in (0, 1, 3):
            keys = [(epoch, position) for position in np.random.default_rng(epoch).permutation(TRAIN)[:5].tolist()]
            batch = cached.__getitems__(keys)
            assert "image" not in batch
            for row, (_, position) in enumerate(keys):
                chosen, pass_, index = inputs.training.locate(epoch, position)
                if index == 3 and on_bad == "skip":
                    assert batch["skipped"][row, 0] == 3
                    continue
                sample = inputs.training.datasets[chosen][pass_ % 2, index]
                for name in sample.keys() - {"image"}:
                    assert torch.equal(batch[name][row], sample[name]), name
                with torch.no_grad():
                    features = backbone(normalize(sample["image"][None]))[0]
                torch.testing.assert_close(batch["features"][row].float(), features, rtol=2e-3, atol=2e-3)
        assert f"{2 * TRAIN} to compute, 0 done" in said[0]
        said.clear()
        cached_samples(*arguments)
        assert len(said) == 1
        assert ": from " in said[0]
        # Other weights, other features.
        next(backbone.parameters()).data += 1
        cached_samples(*arguments)
        assert f"{2 * TRAIN} to compute, 0 done" in said[1]


def test_cached_features_train_like_images_and_the_rest_of_the_run_has_images(data: Path, tmp_path: Path) -> None:
    more = ("trainer.epochs=3", "trainer.freeze_backbone=2", "trainer.ema_decay=null")
    images = trained(data, tmp_path / "images", *more)
    cached = trained(data, tmp_path / "cached", *more, "trainer.feature_views=2")
    for epoch in (1, 2, 3):
        one, other = weights(images, epoch), weights(cached, epoch)
        for name, value in one.items():
            if name.startswith("regressor.") and value.ndim == 2:  # half precision moves weights by a rate at most
                assert (value - other[name]).abs().mean() < 1e-3, (epoch, name)
    losses = [
        [entry["values"]["loss/total"] for entry in journal(run_dir) if "loss/total" in entry.get("values", {})]
        for run_dir in (images, cached)
    ]
    assert losses[0][:2] == pytest.approx(losses[1][:2], rel=1e-2)


@pytest.mark.parametrize("views", [0, 2])
def test_a_run_that_is_stopped_while_frozen_ends_as_if_it_was_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    more = ("trainer.epochs=4", "trainer.freeze_backbone=3", f"trainer.feature_views={views}")
    whole = trained(data, tmp_path / "whole", *more)
    steps_told = 0
    tell = TrainingProgress.step

    def stop_at_the_seventh(self: TrainingProgress, *arguments: Any) -> None:
        nonlocal steps_told
        steps_told += 1
        tell(self, *arguments)
        if steps_told == 7:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingProgress, "step", stop_at_the_seventh)
    with pytest.raises(Interrupted, match="resume="):
        trained(data, tmp_path / "stopped", *more)
    (run_dir,) = run_folders(tmp_path / "stopped")
    assert_same(result(whole), result(trained(data, tmp_path / "stopped", *more, f"resume={run_dir}")))


def test_epochs_between_evaluations_have_losses_alone(data: Path, tmp_path: Path) -> None:
    run_dir = trained(data, tmp_path / "runs", "trainer.epochs=5", "trainer.evaluate_every=2", "trainer.save_every=5")
    figures = {entry["step"]: entry["values"] for entry in journal(run_dir) if "loss/total" in entry.get("values", {})}
    assert [epoch for epoch in sorted(figures) if "mpjpe_mm" in figures[epoch]] == [2, 4, 5]
    assert sorted(figures) == [1, 2, 3, 4, 5]
