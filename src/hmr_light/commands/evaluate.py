"""`hmr-light evaluate`: a run's checkpoints → figures on every evaluation set → the run's journal and MLflow."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hmr_light.body import load_body
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands.hints import table_command
from hmr_light.config.schema import EvaluateConfig
from hmr_light.config.strict import plain
from hmr_light.data.annotations import fingerprint
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed, init_distributed
from hmr_light.data.workers import explain_worker_failures
from hmr_light.errors import UserError
from hmr_light.evaluation.datasets import open_evaluation
from hmr_light.evaluation.metrics import TITLES, MetricSums
from hmr_light.evaluation.protocols import DEFAULT, Scorer, build_protocol
from hmr_light.evaluation.robustness import Measured, box_changes, with_boxes
from hmr_light.evaluation.scoring import Predictor, score
from hmr_light.model.regressors import MeanRegressor
from hmr_light.reports.overlay import overlay_sheet
from hmr_light.reports.robustness import draw_curves, write_csv
from hmr_light.tracking import continue_tracking, find_run_dir

MEAN_POSE = "mean_pose"
OF_THIS_CALL = {"checkpoint", "checkpoint_allow", "run", "tracking", "robustness", "boxes", "out"}
"""Options that say nothing about how a set's figures came about."""


def run(config: EvaluateConfig) -> list[dict[str, float]]:
    """Score the chosen checkpoints, print the figures beside the mean pose's, and write them to the run.

    Returns each checkpoint's figures, by their MLflow names.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    checkpoints = _choose(config)
    # The network sees images of the size that it was trained with.
    config.data.image_size = int(checkpoints[0].config["data"]["image_size"])
    protocol = build_protocol(config.protocol)
    datasets = open_evaluation(config.data, protocol)
    if not datasets:
        raise UserError(
            f"data={config.data.name} has no set to evaluate on", "Choose one that has: data=synthetic_test."
        )

    columns = ("checkpoint", "set", "people", "dropped", *(TITLES[metric] for metric in protocol.metrics))
    table = Table(title=protocol.describe())
    for column in columns:
        table.add_column(column, overflow="fold")  # a narrow terminal, or a pipe, loses nothing
    everything: list[dict[str, float]] = []
    with init_distributed(config.device) as distributed, explain_worker_failures():
        if distributed.is_main:
            _say_if_bodies_differ(checkpoints, config.body.name)
        body = load_body(**config.body.files()).to(distributed.device)
        scorer = Scorer(protocol, body, config.body.regressors())
        for checkpoint in checkpoints:
            figures: dict[str, float] = {}
            for name, dataset in datasets.items():
                sums = _score(checkpoint, name, dataset, scorer, config, distributed)
                _add_rows(table, f"({checkpoint.epoch}){checkpoint.saved}", name, sums)
                figures |= _figures(_place(name, checkpoint, protocol.name), sums)
            everything.append(figures)
            if distributed.is_main and _has_run(checkpoint):
                sheets = {checkpoint.run_dir / f"predictions-{name}.png": dataset for name, dataset in datasets.items()}
                for path, dataset in sheets.items():
                    overlay_sheet(checkpoint.build().to(distributed.device), dataset, body, path)
                _write(checkpoint, figures, list(sheets), how_evaluated(config, checkpoint, datasets), config)
            if config.robustness:
                for name, dataset in datasets.items():
                    _sweep(checkpoint, name, dataset, scorer, config, distributed)
    if distributed.is_main:
        Console().print(table)
        if any(map(_has_run, checkpoints)):
            trained = checkpoints[0].config.get("tracking") or {}
            step = table_command(str(trained.get("experiment", config.tracking.experiment)))
        else:
            # Another system's, or a file that was moved: nowhere to write the figures to.
            init = shlex.quote(f"init={config.checkpoint}")
            step = f"a row of the table: hmr-light train {init} trainer.epochs=0 experiment=…"
        Console(stderr=True).print(f"next: {step}", highlight=False, soft_wrap=True)
    return everything


def _say_if_bodies_differ(checkpoints: list[Checkpoint], name: str) -> None:
    for trained in sorted({one.body for one in checkpoints if one.body} - {name}):
        print(
            f"note: trained with body={trained}, scored with body={name}, on which its shapes mean other people; "
            f"for figures that can be compared add body={trained}",
            file=sys.stderr,
        )


def _has_run(checkpoint: Checkpoint) -> bool:
    return (checkpoint.run_dir / "journal.jsonl").is_file()


def how_evaluated(
    config: EvaluateConfig, checkpoint: Checkpoint, datasets: Mapping[str, MeshDataset]
) -> dict[str, str]:
    """By tag, for each set: the configuration that `hmr-light table verify=true` evaluates it by again, as JSON.

    Its `fingerprint` is that of the set's annotations.
    """
    values = {key: value for key, value in plain(config).items() if key not in OF_THIS_CALL}
    return {
        f"hmr_light.evaluation.{_place(name, checkpoint, config.protocol['name'])}": json.dumps(
            values | {"fingerprint": fingerprint(dataset.annotations)}
        )
        for name, dataset in datasets.items()
    }


def _place(name: str, checkpoint: Checkpoint, protocol: str) -> str:
    """What figures on the set `name` are called by: with the protocol, unless it is the run's own."""
    own = checkpoint.config.get("protocol", {}).get("name", DEFAULT)
    return name if protocol == own else f"{name}:{protocol}"


