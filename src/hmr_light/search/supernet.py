"""The method `supernet`: the networks of a space are trained together, with shared weights; then each is measured.

Training is the ordinary loop, in the folder `supernet` of the study. One worker trains, and the others wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hmr_light.checkpoints.format import has_last, load_state, read_last, remove_damaged, remove_unfinished
from hmr_light.config.schema import SearchConfig, TrainConfig
from hmr_light.config.signals import stop_request
from hmr_light.config.strict import flatten, plain
from hmr_light.data.workers import explain_worker_failures
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.search.candidates import Candidates
from hmr_light.search.fair_paths import FairPaths
from hmr_light.search.shared_weights import Supernet
from hmr_light.search.space import Space
from hmr_light.search.study import Study, study_folder
from hmr_light.search.trials import Say, train_config
from hmr_light.tracking import start_tracking
from hmr_light.tracking.state import mlflow_run_id
from hmr_light.tracking.summary import summarize_run
from hmr_light.training.context import Lineage, RunContext
from hmr_light.training.datasets import mean_parameters, open_batches
from hmr_light.training.inputs import RunInputs, build_objective
from hmr_light.training.loop import Diverged, train
from hmr_light.training.objectives import Batch, LossTerm, Network, Objective
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.report import RunReport
from hmr_light.training.state import TrainingState, initial_state

FOLDER = "supernet"
"""Of the study's folder."""
IDENTITY = "study_id"
"""What the saved state's configuration has of its study; see `Study.identity`."""


def check_supernet(config: SearchConfig, space: Space) -> None:
    """Raise `UserError` for options that do not go with a supernet, and a `supernet.study` that cannot be used."""
    for wrong, option, remedy in (
        (
            len(space.image_sizes) > 1,
            "several sizes in search_space.image_size",
            "Give one: search_space.image_size=64",
        ),
        (config.stopping.share > 0, f"stopping.share={config.stopping.share:g}", "Leave it out: no trial is trained."),
        (config.trainer.epochs < 1, f"trainer.epochs={config.trainer.epochs}", "Give 1 or more."),
        (config.trainer.compile, "trainer.compile=true", "Leave it out: every step runs another network."),
        (config.trainer.freeze_backbone > 0, "trainer.freeze_backbone", "Set trainer.freeze_backbone=0."),
        (
            not config.optimizer.decay_depthwise,
            "optimizer.decay_depthwise=false",
            "Set optimizer.decay_depthwise=true.",
        ),
        (bool(config.distillation.get("features")), "distillation.features", "Choose distillation=outputs or mixed."),
        (not config.data.evaluation, "data.evaluation={}", "Name a set: its error is what networks are compared by."),
    ):
        if wrong:
            raise UserError(f"method=supernet does not go with {option}", remedy)
    if config.supernet.study is not None and config.trials:
        _read_other(config, config.supernet.study)


def trained_supernet(study: Study, space: Space, inputs: RunInputs, say: Say) -> Candidates:
    """The networks of the supernet of `study`, which is trained first, or to its end where that was begun.

    Raises `UserError` and `Interrupted` as training does, and `UserError` if the study's networks were measured with
    another supernet.
    """
    nodes: dict[str, Any] = {"backbone": {}, "regressor": {}, "image_size": space.image_sizes[0]}
    config, folder = train_config(study.config, nodes), study.folder / FOLDER
    found = Supernet(space, config.seed).to(inputs.distributed.device)
    if (other := study.config.supernet.study) is not None:
        content, folder = _read_other(study.config, other)
        load_state(found, content["average"] or content["model"], folder)
    else:
        folder.mkdir(exist_ok=True)
        with _alone(folder / "lock", lambda: say("waiting for the supernet, which another worker trains")):
            found.regressor.set_mean(*mean_parameters(inputs.training))
            found = cast(Supernet, _train(study, space, found, config, inputs, folder).evaluated_model)
    digest = hashlib.sha256()
    for value in found.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    with study.locks.alone():
        known = study.attribute("supernet")
        if known is None:
            study.keep("supernet", digest.hexdigest())
        elif known != digest.hexdigest():
            raise UserError(
                f"study={study.name} was measured with another supernet than that in {folder}",
                "Bring that folder back, or begin another study: study=NAME. Workers on several machines must share "
                "outputs=.",
            )
    return Candidates(found, config, inputs, study.config.supernet.images)


