"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import StopRequest
from hmr_light.data.distributed import Distributed
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors import SmplParameters
from hmr_light.training.context import RunContext
from hmr_light.training.objectives import Batch, Objective
from hmr_light.training.schedule import learning_rate, set_learning_rate
from hmr_light.training.state import TrainingState

# On a GPU, reading a loss waits for it; so losses are read in groups of this many steps.
STEPS_BETWEEN_READS = 20


class Diverged(UserError):
    """The loss or the weights are not finite. `finite_losses`: of so many steps since a state was saved or loaded."""

    def __init__(self, message: str, advice: str, config: TrainConfig, finite_losses: int) -> None:
        super().__init__(message, f"{advice}; the last checkpoint is sound." if finite_losses else f"{advice}.")
        self.lower_rate = min(config.optimizer.learning_rate / 10, 1e-4)
        """A learning rate to try instead."""
        self.finite_losses = finite_losses


class Listener(Protocol):
    """What the loop reports to."""

    def step(self, epoch: int, step: int, images: int, losses: Sequence[float]) -> None:
        """`step` steps of `epoch` (from 0) are done, with `images` since the epoch began or was resumed.

        `losses` are those of the steps since the last call, at least one.
        """

    def bad_samples(self, chosen: torch.Tensor, skipped: torch.Tensor) -> None:
        """Samples that could not be read: dataset_index (B,) and skipped (B,A) of this process.

        Called on every process if any has one.
        """

    def epoch(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
        """`epoch` epochs are done: the model to evaluate, and the epoch's figures. Called on every process."""


def train(
    context: RunContext,
    state: TrainingState,
    objective: Objective,
    batches: Iterator[Batch],
    steps_per_epoch: int,
    listener: Listener,
    stop: StopRequest,
) -> None:
    """Train `state` by `objective` to the end of `trainer.epochs`, in place.

    The state is saved before `listener.epoch`, so that evaluation can be interrupted and repeated.
    Raises `Interrupted` after a request to stop, the state saved, and `Diverged` for a loss or weights that are not
    finite, which are not saved.
    """
    config, distributed = context.config, context.distributed
    trainer = config.trainer
    assert state.optimizer is not None
    if state.epoch >= trainer.epochs:
        return
    total_steps = trainer.epochs * steps_per_epoch
    read_every = STEPS_BETWEEN_READS if distributed.device.type == "cuda" else 1
    unread: list[tuple[torch.Tensor, torch.Tensor]] = []
    skipped: list[tuple[torch.Tensor, torch.Tensor]] = []

    finite_losses = 0

    def save(where: str) -> None:
        nonlocal finite_losses
        if distributed.any(not state.is_finite):
            raise Diverged(f"the weights are not finite {where}", "Lower the learning rate", config, finite_losses)
        if distributed.is_main:
            state.save(context.checkpoints, context.plain_config)
        finite_losses = 0

    if state.epoch == state.step == 0:
        save("at the start")  # so that there is always a state to go on from
    network, freezes = None, trainer.freeze_backbone
    for epoch in range(state.epoch, trainer.epochs):
        state.model.train()
        frozen = epoch < freezes
        state.model.backbone.train(not frozen)
        if network is None or epoch == freezes:
            trained = objective.wrap(state.model) if objective.wrap else state.model
            network = _network(state.model.regressor if frozen else trained, config, distributed)
        started, images = time.perf_counter(), 0
        for step in range(state.step, steps_per_epoch):
            loaded = next(batches)
            if (bad := loaded.pop("skipped", None)) is not None and (bad >= 0).any():
                skipped.append((loaded["dataset_index"], bad))
            batch = {name: value.to(distributed.device, non_blocking=True) for name, value in loaded.items()}

            # Dropout's draws too are a function of (seed, epoch, step), so that a resumed run repeats them.
            torch.manual_seed(step_seed(config.seed, epoch, step, distributed.rank))
            done = epoch * steps_per_epoch + step
            rate = learning_rate(config.optimizer, done, total_steps)
            set_learning_rate(state.optimizer, rate)

            notes = (stop.requested, bool(skipped))
            loss, terms, (asked_to_stop, has_bad) = forward(
                network,
                objective,
                batch,
                config,
                distributed,
                notes,
                state.model.backbone if frozen else None,
                progress=done / total_steps,
            )
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if trainer.clip_gradient_norm is not None:
                nn.utils.clip_grad_norm_(state.model.parameters(), trainer.clip_gradient_norm)
            state.optimizer.step()
            if state.average:
                state.average.update(state.model, done + 1)

            for name, value in terms.items():
                state.sums[name] = state.sums.get(name, torch.zeros_like(value)) + value
            state.step = step + 1
            images += trainer.batch_size
            unread.append((terms["total"], torch.stack((batch["dataset_index"], batch["index"]), dim=1)))

            last = step + 1 == steps_per_epoch
            due = trainer.checkpoint_steps is not None and (step + 1) % trainer.checkpoint_steps == 0 and not last
            if len(unread) >= read_every or last or due:
                losses = read_losses(unread, epoch, step, config, finite_losses)
                finite_losses += len(losses)
                listener.step(epoch, step + 1, images, losses)
                if has_bad.item() > 0:
                    listener.bad_samples(*_joined(skipped))
                    skipped.clear()
                interrupted = asked_to_stop.item() > 0 and not last
                if due or interrupted:
                    save(f"after step {step + 1} of epoch {epoch + 1}")
                if interrupted:
                    raise Interrupted(f"Saved after step {step + 1} of epoch {epoch + 1}.")

        elapsed = time.perf_counter() - started
        figures = {f"loss/{name}": (value / steps_per_epoch).item() for name, value in state.sums.items()}
        figures |= {"learning_rate": rate, "images_per_second": images / elapsed if elapsed > 0 else 0.0}
        state.epoch, state.step, state.sums, state.figures = epoch + 1, 0, {}, figures
        # Each process has its own batch norm statistics; the main one's are saved, and so are evaluated by all.
        distributed.broadcast_tensors(state.evaluated_model.buffers())
        save(f"after epoch {epoch + 1}")
        if distributed.any(stop.requested):
            raise Interrupted(f"Saved after epoch {epoch + 1}, which is not evaluated yet.")
        listener.epoch(epoch + 1, state.evaluated_model, figures)


def forward(
    network: nn.Module,
    objective: Objective,
    batch: Batch,
    config: TrainConfig,
    distributed: Distributed,
    notes: Sequence[bool] = (),
    frozen: nn.Module | None = None,
    progress: float = 0.0,
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """One forward pass: the loss to differentiate, every term's mean over all processes, and how many have each note.

    With a `frozen` backbone, `network` is the regressor; a batch that holds `features` (B, F) needs no images then.
    A term's mean is over the samples of *all* processes that have its label: many processes give what one would.
    """
    if "features" in batch:
        # An objective that looks at pixels finds none; their size is known.
        size = config.data.image_size
        images = torch.full((), torch.nan, device=distributed.device).expand(len(batch["features"]), 3, size, size)
    else:
        images = normalize(batch["image"])
        if config.trainer.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)

    def predict(images: torch.Tensor) -> SmplParameters:
        with torch.autocast(distributed.device.type, torch.bfloat16, enabled=config.trainer.precision == "bfloat16"):
            if frozen is None:
                prediction = network(images)
            elif "features" in batch:
                prediction = network(batch["features"].float())
            else:
                with torch.no_grad():
                    features = frozen(images)
                prediction = network(features)
        return prediction._make(value.float() for value in prediction)

    terms = objective(predict, batch | {"image": images}, progress)
    names = list(terms)
    noted = images.new_tensor(notes, dtype=torch.float32)
    counts = distributed.all_reduce_sum(torch.cat((torch.stack([terms[name].count.float() for name in names]), noted)))
    means = {name: terms[name].sum / counts[i].clamp(min=1e-12) for i, name in enumerate(names)}
    total = torch.stack([terms[name].weight * mean for name, mean in means.items()]).sum()
    # Gradients are averaged over processes, and every process holds its own share of the sum.
    loss = total * distributed.world_size
    report = torch.stack([total, *means.values()]).detach()
    report = distributed.all_reduce_sum(report)
    return loss, dict(zip(["total", *names], report, strict=True)), counts[len(names) :]


def read_losses(
    unread: list[tuple[torch.Tensor, torch.Tensor]], epoch: int, step: int, config: TrainConfig, finite_losses: int
) -> list[float]:
    """The losses of the steps in `unread`, which is emptied; `finite_losses` were read since a state was saved.

    Raises `Diverged`, which names the samples of the first loss that is not finite.
    """
    values = torch.stack([loss for loss, _ in unread]).tolist()
    for back, (value, (_, indices)) in enumerate(zip(values, unread, strict=True)):
        if not np.isfinite(value):
            at = step - len(values) + 1 + back
            names = ", ".join(f"({chosen}, {index})" for chosen, index in indices.tolist())
            raise Diverged(
                f"the loss is {value} at epoch {epoch + 1}, step {at + 1}; samples (set, index): {names}",
                "Look at these samples' annotations, or lower the learning rate",
                config,
                finite_losses + back,
            )
    unread.clear()
    return values


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A 64-bit seed, a function of where in the run a process is."""
    return int(np.random.SeedSequence((seed, epoch, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def _joined(skipped: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The samples (dataset_index, skipped) of several steps as one; none, where another process has them."""
    if not skipped:
        return torch.empty(0, dtype=torch.int64), torch.empty(0, 1, dtype=torch.int64)
    return torch.cat([chosen for chosen, _ in skipped]), torch.cat([bad for _, bad in skipped])


def _network(model: nn.Module, config: TrainConfig, distributed: Distributed) -> nn.Module:
    network: nn.Module = model
    if config.trainer.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    if distributed.world_size > 1:
        network = DistributedDataParallel(
            network, device_ids=[distributed.device] if distributed.device.type == "cuda" else None
        )
    return network
