"""`hmr-light train`: configuration → data, model, body → training loop → checkpoints, journal, MLflow."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import torch

from hmr_light.body import load_body
from hmr_light.checkpoints import format as checkpoint
from hmr_light.checkpoints.loading import start_from
from hmr_light.commands.hints import table_command
from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import stop_request
from hmr_light.config.strict import plain
from hmr_light.data.distributed import Distributed, init_distributed
from hmr_light.data.workers import explain_worker_failures
from hmr_light.errors import Interrupted, UserError
from hmr_light.evaluation.datasets import open_evaluation
from hmr_light.evaluation.protocols import Scorer, build_protocol
from hmr_light.model.hmr import build_model
from hmr_light.reports.overlay import overlay_sheet
from hmr_light.tracking import Tracker, start_tracking
from hmr_light.tracking.summary import summarize_run
from hmr_light.training import run_directory
from hmr_light.training.datasets import mean_parameters, open_loader, open_training
from hmr_light.training.loop import train
from hmr_light.training.metadata import describe_run
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.report import RunReport
from hmr_light.training.sampler import EpochBatches
from hmr_light.training.state import TrainingState, initial_state


def run(config: TrainConfig) -> Path:
    """Train one run; returns its folder."""
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with init_distributed(config.trainer.device) as distributed:
        return _run(config, distributed)


def _run(config: TrainConfig, distributed: Distributed) -> Path:
    body = load_body(**config.body.files()).to(distributed.device)
    protocol = build_protocol(config.protocol)
    training = open_training(config)
    evaluation = open_evaluation(config.data, protocol, keep_faulty=config.trainer.on_bad_validation_sample == "skip")
    scorer = Scorer(protocol, body, config.body.regressors())
    torch.manual_seed(config.seed)
    model = build_model({"backbone": config.backbone, "regressor": config.regressor})
    model.regressor.set_mean(*mean_parameters(training))
    if config.init is not None:
        start_from(model, config.init.expanduser(), config.init_allow)
    model.to(distributed.device)
    if config.trainer.channels_last:
        model.to(memory_format=torch.channels_last)
    state = initial_state(model, config)
    epochs, steps = config.trainer.epochs, EpochBatches.steps(len(training), config.trainer.batch_size)

    plain_config = plain(config)
    folder, continued = distributed.broadcast(
        run_directory.open_folder(config, plain_config) if distributed.is_main else None
    )
    checkpoints = folder / "checkpoints"
    with run_directory.claimed(folder) if distributed.is_main else contextlib.nullcontext():
        if distributed.is_main:
            checkpoint.remove_unfinished(checkpoints)
        begun = continued and checkpoint.has_last(checkpoints)
        warning = state.load(checkpoints) if begun else ""
        if warning and distributed.is_main:
            checkpoint.remove_damaged(checkpoints)
        with (
            stop_request() as stop,  # first, so that whoever asks twice does not cut off the journal's end
            _tracker(folder, config, distributed) as tracker,
            TrainingProgress(
                folder / "train.log",
                epochs * steps,
                state.epoch * steps + state.step,
                epochs,
                shown=distributed.is_main,
                best=summarize_run(folder).best_mm,
            ) as progress,
        ):
            done = f": {state.epoch} of {epochs} epochs and {state.step} of {steps} steps are done" if continued else ""
            progress.say(f"{'continuing' if continued else 'run'} {folder}{done}")
            if warning:
                progress.say(f"warning: {warning}")
            if tracker:
                describe_run(tracker, folder, config, plain_config, training, evaluation, model, body, distributed)
            report = RunReport(
                folder,
                config,
                plain_config,
                state,
                training,
                evaluation,
                body,
                scorer,
                distributed,
                tracker,
                progress,
                stop,
            )
            resume = shlex.quote(f"resume={folder}")
            try:
                with explain_worker_failures(stop):
                    _train(state, report, steps, checkpoints)
                    if tracker and evaluation:
                        primary = next(iter(evaluation.values()))
                        overlay_sheet(state.evaluated_model, primary, body, folder / "predictions.png")
                        if (folder / "predictions.png").is_file():
                            tracker.artifact(folder / "predictions.png")
            except Interrupted as stopped:
                raise Interrupted(f"{stopped}\n  Go on with the same command and {resume}") from stopped
            except UserError as error:
                go_on = f"Then go on with the same command and {resume}"
                raise UserError(error.message, f"{error.remedy}\n  {go_on}") from error
            progress.say(f"done: {folder}\n  next: {table_command(config.tracking.experiment)}")
            if evaluation:
                which, where = shlex.quote(f"run={folder}"), shlex.quote(f"data.root={config.data.root}")
                progress.say(f"  or: hmr-light evaluate {which} data=synthetic_test {where}")
    return folder


def _train(state: TrainingState, report: RunReport, steps: int, checkpoints: Path) -> None:
    config = report.config
    if config.trainer.epochs == 0 or state.optimizer is None:  # nothing to train: the mean pose, in a sweep with others
        report.epoch(0, state.evaluated_model, {})
        return
    if state.epoch and not state.step:  # the last epoch's end was perhaps killed before it was evaluated
        report.epoch(state.epoch, state.evaluated_model, state.figures)
    if state.epoch < config.trainer.epochs:
        train(
            state,
            iter(open_loader(report.training, state.epoch, state.step, config, report.distributed)),
            steps,
            report.body,
            config,
            report.plain_config,
            checkpoints,
            report.distributed,
            report.stop,
            report.progress.step,
            report.bad_training,
            report.epoch,
        )


@contextlib.contextmanager
def _tracker(folder: Path, config: TrainConfig, distributed: Distributed) -> Iterator[Tracker | None]:
    if not distributed.is_main:
        yield None
        return
    name = f"{run_directory.row_name(config)} {folder.name[:13]}"
    tracking = config.tracking
    with start_tracking(
        folder,
        experiment=tracking.experiment,
        uri=tracking.uri,
        run_name=name,
        upload_checkpoints=tracking.upload_checkpoints,
    ) as tracker:
        yield tracker
