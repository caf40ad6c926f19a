"""`hmr-light train`: configuration → data, model, body → training loop → checkpoints, journal, MLflow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from hmr_light.body import load_body
from hmr_light.config.schema import TrainConfig
from hmr_light.config.strict import plain
from hmr_light.errors import Interrupted
from hmr_light.model.hmr import HMR, build_model
from hmr_light.reports.overlay import overlay_sheet
from hmr_light.tracking import Tracker, start_tracking
from hmr_light.training import checkpoint, run_folder
from hmr_light.training.description import describe_run
from hmr_light.training.distributed import Processes, processes
from hmr_light.training.loop import initial_state, train
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.sampler import EpochBatches
from hmr_light.training.sets import mean_parameters, open_evaluation, open_loader, open_training
from hmr_light.training.validation import headline, score


def run(config: TrainConfig) -> Path:
    """Train one run; returns its folder."""
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with processes(config.trainer.device) as world:
        return _run(config, world)


def _run(config: TrainConfig, world: Processes) -> Path:
    body = load_body(**config.body.files()).to(world.device)
    training, evaluation = open_training(config), open_evaluation(config.data)
    torch.manual_seed(config.seed)
    model = build_model({"backbone": config.backbone, "regressor": config.regressor})
    model.regressor.set_mean(*mean_parameters(training))
    model.to(world.device)
    if config.trainer.channels_last:
        model.to(memory_format=torch.channels_last)
    state = initial_state(model, config)
    epochs, steps = config.trainer.epochs, EpochBatches.steps(len(training), config.trainer.batch_size)

    plain_config = plain(config)
    folder, continued = world.share(run_folder.open_folder(config, plain_config) if world.is_main else None)
    last = folder / "checkpoints" / "last.pt"
    if continued:
        state.load(last)

    with (
        _tracker(folder, config, world) as tracker,
        TrainingProgress(
            folder / "train.log", epochs * steps, state.epoch * steps + state.step, epochs, shown=world.is_main
        ) as progress,
    ):
        progress.say(f"{'continuing' if continued else 'run'} {folder}")
        if tracker and not continued:
            describe_run(tracker, folder, config, plain_config, training, evaluation, model, body, world)

        def on_epoch(epoch: int, evaluated: HMR, figures: dict[str, float]) -> None:
            scores = {
                name: score({name: evaluated.eval()}, dataset, body, world, batch_size=64, workers=config.data.workers)
                for name, dataset in evaluation.items()
            }
            figures = figures | headline({name: sums[name] for name, sums in scores.items()})
            progress.epoch(epoch, figures)
            if tracker:
                tracker.metrics(figures, step=epoch)
                if epoch % config.trainer.save_every == 0 or epoch == epochs:
                    path = folder / "checkpoints" / f"epoch-{epoch:03d}.pt"
                    kept = checkpoint.save_model(path, evaluated, plain_config, epoch, figures)
                    tracker.checkpoint(path, epoch=epoch, saved=kept.saved, metrics=figures)

        try:
            if epochs == 0 or state.optimizer is None:  # nothing to train: the mean pose, in a sweep with others
                on_epoch(0, state.evaluated_model, {})
            else:
                batches = iter(open_loader(training, state.epoch, state.step, config, world))
                train(state, batches, steps, body, config, plain_config, last, world, progress.step, on_epoch)
        except Interrupted as stop:
            raise Interrupted(f"{stop}\n  Go on with the same command and resume={folder}") from stop
        if tracker and evaluation:
            primary = next(iter(evaluation.values()))
            overlay_sheet(state.evaluated_model, primary, body, folder / "predictions.png")
            tracker.artifact(folder / "predictions.png")
        progress.say(f"done: {folder}\n  next: hmr-light table")
        if evaluation:
            progress.say(f"  or: hmr-light evaluate run={folder} data=synthetic_test data.root={config.data.root}")
    return folder


@contextlib.contextmanager
def _tracker(folder: Path, config: TrainConfig, world: Processes) -> Iterator[Tracker | None]:
    if not world.is_main:
        yield None
        return
    name = f"{run_folder.row_name(config)} {folder.name[:13]}"
    tracking = config.tracking
    with start_tracking(folder, experiment=tracking.experiment, uri=tracking.uri, run_name=name) as tracker:
        yield tracker
