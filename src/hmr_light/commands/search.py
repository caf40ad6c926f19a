"""`hmr-light search`: a space of networks → a study of trained ones → those that no other is better than."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hmr_light.config.run_config import write_run_config
from hmr_light.config.schema import SearchConfig
from hmr_light.config.strict import flatten, plain
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import Interrupted, UserError
from hmr_light.search.counting import size
from hmr_light.search.reading import read_space
from hmr_light.tracking import continue_tracking, start_tracking
from hmr_light.tracking.journal import FILE_NAME
from hmr_light.tracking.state import mlflow_run_id

if TYPE_CHECKING:
    from hmr_light.search.study import Study


def run(config: SearchConfig) -> Path:
    """Work on the study that `config` names until it is done; returns the study's folder."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UserError("search needs the package optuna", "Install it: pip install 'hmr-light[search]'") from error
    from hmr_light.search.known_networks import known_networks
    from hmr_light.search.reports import report, write_weights
    from hmr_light.search.study import Study, study_folder
    from hmr_light.search.supernet import check_supernet, trained_supernet
    from hmr_light.search.trials import (
        by_supernet,
        by_training,
        check_budget,
        inputs_of,
        judge_of,
        work,
    )

    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    space = read_space(config.search_space)
    judge = judge_of(config, space)
    if config.method == "supernet":
        check_supernet(config, space)
    _say(f"search_space={space.name}: {size(space):,} networks of {len(space.parameters)} choices")
    check_budget(space, judge, config.seed)
    folder = study_folder(config, config.study_name)
    networks = known_networks(config, space) if config.networks else None
    with init_distributed(config.trainer.device) as distributed:
        if distributed.world_size > 1:
            raise UserError(
                "search runs in one process", "Start it several times without torchrun: they share a study."
            )
        inputs = inputs_of(config, distributed)
        if config.trials:
            inputs(space.image_sizes[0])  # what is missing is told before anything is written
        study = Study(config, folder)
        _begin_run(folder, config, study)
        try:
            if config.trials:
                study.begin()
                if config.method == "supernet":
                    candidates = trained_supernet(study, space, inputs(space.image_sizes[0]), _say)
                    work(study, space, judge, by_supernet(candidates, _say), _say, networks)
                    write_weights(study, candidates)
                else:
                    work(study, space, judge, by_training(inputs, _say), _say, networks)
        except Interrupted as stopped:
            saved = str(stopped).partition("\n")[0]
            raise Interrupted(f"{saved}\n  Go on with the same command.") from stopped
        finally:
            _send(study.folder, config)
        report(study, _say, networks)
    return folder


def _begin_run(folder: Path, config: SearchConfig, study: Study) -> None:
    """The study's own run in MLflow, below which its trials stand; the first worker makes it."""
    with study.locks.alone():
        if (folder / FILE_NAME).is_file() or study.attribute("mlflow_run"):
            return
        values = plain(config)
        values.pop("storage")  # it may hold a password
        write_run_config(folder, values)
        tracking = config.tracking
        with start_tracking(
            folder, experiment=tracking.experiment, uri=tracking.uri, run_name=f"study {study.name}"
        ) as tracker:
            tracker.params(flatten(values))
            tracker.tags({"hmr_light.study": study.name, "hmr_light.run_dir": str(folder)})
        if run_id := mlflow_run_id(folder, tracking.uri):
            study.keep("mlflow_run", run_id)


def _send(folder: Path, config: SearchConfig) -> None:
    """Send to MLflow what the study's journal holds and MLflow lacks."""
    if config.tracking.uri and (folder / FILE_NAME).is_file():
        continue_tracking(folder, uri=config.tracking.uri).finish()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
