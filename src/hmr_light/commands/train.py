"""`hmr-light train`: configuration → data, model, body → training loop → checkpoints, journal, MLflow."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from hmr_light.body import SMPL, load_body
from hmr_light.config.schema import TrainConfig
from hmr_light.config.strict import plain
from hmr_light.cost.summary import cost_metrics
from hmr_light.data.mixture import Mixture
from hmr_light.errors import Interrupted
from hmr_light.model.hmr import HMR, build_model
from hmr_light.tracking import Tracker, start_tracking
from hmr_light.training import checkpoint, run_folder
from hmr_light.training.distributed import Processes, processes
from hmr_light.training.loop import TrainingState, initial_state, train
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.provenance import device_name, environment, git_commit
from hmr_light.training.sampler import EpochBatches
from hmr_light.training.sets import EvaluationSets, mean_parameters, open_evaluation, open_training, worker_init
from hmr_light.training.validation import PROTOCOL


def run(config: TrainConfig) -> Path:
    """Train one run; returns its folder."""
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with processes(config.trainer.device) as world:
        return _run(config, world)


def _run(config: TrainConfig, world: Processes) -> Path:
    body = load_body(
        config.body.path, extra_regressor=config.body.extra_regressor, h36m_regressor=config.body.h36m_regressor
    ).to(world.device)
    training = open_training(config)
    evaluation = open_evaluation(config.data)
    torch.manual_seed(config.seed)
    model = build_model({"backbone": config.backbone, "regressor": config.regressor})
    model.regressor.set_mean(*mean_parameters(training))
    model.to(world.device)
    if config.trainer.channels_last:
        model.to(memory_format=torch.channels_last)
    state = initial_state(model, config)
    batches = EpochBatches(
        len(training), config.trainer.batch_size, config.seed, config.trainer.epochs, rank=world.rank, world=world.world
    )

    plain_config = plain(config)
    found = run_folder.find(config, plain_config) if config.resume else None
    folder: Path = world.share(found or run_folder.create(config, plain_config) if world.is_main else None)
    last = folder / "checkpoints" / "last.pt"
    if found:
        state.load(last)

    total_steps = config.trainer.epochs * batches.steps_per_epoch
    done_steps = state.epoch * batches.steps_per_epoch + state.step
    with (
        _tracking(folder, config, world) as tracker,
        TrainingProgress(total_steps, done_steps, config.trainer.epochs, shown=world.is_main) as progress,
    ):
        progress.say(f"{'continuing' if found else 'run'} {folder}")
        if tracker and not found:
            _describe(tracker, folder, config, plain_config, training, evaluation, model, body, world)

        epoch_started = time.perf_counter()

        def on_step(epoch: int, step: int, images: int, loss: float) -> None:
            elapsed = time.perf_counter() - epoch_started
            progress.step(epoch, epoch * batches.steps_per_epoch + step, loss, images / elapsed)

        def on_epoch(epoch: int, evaluated: HMR, figures: dict[str, float]) -> None:
            nonlocal epoch_started
            figures = figures | evaluation.score(evaluated, body, world, config)
            progress.epoch(epoch, figures)
            if tracker:
                tracker.metrics(figures, step=epoch)
                if epoch % config.trainer.save_every == 0 or epoch == config.trainer.epochs:
                    _keep(tracker, folder, evaluated, plain_config, epoch, figures)
            epoch_started = time.perf_counter()

        if state.epoch == 0 and config.trainer.epochs == 0:
            on_epoch(0, state.evaluated_model, {})
        try:
            loader = _loader(training, batches, state, config, world)
            train(state, iter(loader), batches.steps_per_epoch, body, config, plain_config, last, world, on_step, on_epoch)
        except Interrupted as stop:
            raise Interrupted(f"{stop}\n  Go on with the same command and resume={folder}") from stop
        if world.is_main:
            (folder / "finished").touch()
        progress.say(f"done: {folder}\n  next: hmr-light table   or   hmr-light evaluate run={folder} data=synthetic_test")
    return folder
