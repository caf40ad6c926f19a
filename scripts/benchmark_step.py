"""What a training step costs beyond the bare forward, backward and optimizer step of the same network.

    python scripts/benchmark_step.py [--backbone mobilenet_v2] [--batch 16] [--steps 30] [--device cpu]

The training loop itself runs, with its losses, its progress bar and its journal, on batches that lie ready; between two
of its steps a copy of the network takes a bare one: forward, the mean of the squared outputs, backward, fused Adam. So
both are measured in turns in one process. The batch is turned to its layout and normalised in both. Printed are the
ratio of each pair (median and quartiles), and the share of the step that writing the epoch's figures to the journal
takes when an epoch has a thousand steps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch

from hmr_light.body import load_body
from hmr_light.config import typed
from hmr_light.config.application import SCHEMAS
from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import StopRequest
from hmr_light.config.strict import plain
from hmr_light.data.distributed import Distributed, init_distributed
from hmr_light.model.hmr import HMR, build_model, normalize
from hmr_light.paths import conf_dir
from hmr_light.tracking import start_tracking
from hmr_light.training.context import RunContext
from hmr_light.training.loop import train
from hmr_light.training.objectives import Batch, supervised
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.schedule import build_optimizer
from hmr_light.training.state import initial_state

EPOCH = 1000
WARMUP = 3


class LoopAndBareSteps(Iterator[Batch]):
    """The loop's batches. What passes between two calls is a step of the loop; in the call, a bare step is taken."""

    def __init__(self, batch: Batch, config: TrainConfig, world: Distributed) -> None:
        self.batch, self.world = batch, world
        self.channels_last = config.trainer.channels_last
        self.network = build_model({"backbone": config.backbone, "regressor": config.regressor}).to(world.device)
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(config.optimizer, self.network)
        assert optimizer is not None
        self.optimizer = optimizer
        self.images = batch["image"].to(world.device)
        self.loop: list[float] = []
        self.bare: list[float] = []
        self._left = 0.0

    def __next__(self) -> Batch:
        self._wait()
        now = time.perf_counter()
        if self._left:
            self.loop.append(now - self._left)
        self._bare_step()
        self._wait()
        self._left = time.perf_counter()
        self.bare.append(self._left - now)
        return dict(self.batch)

    def _bare_step(self) -> None:
        images = normalize(self.images)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        loss = sum(value.square().mean() for value in self.network(images))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _wait(self) -> None:
        if self.world.device.type == "cuda":
            torch.cuda.synchronize()


def made_batch(size: int, image_size: int) -> Batch:
    """People with every label, as a loader gives them."""
    rng = torch.Generator().manual_seed(0)
    rotations = torch.linalg.qr(torch.randn(size, 24, 3, 3, generator=rng))[0]
    return {
        "image": torch.randint(0, 256, (size, 3, image_size, image_size), dtype=torch.uint8, generator=rng),
        "keypoints_2d": torch.rand(size, 49, 3, generator=rng),
        "joints_3d": torch.rand(size, 24, 4, generator=rng),
        "pose": rotations * torch.linalg.det(rotations)[..., None, None],
        "betas": torch.randn(size, 10, generator=rng),
        "has_smpl": torch.ones(size),
        "has_joints_3d": torch.ones(size),
        "center": torch.zeros(size, 2),
        "scale": torch.ones(size),
        "index": torch.arange(size),
        "dataset_index": torch.zeros(size, dtype=torch.int64),
        "skipped": torch.full((size, 8), -1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    overrides = [f"backbone={arguments.backbone}", "data=synthetic", "backbone.weights=null", "trainer.epochs=1"]
    overrides += [f"trainer.batch_size={arguments.batch}", f"trainer.device={arguments.device}"]
    overrides += [f"data.image_size={arguments.image_size}"]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = typed(SCHEMAS["train"], hydra.compose("train", overrides))
    with init_distributed(config.trainer.device) as world, tempfile.TemporaryDirectory() as folder:
        body = load_body().to(world.device)
        model = build_model({"backbone": config.backbone, "regressor": config.regressor}).to(world.device)
        if config.trainer.channels_last:
            model.to(memory_format=torch.channels_last)
        turns = LoopAndBareSteps(made_batch(arguments.batch, config.data.image_size), config, world)
        run = Path(folder)
        (run / "checkpoints").mkdir()
        journal: list[float] = []
        with (
            start_tracking(run, experiment="benchmark", uri=None, run_name="benchmark") as tracker,
            TrainingProgress(run / "train.log", arguments.steps, 0, 1, shown=True) as progress,
        ):

            class Listener:
                def step(self, epoch: int, step: int, images: int, losses: Sequence[float]) -> None:
                    progress.step(epoch, step, images, losses[-1])

                def bad_samples(self, chosen: torch.Tensor, skipped: torch.Tensor) -> None: ...

                def epoch(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
                    for repeat in range(20):
                        started = time.perf_counter()
                        tracker.metrics(figures, step=repeat)
                        journal.append(time.perf_counter() - started)

            context = RunContext(run, config, plain(config), world, tracker)
            objective = supervised(config.loss, body)
            state = initial_state(model, config, objective)
            train(context, state, objective, turns, arguments.steps, Listener(), StopRequest())
    ratios = np.array(turns.loop[WARMUP:]) / np.array(turns.bare[WARMUP : len(turns.loop)])
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    step, told = float(np.median(turns.loop)), float(np.median(journal))
    print(f"{arguments.backbone}, batch {arguments.batch}, {config.data.image_size} px, {world.device}, one thread:")
    print(f"  step / bare: {middle:.3f} ({low:.3f}–{high:.3f}) over {len(ratios)} pairs; step {1000 * step:.0f} ms")
    print(f"  journal: {1000 * told:.2f} ms an epoch, {told / (EPOCH * step):.4%} of {EPOCH} steps")


if __name__ == "__main__":
    main()
