"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hmr_light.body import SMPL
from hmr_light.config.schema import TrainConfig
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.losses import LossConfig, build_loss_config, compute_losses
from hmr_light.training import checkpoint
from hmr_light.training.distributed import Processes
from hmr_light.training.ema import MovingAverage
from hmr_light.training.schedule import build_optimizer, learning_rate
from hmr_light.training.signals import stop_request

Batch = dict[str, torch.Tensor]

# On a GPU, reading a loss waits for it; so losses are read in groups of this many steps.
STEPS_BETWEEN_READS = 20


@dataclass
class TrainingState:
    """Everything that the next step depends on; what `last.pt` holds."""

    model: HMR
    optimizer: torch.optim.Optimizer | None
    average: MovingAverage | None
    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps completed within the epoch at hand."""
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    """Sums of each loss over the steps of the epoch at hand."""

    @property
    def evaluated_model(self) -> HMR:
        """The model that counts: the moving average where there is one."""
        return self.average.model if self.average else self.model  # type: ignore[return-value]

    def save(self, path: Path, config: dict[str, Any]) -> None:
        checkpoint.save(
            path,
            {
                "format": checkpoint.FORMAT,
                "config": config,
                "epoch": self.epoch,
                "step": self.step,
                "sums": dict(self.sums),
                "model": self.model.state_dict(),
                "average": self.average.model.state_dict() if self.average else None,
                "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            },
        )

    def load(self, path: Path) -> None:
        """Continue from what `save` wrote."""
        content = checkpoint.read(path)
        checkpoint.load_state(self.model, content["model"], path)
        if self.average:
            checkpoint.load_state(self.average.model, content["average"] or content["model"], path)
        if self.optimizer and content["optimizer"]:
            self.optimizer.load_state_dict(content["optimizer"])
        self.epoch, self.step = content["epoch"], content["step"]
        device = next(self.model.buffers()).device
        self.sums = {name: value.to(device) for name, value in content["sums"].items()}


def initial_state(model: HMR, config: TrainConfig) -> TrainingState:
    """The state before the first step. `model` is on its device already."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(config.optimizer, parameters) if parameters else None
    decay = config.trainer.ema_decay
    return TrainingState(model, optimizer, MovingAverage(model, decay) if decay is not None else None)


def train(
    state: TrainingState,
    batches: Iterator[Batch],
    steps_per_epoch: int,
    body: SMPL,
    config: TrainConfig,
    plain_config: dict[str, Any],
    last_checkpoint: Path,
    world: Processes,
    on_step: Callable[[int, int, int, float], None],
    on_epoch: Callable[[int, HMR, dict[str, float]], None],
) -> None:
    """Train `state` to the end of `config.trainer.epochs`, in place.

    `on_step` is told (epoch from 0, steps done, images since the epoch began or was resumed, loss); `on_epoch` (epochs
    done, the model to evaluate, the epoch's figures), on every process.
    Raises `Interrupted` after Ctrl-C or SIGTERM, the state saved, and `UserError` for a loss that is not finite.
    """
    trainer = config.trainer
    assert state.optimizer is not None
    if state.epoch >= trainer.epochs:
        return
    loss_config = build_loss_config(config.loss)
    network = _network(state.model, config, world)
    total_steps = trainer.epochs * steps_per_epoch
    read_every = STEPS_BETWEEN_READS if world.device.type == "cuda" else 1
    unread: list[tuple[torch.Tensor, torch.Tensor]] = []

    with stop_request() as stop:
        for epoch in range(state.epoch, trainer.epochs):
            state.model.train()
            started, images = time.perf_counter(), 0
            for step in range(state.step, steps_per_epoch):
                try:
                    batch = {name: value.to(world.device, non_blocking=True) for name, value in next(batches).items()}
                except RuntimeError as error:
                    if "DataLoader worker" not in str(error):
                        raise
                    if not stop.requested:
                        raise UserError(
                            f"a loader process died: {error}", "Give it more memory, or lower data.workers."
                        ) from error
                    # The signal that asks to stop goes to a whole process group, so to the loaders too.
                    if world.is_main:
                        state.save(last_checkpoint, plain_config)
                    raise Interrupted(f"{epoch} epochs and {step} steps are saved in {last_checkpoint}.") from error

                # Dropout's draws too are a function of (seed, epoch, step), so that a resumed run repeats them.
                torch.manual_seed(step_seed(config.seed, epoch, step, world.rank))
                rate = learning_rate(config.optimizer, epoch * steps_per_epoch + step, total_steps)
                for group in state.optimizer.param_groups:
                    group["lr"] = rate

                loss, terms, asked_to_stop = forward(network, body, batch, loss_config, config, world, stop.requested)
                state.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if trainer.clip_gradient_norm is not None:
                    nn.utils.clip_grad_norm_(state.model.parameters(), trainer.clip_gradient_norm)
                state.optimizer.step()
                if state.average:
                    state.average.update(state.model)

                for name, value in terms.items():
                    state.sums[name] = state.sums.get(name, torch.zeros_like(value)) + value
                state.step = step + 1
                images += trainer.batch_size
                unread.append((terms["total"], torch.stack((batch["dataset_index"], batch["index"]), dim=1)))

                last = step + 1 == steps_per_epoch
                save = trainer.checkpoint_steps is not None and (step + 1) % trainer.checkpoint_steps == 0 and not last
                if len(unread) >= read_every or last or save:
                    newest = read_losses(unread, epoch, step)
                    on_step(epoch, step + 1, images, newest)
                    interrupted = asked_to_stop.item() > 0 and not last
                    if (save or interrupted) and world.is_main:
                        state.save(last_checkpoint, plain_config)
                    if interrupted:
                        raise Interrupted(f"{epoch} epochs and {step + 1} steps are saved in {last_checkpoint}.")

            elapsed = time.perf_counter() - started
            figures = {f"loss/{name}": (value / steps_per_epoch).item() for name, value in state.sums.items()}
            figures |= {"learning_rate": rate, "images_per_second": images / elapsed if elapsed > 0 else 0.0}
            state.epoch, state.step, state.sums = epoch + 1, 0, {}
            on_epoch(epoch + 1, state.evaluated_model, figures)
            if world.is_main:
                state.save(last_checkpoint, plain_config)
            if world.any(stop.requested) and epoch + 1 < trainer.epochs:
                raise Interrupted(f"{epoch + 1} epochs are saved in {last_checkpoint}.")