def _figures(place: str, sums: dict[str, MetricSums]) -> dict[str, float]:
    figures = {f"{place}/{metric}": value for metric, value in sums["model"].means().items()}
    figures |= {f"{place}/{MEAN_POSE}_{metric}": value for metric, value in sums[MEAN_POSE].means().items()}
    return figures | {f"{place}/dropped": float(sums["model"].dropped)}


def _choose(config: EvaluateConfig) -> list[Checkpoint]:
    if config.checkpoint is not None:
        return [load_checkpoint(config.checkpoint.expanduser(), config.checkpoint_allow)]
    run_dir = find_run_dir(str(config.run), config.tracking.uri)
    paths = sorted((run_dir / "checkpoints").glob("epoch-*.pt"))
    if not paths:
        raise UserError(f"{run_dir} has no checkpoints", "Name another run, or train this one to the end of an epoch.")
    if config.checkpoints == "last":
        return [load_checkpoint(paths[-1])]
    checkpoints = [load_checkpoint(path) for path in paths]
    if config.checkpoints == "all":
        return checkpoints
    return [min(checkpoints, key=lambda one: (one.metrics.get("mpjpe_mm", float("inf")), -one.epoch))]


def _score(
    checkpoint: Checkpoint,
    name: str,
    dataset: MeshDataset,
    scorer: Scorer,
    config: EvaluateConfig,
    distributed: Distributed,
) -> dict[str, MetricSums]:
    model = checkpoint.build().to(distributed.device)
    mean = MeanRegressor().to(distributed.device)
    mean.load_state_dict({key: value for key, value in model.regressor.state_dict().items() if key.startswith("init_")})
    model.regressor = model.regressor.fold()  # the same map in one step, and so faster
    predictors: dict[str, Predictor] = {"model": model, MEAN_POSE: mean}
    bar = Progress(
        TextColumn(f"({checkpoint.epoch}){checkpoint.saved} on {name}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not distributed.is_main),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=len(scorer.protocol.people(dataset.annotations)))
        return score(
            predictors,
            dataset,
            scorer,
            distributed,
            batch_size=config.batch_size,
            workers=config.data.workers,
            on_batch=lambda images: bar.advance(task, images),
        )


def _sweep(
    checkpoint: Checkpoint,
    name: str,
    dataset: MeshDataset,
    scorer: Scorer,
    config: EvaluateConfig,
    distributed: Distributed,
) -> None:
    """Measure with changed boxes, print the errors, and write them and their picture to files."""
    measured = []
    for change in box_changes(config.boxes.scales, config.boxes.shifts):
        sums = _score(checkpoint, f"{name}, boxes {change}", with_boxes(dataset, change), scorer, config, distributed)
        measured.append(Measured(change, sums["model"]))
    if not distributed.is_main:
        return
    label, protocol = f"({checkpoint.epoch}){checkpoint.saved}", scorer.protocol
    table = Table("box", "people", "dropped", *(TITLES[metric] for metric in protocol.metrics))
    table.title = f"{label} on {name}: how errors grow with the box ({protocol.name})"
    for one in measured:
        figures = [f"{value:.1f}" for value in one.sums.means().values()]
        table.add_row(str(one.change), str(one.sums.count), str(one.sums.dropped), *figures)
    Console().print(table)
    folder = config.out or (checkpoint.run_dir if _has_run(checkpoint) else checkpoint.path.parent)
    stem = f"robustness-{name}-{checkpoint.epoch:03d}"
    files = [Path(folder).expanduser() / f"{stem}.{suffix}" for suffix in ("csv", "png")]
    write_csv(files[0], measured)
    draw_curves(files[1], measured, f"{checkpoint.path.name} on {name}, protocol {protocol.name}")
    if _has_run(checkpoint):
        with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
            for file in files:
                tracker.artifact(file, "robustness")
    Console(stderr=True).print(f"wrote {files[0]} and {files[1].name}", highlight=False, soft_wrap=True)


def _add_rows(table: Table, label: str, name: str, scores: dict[str, MetricSums]) -> None:
    for who, sums in scores.items():
        figures = [f"{value:.1f}" for value in sums.means().values()]
        table.add_row(label if who == "model" else "mean pose", name, str(sums.count), str(sums.dropped), *figures)


def _write(
    checkpoint: Checkpoint, figures: dict[str, float], pictures: list[Path], how: dict[str, str], config: EvaluateConfig
) -> None:
    """Add what was found to the run that the checkpoint is of."""
    with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
        tracker.tags(how)
        tracker.metrics(figures, step=checkpoint.epoch)
        tracker.checkpoint(checkpoint.path, epoch=checkpoint.epoch, saved=checkpoint.saved, metrics=figures)
        for picture in pictures:
            tracker.artifact(picture)
