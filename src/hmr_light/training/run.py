"""One training run, from a model to its checkpoints and figures. Every command that trains calls `train_run`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hmr_light.checkpoints import format as checkpoint
from hmr_light.config.hints import command_line
from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import stop_request
from hmr_light.config.strict import plain
from hmr_light.data.distributed import Distributed
from hmr_light.data.workers import explain_worker_failures
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.hmr import HMR
from hmr_light.tracking import Tracker, start_tracking
from hmr_light.tracking.description import run_name
from hmr_light.tracking.summary import DIVERGED, STATE, RunSummary, summarize_run
from hmr_light.training import run_directory
from hmr_light.training.context import Lineage, RunContext
from hmr_light.training.datasets import open_batches
from hmr_light.training.features import cached_samples
from hmr_light.training.inputs import RunInputs
from hmr_light.training.loop import Diverged, train
from hmr_light.training.metadata import describe_run, record_changes
from hmr_light.training.objectives import Objective
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.report import EarlyEnd, EndsEarly, RunReport
from hmr_light.training.state import TrainingState, initial_state


@dataclass(frozen=True)
class RunResult:
    """What a run that has ended left."""

    run_dir: Path
    summary: RunSummary
    """Every epoch's figures and checkpoint, as the journal has them."""


def train_run(
    config: TrainConfig,
    model: HMR,
    objective: Objective,
    inputs: RunInputs,
    *,
    lineage: Lineage | None = None,
    at_end: Callable[[RunContext, HMR], None] | None = None,
    ends_early: EndsEarly | None = None,
) -> RunResult:
    """Train `model` in a new run directory, or go on with the run that `config.resume` names.

    `model` is the one that `config` describes, or what its `transforms` made of it; it is trained in place. The
    checkpoints store `config` and the transforms; `lineage` says which checkpoint the model comes from;
    without it, the teacher of `objective` is named as its parent. `at_end` is
    called with the trained model before the run counts as finished. `ends_early`, where one process trains alone, is
    asked after each evaluated epoch. Every process calls this function.
    Raises `UserError` for what ends the run, and `Interrupted` after a request to stop; the state is saved then.
    """
    distributed = inputs.distributed
    model.to(distributed.device)
    if config.trainer.channels_last:
        model.to(memory_format=torch.channels_last)
    state = initial_state(model, config, objective)
    plain_config = plain(config)
    found = find_run(config, distributed)
    run_dir = (
        found.run_dir
        if found
        else distributed.broadcast(run_directory.create(config, plain_config) if distributed.is_main else None)
    )
    with _claim(run_dir, distributed):
        warning = _load(state, run_dir / "checkpoints", distributed) if found else ""
        summary = summarize_run(run_dir)
        epochs, steps = config.trainer.epochs, inputs.steps_per_epoch
        with (
            stop_request() as stop,  # before the tracker: a second request must not cut off the journal's end
            _tracker(run_dir, config, distributed) as tracker,
            TrainingProgress(
                run_dir / "train.log",
                epochs * steps,
                state.epoch * steps + state.step,
                epochs,
                shown=distributed.is_main,
                best=summary.best_error,
                unit="mm" if "mpjpe_mm" in inputs.scorer.protocol.metrics else "%",
            ) as progress,
        ):
            context = RunContext(run_dir, config, plain_config, distributed, tracker)
            done = f": {state.epoch} of {epochs} epochs and {state.step} of {steps} steps are done"
            progress.say(f"continuing {run_dir}{done}" if found else f"run {run_dir}")
            if warning:
                progress.say(f"warning: {warning}")
            describe_run(context, inputs, model, lineage or objective.teacher)
            if found:
                record_changes(context, found.changed)
            with _resume_hint(context), explain_worker_failures(stop):
                report = RunReport(context, inputs, state, progress, stop, summary.logged_steps, ends_early)
                with contextlib.suppress(EarlyEnd):
                    _train(state, objective, report)
                report.log_best()
                if at_end and distributed.is_main:
                    at_end(context, state.evaluated_model)
            progress.say(f"done: {run_dir}")
    return RunResult(run_dir, summarize_run(run_dir))


