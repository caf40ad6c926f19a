"""`hmr-light benchmark`: models, in turns in one process → inference times and their ratios to the first one's."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hmr_light.body import load_body
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config.choices import choices, compose_choice, compose_network, suggest
from hmr_light.config.schema import BenchmarkConfig
from hmr_light.cost.benchmark import Entry, measure
from hmr_light.cost.latency import cpu_name, device_name, load_average
from hmr_light.cost.variants import EAGER, Runner, parse_variant
from hmr_light.data.distributed import choose_device
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, check_image_size
from hmr_light.reports.tabular import Column, Columns, Record, deliver, tabulate
from hmr_light.tracking import continue_tracking
from hmr_light.training.provenance import environment

IMAGE_SIZE = 224


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _ratio(value: float) -> str:
    return f"{value:.3f}"


COLUMNS: Columns = {
    "model": Column("Model"),
    "variant": Column("Variant"),
    "image_size": Column("Image"),
    "batch": Column("Batch"),
    "threads": Column("Threads"),
    "median_s": Column("Median(ms)", _ms),
    "p95_s": Column("p95(ms)", _ms),
    "min_s": Column("Min(ms)", _ms),
    "ratio": Column("Ratio", _ratio),
    "ratio_low": Column("Lower quartile", _ratio),
    "ratio_high": Column("Upper quartile", _ratio),
}
"""Of a row; times are those of a whole batch."""


class Subject(NamedTuple):
    """A model to be measured, and the checkpoint that it is of."""

    name: str
    model: HMR
    image_size: int
    checkpoint: Checkpoint | None


def run(config: BenchmarkConfig) -> None:
    """Measure every model in every variant, batch size by batch size; print or write the figures, and log them."""
    device = choose_device(config.device)
    variants = {text: parse_variant(text) for text in dict.fromkeys(config.variants)}
    subjects = [_open(name, config) for name in dict.fromkeys(config.models)]
    if config.log and not any(subject.checkpoint for subject in subjects):
        raise UserError("log=true, but no model is a run's checkpoint", "Name a run's folder or its checkpoint.")
    with_mesh = any("mesh" in steps for steps in variants.values())
    body = load_body(**config.body.files()).to(device) if with_mesh else None
    entries = [
        Entry(subject.name, variant, subject.image_size, Runner(subject.model, steps, device, body))
        for subject in subjects
        for variant, steps in variants.items()
    ]
    facts: dict[str, Any] = {
        "measured": time.strftime("%Y-%m-%d %H:%M:%S"),
        "reference": f"{entries[0].model} {entries[0].variant}, of the same batch size and threads",
        "regressor": f"{config.regressor['name']} (of configs)",
        "rounds": config.rounds,
        "warmup": config.warmup,
        "device": device_name(device),
        "cpu": cpu_name(),
        "load_average_before": round(load_average(), 2),
    }
    rows, cpu_share = _measure(entries, config, device)
    facts |= {"load_average_after": round(load_average(), 2), "cpu_share": round(cpu_share, 2)}
    facts["environment"] = dict(line.split(" ", 1) for line in environment().splitlines())
    if device.type == "cpu" and cpu_share < 0.9:
        print("other processes took part of the CPU: trust the ratios, not the times", file=sys.stderr)
    deliver(tabulate(rows, COLUMNS, facts), config.format, config.out)
    if config.log:
        for index, subject in enumerate(subjects):
            first = index * len(variants)
            own = [row for each in range(first, first + len(variants)) for row in rows[each :: len(entries)]]
            _log(subject, own, facts, config, device)


def _open(name: str, config: BenchmarkConfig) -> Subject:
    backbones, experiments = choices("backbone"), choices("experiment")
    if name in backbones or name in experiments:
        network = (
            {"backbone": compose_choice("backbone", name), "regressor": config.regressor}
            if name in backbones
            else compose_network(name)
        )
        # Which weights they are changes no time, and they need not be here.
        network["backbone"]["weights"] = None
        model, image_size = build_model(network).eval(), config.image_size or IMAGE_SIZE
        check_image_size(model, str(network["backbone"]["name"]), image_size, "image_size")
        return Subject(name, model, image_size, None)
    path = Path(name).expanduser()
    if path.is_dir():
        path = max(path.glob("checkpoints/epoch-*.pt"), default=path / "checkpoints" / "epoch-*.pt")
    elif not path.is_file():
        raise UserError(
            f"models={name}: there is no such backbone, experiment, checkpoint or run folder",
            suggest("backbone", name, also=experiments),
        )
    checkpoint = load_checkpoint(path)
    row = checkpoint.config.get("row") or checkpoint.config["backbone"]["name"]
    label = f"{row} ({checkpoint.epoch}){checkpoint.saved}"
    image_size = config.image_size or int(checkpoint.config["data"]["image_size"])
    model = checkpoint.build()
    check_image_size(model, str(checkpoint.config["backbone"]["name"]), image_size, "image_size")
    return Subject(label, model, image_size, checkpoint)


def _measure(entries: list[Entry], config: BenchmarkConfig, device: torch.device) -> tuple[list[dict[str, Any]], float]:
    settings = [(batch, threads) for batch in config.batch_sizes for threads in config.threads]
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        turns = len(settings) * len(entries) * (config.warmup + config.rounds)
        task = bar.add_task("the first run of each", total=turns)

        def on_turn(batch: int, threads: int) -> None:
            bar.update(task, advance=1, description=f"batch {batch}, threads {threads}")

        return measure(entries, settings, device=device, rounds=config.rounds, warmup=config.warmup, on_turn=on_turn)


def _log(
    subject: Subject, rows: Sequence[Record], facts: dict[str, Any], config: BenchmarkConfig, device: torch.device
) -> None:
    """Add the figures to the run that the checkpoint is of, if its folder is still there."""
    checkpoint = subject.checkpoint
    if checkpoint is None or not (checkpoint.run_dir / "journal.jsonl").is_file():
        return
    figures: dict[str, float] = {}
    tags: dict[str, str] = {}
    for row in rows:
        variant = row["variant"].replace("+", "-")
        prefix = f"benchmark/{device.type}/{variant}/batch_{row['batch']}/threads_{row['threads']}"
        figures |= {f"{prefix}/{name}": row[name] for name in ("median_s", "p95_s", "ratio")}
        if row["variant"] == EAGER and row["batch"] == row["threads"] == 1:
            # What training measured by itself, and the table shows.
            figures |= {"inference_time_s": row["median_s"], "inference_time_p95_s": row["p95_s"]}
            tags = {"device": facts["device"], "cpu": facts["cpu"], "threads": "1", "batch": "1"}
            tags["load_average"] = str(facts["load_average_after"])
    with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
        if tags:
            tracker.tags({f"hmr_light.inference_{name}": value for name, value in tags.items()})
        tracker.metrics(figures, step=checkpoint.epoch)
        tracker.checkpoint(checkpoint.path, epoch=checkpoint.epoch, saved=checkpoint.saved, metrics=figures)