def forward(
    network: nn.Module,
    body: SMPL,
    batch: Batch,
    loss_config: LossConfig,
    config: TrainConfig,
    world: Processes,
    stop: bool,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """One forward pass: the loss to differentiate, every term's mean over all processes, and who asked to stop.

    A term's mean is over the samples of *all* processes that have its label: many processes give what one would.
    """
    images = normalize(batch["image"])
    if config.trainer.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(world.device.type, torch.bfloat16, enabled=config.trainer.precision == "bfloat16"):
        prediction = network(images)
    prediction = type(prediction)(*(value.float() for value in prediction))
    vertices = None
    if "vertices" in loss_config.term_weights():
        vertices, joints = body(prediction.rotations, prediction.betas)
        with torch.no_grad():
            batch["vertices"] = body(batch["pose"], batch["betas"]).vertices
    else:
        joints = body.joints(prediction.rotations, prediction.betas)
    terms = compute_losses(prediction, joints, vertices, batch, loss_config, config.data.image_size)

    names = list(terms)
    counts = torch.stack([terms[name].count.float() for name in names] + [images.new_tensor(float(stop))])
    counts = world.sum(counts)
    weights = loss_config.term_weights()
    means = {name: terms[name].sum / counts[i].clamp(min=1e-12) for i, name in enumerate(names)}
    total = torch.stack([weights[name] * mean for name, mean in means.items()]).sum()
    # Gradients are averaged over processes, and every process holds its own share of the sum.
    loss = total * world.world
    report = torch.stack([total, *means.values()]).detach()
    report = world.sum(report)
    return loss, dict(zip(["total", *names], report, strict=True)), counts[-1]


def read_losses(unread: list[tuple[torch.Tensor, torch.Tensor]], epoch: int, step: int) -> float:
    """The newest loss; empties `unread`. Raises `UserError` that names the samples of the first non-finite one."""
    values = torch.stack([loss for loss, _ in unread]).tolist()
    for back, (value, (_, indices)) in enumerate(zip(values, unread, strict=True)):
        if not np.isfinite(value):
            at = step - len(values) + 1 + back
            names = ", ".join(f"({chosen}, {index})" for chosen, index in indices.tolist())
            raise UserError(
                f"the loss is {value} at epoch {epoch + 1}, step {at + 1}; samples (set, index): {names}",
                "Look at these samples' annotations, or lower optimizer.learning_rate. The last checkpoint is sound.",
            )
    unread.clear()
    return values[-1]


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A 64-bit seed, a function of where in the run a process is."""
    return int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def _network(model: HMR, config: TrainConfig, world: Processes) -> nn.Module:
    network: nn.Module = model
    if config.trainer.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    if world.world > 1:
        network = DistributedDataParallel(network, device_ids=[world.device] if world.device.type == "cuda" else None)
    return network
