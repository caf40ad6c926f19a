"""`hmr-light benchmark`: models, in turns in one process → inference times and their ratios to the first one's."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hmr_light.body import load_body
from hmr_light.config.choices import choices, compose_choice, compose_network
from hmr_light.config.schema import BenchmarkConfig
from hmr_light.cost.grid import Column, Columns, Row, deliver
from hmr_light.cost.interleave import compare, take_turns
from hmr_light.cost.latency import cpu_name, device_name, load_average
from hmr_light.cost.variants import EAGER, Runner, parse_variant
from hmr_light.errors import UserError, did_you_mean
from hmr_light.model.hmr import HMR, build_model
from hmr_light.tracking import continue_tracking
from hmr_light.training.checkpoint import Checkpoint, read_model
from hmr_light.training.distributed import choose_device
from hmr_light.training.provenance import environment

IMAGE_SIZE = 224


class Subject(NamedTuple):
    """A model to be measured."""

    name: str
    model: HMR
    image_size: int
    checkpoint: Checkpoint | None


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
    "p95_s": Column("95 %(ms)", _ms),
    "min_s": Column("Min(ms)", _ms),
    "ratio": Column("Ratio", _ratio),
    "ratio_low": Column("lower quartile", _ratio),
    "ratio_high": Column("upper quartile", _ratio),
}


def run(config: BenchmarkConfig) -> None:
    """Measure every model in every variant, batch size by batch size; print or write the figures, and log them."""
    device = choose_device(config.device)
    variants = {text: parse_variant(text) for text in dict.fromkeys(config.variants)}
    subjects = [_open(name, config) for name in dict.fromkeys(config.models)]
    if config.log and not any(subject.checkpoint for subject in subjects):
        raise UserError("log=true, but no model is a run's checkpoint", "Name a run's folder or its checkpoint.")
    with_mesh = any("mesh" in steps for steps in variants.values())
    body = load_body(**config.body.files()).to(device) if with_mesh else None
    runners = [
        (subject, variant, Runner(subject.model, steps, device, body))
        for subject in subjects
        for variant, steps in variants.items()
    ]
    load_before = load_average()
    rows, cpu_share = _measure(runners, config, device)
    facts = {
        "measured": time.strftime("%Y-%m-%d %H:%M:%S"),
        "reference": f"{rows[0]['model']} {rows[0]['variant']}, of the same batch size and threads",
        "regressor of configs": config.regressor["name"],
        "rounds": config.rounds,
        "warmup": config.warmup,
        "device": device_name(device),
        "cpu": cpu_name(),
        "load average": f"{load_before:.2f} before, {load_average():.2f} after",
        "cpu share": f"{cpu_share:.2f}",
        "environment": dict(line.split(" ", 1) for line in environment().splitlines()),
    }
    if device.type == "cpu" and cpu_share < 0.9:
        print("other processes took part of the CPU: trust the ratios, not the times", file=sys.stderr)
    deliver(rows, COLUMNS, facts, config.format, config.out)
    if config.log:
        for subject in subjects:
            _log(subject, [row for row in rows if row["model"] == subject.name], facts, config, device)


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
        return Subject(name, build_model(network).eval(), config.image_size or IMAGE_SIZE, None)
    path = Path(name).expanduser()
    if path.is_dir():
        path = max(path.glob("checkpoints/epoch-*.pt"), default=path / "checkpoints" / "epoch-*.pt")
    elif not path.is_file():
        raise UserError(
            f"models={name}: there is no such backbone, experiment, checkpoint or run folder",
            did_you_mean(name, [*backbones, *experiments]),
        )
    checkpoint = read_model(path)
    row = checkpoint.config.get("row") or checkpoint.config["backbone"]["name"]
    label = f"{row} ({checkpoint.epoch}){checkpoint.saved}"
    image_size = config.image_size or int(checkpoint.config["data"]["image_size"])
    return Subject(label, checkpoint.build(), image_size, checkpoint)


def _measure(
    runners: list[tuple[Subject, str, Runner]], config: BenchmarkConfig, device: torch.device
) -> tuple[list[dict[str, Any]], float]:
    """A row for each runner, batch size and thread count; and the least share of the CPU that this process got."""
    settings = [(batch, threads) for batch in config.batch_sizes for threads in config.threads]
    rows: list[dict[str, Any]] = []
    cpu_share = 1.0
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=len(settings) * len(runners) * (config.warmup + config.rounds))
        for batch, threads in settings:
            bar.update(task, description=f"batch {batch}, {threads} threads")
            calls = []
            for subject, _, runner in runners:
                images = runner.prepare(torch.rand(batch, 3, subject.image_size, subject.image_size))
                calls.append(lambda runner=runner, images=images: runner(images))
            turns = take_turns(
                calls,
                device=device,
                rounds=config.rounds,
                warmup=config.warmup,
                threads=threads,
                on_turn=lambda: bar.advance(task),
            )
            cpu_share = min(cpu_share, turns.cpu_share)
            for (subject, variant, _), times in zip(runners, turns.times, strict=True):
                setting = {"image_size": subject.image_size, "batch": batch, "threads": threads}
                figures = dataclasses.asdict(compare(times, turns.times[0]))
                rows.append({"model": subject.name, "variant": variant, **setting, **figures})
    return rows, cpu_share


def _log(
    subject: Subject, rows: list[Row], facts: dict[str, Any], config: BenchmarkConfig, device: torch.device
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
            tags = {name: str(facts[name]) for name in ("device", "cpu")} | {"threads": "1", "batch": "1"}
            tags["load_average"] = str(facts["load average"])
    with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
        tracker.tags({f"hmr_light.inference_{name}": value for name, value in tags.items()})
        tracker.metrics(figures, step=checkpoint.epoch)
        tracker.checkpoint(checkpoint.path, epoch=checkpoint.epoch, saved=checkpoint.saved, metrics=figures)