def _read_other(config: SearchConfig, name: str) -> tuple[dict[str, Any], Path]:
    """The saved state of the supernet of the study called `name`, and its folder: it is read, and never trained on."""
    folder = study_folder(config, name) / FOLDER
    if not has_last(folder / "checkpoints"):
        raise UserError(f"supernet.study={name}: there is no supernet in {folder}", "Name a study that has one.")
    content, _ = read_last(folder / "checkpoints")
    done, epochs = content["epoch"], content["config"]["trainer"]["epochs"]
    if done < epochs:
        raise UserError(
            f"supernet.study={name}: {done} of {epochs} epochs of its supernet are done", "Let that study go on first."
        )
    ours, theirs = plain(config)["search_space"], content["config"]["search_space"]
    if any(ours.get(key) != theirs.get(key) for key in ours.keys() | theirs.keys() if key not in ("name", "budget")):
        raise UserError(
            f"supernet.study={name}: its supernet is not of search_space={ours['name']} as it is now",
            "Give the space that the study was begun with.",
        )
    return content, folder


def _train(
    study: Study, space: Space, model: Supernet, config: TrainConfig, inputs: RunInputs, folder: Path
) -> TrainingState:
    network = cast(HMR, model)  # what the loop asks of a model, a supernet has
    steps = config.trainer.epochs * inputs.steps_per_epoch
    paths = FairPaths(space, config.seed, widening=round(study.config.supernet.widening * steps))
    objective = _on_fair_paths(build_objective(config, network, inputs), model, paths, steps)
    state = initial_state(network, config, objective)
    checkpoints = folder / "checkpoints"
    warning = ""
    if has_last(checkpoints):
        if read_last(checkpoints)[0]["config"].get(IDENTITY, study.identity) != study.identity:
            raise UserError(
                f"{folder} is of another study, which was called {study.name} too",
                "Remove it, and weights/ beside it; or choose another name: study=NAME",
            )
        warning = state.load(checkpoints)
        if warning:
            remove_damaged(checkpoints)
    remove_unfinished(checkpoints)
    summary = summarize_run(folder)
    if state.epoch >= config.trainer.epochs and summary.finished:
        return state
    tracking = config.tracking
    with (
        stop_request() as stop,
        start_tracking(
            folder, experiment=tracking.experiment, uri=tracking.uri, run_name=f"study {study.name}: supernet"
        ) as tracker,
        TrainingProgress(
            folder / "train.log",
            steps,
            state.epoch * inputs.steps_per_epoch + state.step,
            config.trainer.epochs,
            shown=True,
        ) as progress,
        explain_worker_failures(stop),
    ):
        shared = sum(parameter.numel() for parameter in model.parameters())
        progress.say(f"supernet: {shared:,} shared parameters, {folder}")
        if warning:
            progress.say(f"warning: {warning}")
        parent = mlflow_run_id(study.folder, tracking.uri) or study.attribute("mlflow_run") or study.folder.name
        values = plain(study.config)
        values.pop("storage")  # it may hold a password
        tracker.params(flatten(values))
        tracker.tags({"hmr_light.study": study.name, "hmr_light.run_dir": str(folder), **Lineage(str(parent)).tags()})
        if not summary.costs:
            tracker.metrics({"parameters": float(shared)}, step=0)
        context = RunContext(folder, config, values | {IDENTITY: study.identity}, inputs.distributed, tracker)
        report = _Report(context, inputs, state, progress, stop, summary.logged_steps)
        if state.epoch and not state.step and state.epoch not in summary.epochs:
            report.epoch(state.epoch, network, state.figures)  # it was killed before this was written down
        if state.epoch >= config.trainer.epochs:
            return state
        samples = objective.samples(inputs.training, progress.say, stop) if objective.samples else None
        batches = open_batches(inputs.training, None, state.epoch, state.step, config, inputs.distributed, samples)
        try:
            train(context, state, objective, batches, inputs.steps_per_epoch, report, stop)
        except Diverged as error:
            raise UserError(
                f"the supernet has diverged: {error.message}",
                "A study keeps its options, so begin another one with a lower learning rate: "
                f"study=NAME optimizer.learning_rate={error.lower_rate:g}",
            ) from error
    return state


class _Report(RunReport):
    """Of a supernet there are losses alone: a network of it has an error, and it has none."""

    def epoch(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
        self.progress.epoch(epoch, figures)
        assert self.context.tracker is not None
        self.context.tracker.metrics(figures, step=epoch)


def _on_fair_paths(objective: Objective, model: Supernet, paths: FairPaths, steps: int) -> Objective:
    """`objective` for the network whose turn it is, in a training of so many steps."""

    def losses(network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
        model.values = paths.at(round(progress * steps))
        return objective.losses(network, batch, progress)

    return replace(objective, losses=losses)


@contextmanager
def _alone(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `path`, which ends with the process; `wait` is called where another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
