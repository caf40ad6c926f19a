"""What a run says of itself while it trains: each epoch's figures and checkpoint, and the samples it could not read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from hmr_light.checkpoints import format as checkpoint
from hmr_light.config.signals import StopRequest
from hmr_light.data.bad_samples import FILE_NAME, name_bad, refuse_many, write_bad
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import Interrupted
from hmr_light.evaluation.scoring import headline, on_crops, score
from hmr_light.model.hmr import HMR
from hmr_light.tracking.records import is_error
from hmr_light.tracking.summary import (
    BEST,
    DIVERGED,
    RECOVERED,
    STATE,
    STEP_LOSS,
    best_checkpoint,
    remove_old,
    summarize_run,
)
from hmr_light.training.context import RunContext
from hmr_light.training.inputs import RunInputs
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.state import TrainingState

EndsEarly = Callable[[int, Mapping[str, Any]], bool]
"""(epochs done, their figures) → whether training ends here, before `trainer.epochs`."""


class EarlyEnd(Exception):
    """Training ends before its last epoch, as it was asked to."""


@dataclass
class RunReport:
    """Takes what the training loop reports to the screen, the journal and the run directory.

    On processes without a tracker it only takes part in evaluation.
    """

    context: RunContext
    inputs: RunInputs
    state: TrainingState
    progress: TrainingProgress
    stop: StopRequest

    logged_steps: int = 0
    """Steps of the run whose losses are in the journal already."""
    ends_early: EndsEarly | None = None

    def step(self, epoch: int, step: int, images: int, losses: Sequence[float]) -> None:
        """Show the progress, and log the loss of every `trainer.log_every`-th step; see `Listener.step`."""
        self.progress.step(epoch, step, images, losses[-1])
        every, done = self.context.config.trainer.log_every, epoch * self.inputs.steps_per_epoch + step
        if every is None or self.context.tracker is None:
            return
        for number, loss in enumerate(losses, done - len(losses) + 1):
            if number % every == 0 and number > self.logged_steps:
                self.context.tracker.metrics({STEP_LOSS: loss}, step=number)

    def epoch(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
        """Evaluate `model` after `epoch` epochs, and record its figures and its checkpoint.

        What the journal has already is not recorded twice, so a run that was killed here may call it again.
        Raises `Interrupted` if it is asked to stop before everything is evaluated, and `EarlyEnd` where training is to
        end here.
        """
        self._record(epoch, model, figures)
        if self.ends_early and self.ends_early(epoch, summarize_run(self.context.run_dir).epochs.get(epoch, {})):
            raise EarlyEnd

    def _record(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
        context, inputs = self.context, self.inputs
        trainer, tracker, distributed = context.config.trainer, context.tracker, context.distributed
        due = epoch % trainer.save_every == 0 or epoch == trainer.epochs
        summary = distributed.broadcast(summarize_run(context.run_dir) if distributed.is_main else None)
        if epoch in summary.epochs and (epoch in summary.checkpoints or not due):
            return
        skip = trainer.on_bad_validation_sample == "skip"
        scores = {}
        evaluated = due or epoch % trainer.evaluate_every == 0
        for name, dataset in inputs.evaluation.items() if evaluated else ():
            scores[name] = score(
                {name: on_crops(model.eval())},
                dataset,
                inputs.scorer,
                distributed,
                batch_size=64,
                workers=context.config.data.workers,
                on_batch=partial(self._evaluated, name, len(dataset)),
                on_bad=partial(self._bad_evaluation, name, dataset) if skip else None,
            )
        figures = figures | headline({name: sums[name] for name, sums in scores.items()})
        if self.state.bad_samples:
            figures["bad_samples"] = float(len(self.state.bad_samples))
        if tracker is None:
            return
        self.progress.epoch(epoch, figures)
        if not all(map(math.isfinite, figures.values())):
            self.progress.say("warning: training has diverged: figures of this epoch are not finite")
            tracker.tags({STATE: DIVERGED})
        elif summary.diverged:
            tracker.tags({STATE: RECOVERED})
        if epoch not in summary.epochs:
            tracker.metrics(figures, step=epoch)
        if due and epoch not in summary.checkpoints:
            path = context.checkpoints / f"epoch-{epoch:03d}.pt"
            kept = checkpoint.save_model(path, model, context.plain_config, epoch, figures)
            tracker.checkpoint(path, epoch=epoch, saved=kept.saved, metrics=figures)
            self.log_best()
        if trainer.keep is not None:
            remove_old(context.run_dir, trainer.keep)

    def log_best(self) -> None:
        """Log the figures of the best checkpoint so far as the run's own; once for each epoch."""
        if self.context.tracker is None:
            return
        summary = summarize_run(self.context.run_dir)
        best, last = best_checkpoint(summary), max(summary.epochs, default=0)
        if best is None or summary.best_of == last:
            return
        errors = {name: value for name, value in best["values"].items() if is_error(name)}
        if errors:
            best_figures = {f"{BEST}{name}": float(value) for name, value in errors.items()}
            self.context.tracker.metrics(best_figures | {f"{BEST}epoch": float(best["step"])}, step=last)

    def bad_samples(self, chosen: torch.Tensor, skipped: torch.Tensor) -> None:
        """Name the training samples that could not be read: of which set `chosen` (B,), and `skipped` (B,A) there.

        Every process calls it. Raises `UserError` if they are too many.
        """
        for indices, rows in self.context.distributed.all_gather((chosen, skipped)):
            for number, (name, dataset) in enumerate(self._training_sets().items()):
                name_bad(self.state.bad_samples, name, dataset, rows[indices == number])
        self._write_bad()

    def _bad_evaluation(self, name: str, dataset: MeshDataset, skipped: torch.Tensor) -> None:
        name_bad(self.state.bad_samples, f"evaluation.{name}", dataset, skipped)
        self._write_bad()

    def _write_bad(self) -> None:
        path = self.context.run_dir / FILE_NAME
        sets = self._training_sets() | {f"evaluation.{name}": one for name, one in self.inputs.evaluation.items()}
        if self.context.tracker:
            before = path.read_bytes() if path.is_file() else b""
            write_bad(path, self.state.bad_samples, sets)
            if path.read_bytes() != before:
                self.progress.say(f"{len(self.state.bad_samples)} samples cannot be used so far: see {path}")
        for name, dataset in sets.items():
            reasons = [reason for (of, _), reason in self.state.bad_samples.items() if of == name]
            refuse_many(reasons, name, len(dataset), self.context.config.trainer.max_bad_fraction, path)

    def _training_sets(self) -> dict[str, MeshDataset]:
        return {
            f"train.{n}": one
            for n, one in zip(self.context.config.data.train, self.inputs.training.datasets, strict=True)
        }

    def _evaluated(self, name: str, people: int, images: int) -> None:
        # The state after the epoch is saved already, so a process need not wait for the others.
        if self.stop.requested:
            raise Interrupted(f"Saved after epoch {self.state.epoch}, which is not evaluated yet.")
        self.progress.evaluated(name, images, people)