def find_run(config: TrainConfig, distributed: Distributed) -> run_directory.Found | None:
    """The run that `config.resume` names, on every process; see `run_directory.find`."""
    return distributed.broadcast(run_directory.find(config) if distributed.is_main else None)


def _load(state: TrainingState, checkpoints: Path, distributed: Distributed) -> str:
    """Continue from the newest whole state, if there is one; a warning where that is not the last one."""
    if not checkpoint.has_last(checkpoints):
        return ""
    warning = state.load(checkpoints)
    if warning and distributed.is_main:
        checkpoint.remove_damaged(checkpoints)
    return warning


def _train(state: TrainingState, objective: Objective, report: RunReport) -> None:
    context, inputs = report.context, report.inputs
    epochs = context.config.trainer.epochs
    if epochs == 0 or state.optimizer is None:  # nothing to train: the mean pose, in a sweep with others
        report.epoch(0, state.evaluated_model, {})
        return
    if state.epoch and not state.step:  # the last epoch's end was perhaps killed before it was evaluated
        report.epoch(state.epoch, state.evaluated_model, state.figures)
    if context.config.trainer.evaluate_start and state.epoch == state.step == 0:
        report.epoch(0, state.evaluated_model, {})
    if state.epoch < epochs:
        trainer, cached = context.config.trainer, None
        say, stop = report.progress.say, report.stop
        if trainer.feature_views and state.epoch < trainer.freeze_backbone:
            cached = cached_samples(
                inputs.training, context.config, state.model.backbone, inputs.distributed, say, stop
            )
        samples = objective.samples(inputs.training, say, stop) if objective.samples else None
        batches = open_batches(
            inputs.training, cached, state.epoch, state.step, context.config, inputs.distributed, samples
        )
        train(context, state, objective, batches, inputs.steps_per_epoch, report, report.stop)


@contextlib.contextmanager
def _claim(run_dir: Path, distributed: Distributed) -> Iterator[None]:
    if not distributed.is_main:
        yield
        return
    with run_directory.claim(run_dir):
        checkpoint.remove_unfinished(run_dir / "checkpoints")
        yield


@contextlib.contextmanager
def _resume_hint(context: RunContext) -> Iterator[None]:
    """Add to a message how to go on; a run that has diverged is tagged so."""

    def go_on(**options: float) -> str:
        named = {f"optimizer.{name}": value for name, value in options.items()}
        command = command_line("train", {"resume": context.run_dir, **named})
        if (many := context.distributed.world_size) > 1:
            return command.replace("hmr-light", f"torchrun --nproc-per-node={many} -m hmr_light", 1)
        return command

    try:
        yield
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}\n  Go on with: {go_on()}") from stopped
    except Diverged as error:
        if context.tracker:
            context.tracker.tags({STATE: DIVERGED})
        remedy = f"{error.remedy}\n  For example: {go_on(learning_rate=error.lower_rate)}"
        last = context.checkpoints / checkpoint.LAST
        if not error.finite_losses and last.with_name(checkpoint.PREVIOUS).is_file():
            remedy += f"\n  If that diverges at once again, go on from the state before: remove {last}"
        raise UserError(error.message, remedy) from error
    except UserError as error:
        raise UserError(error.message, f"{error.remedy}\n  Then go on with: {go_on()}") from error


@contextlib.contextmanager
def _tracker(run_dir: Path, config: TrainConfig, distributed: Distributed) -> Iterator[Tracker | None]:
    if not distributed.is_main:
        yield None
        return
    tracking = config.tracking
    options: dict[str, Any] = {"experiment": tracking.experiment, "uri": tracking.uri}
    options |= {"run_name": run_name(run_directory.run_row(config), config.seed, run_dir.name[:13])}
    with start_tracking(run_dir, **options, upload_checkpoints=tracking.upload_checkpoints) as tracker:
        yield tracker
