"""`hmr-light benchmark`: models, in turns in one process → inference times and their ratios to the first one's."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hmr_light.body import SMPL, load_body
from hmr_light.checkpoints.exported import ExportedModel, open_model
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.commands.inference_times import log_times, models_of
from hmr_light.config.choices import choices, compose_choice, compose_network, suggest
from hmr_light.config.schema import BenchmarkConfig
from hmr_light.cost.benchmark import Entry, Measured, measure
from hmr_light.cost.latency import cpu_name, device_name, load_average
from hmr_light.cost.share import time_mark
from hmr_light.cost.variants import FileRunner, Runner, parse_variant
from hmr_light.data.distributed import choose_device
from hmr_light.data.progress import ProgressBar
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, check_image_size
from hmr_light.reports.cells import MISSING
from hmr_light.reports.tabular import Column, Columns, Record, deliver, tabulate
from hmr_light.training.provenance import environment

IMAGE_SIZE = 224
DEFAULT_MODELS = ("resnet50", "mobilenet_v2", "squeezenet1_0")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _ratio(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{time_mark(value)}{100 * value:.0f}"


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
    "cpu_s": Column("CPU(ms)", lambda seconds: MISSING if seconds is None else _ms(seconds)),
    "cpu_share": Column("Core(%)", _share),
    "yardstick_ratio": Column("Yardsticks", _ratio),
    "energy_j": Column("Energy(J)", lambda joules: MISSING if joules is None else f"{joules:.3f}"),
}
"""Of a row; times are those of a whole batch. `cpu_s` is the median of the CPU's work, `cpu_share` the share of a core
that the process had, `yardstick_ratio` the ratio to the time of `hmr_light.cost.yardstick` in the same rounds,
`energy_j` what all processors used meanwhile, where they report it."""


class Subject(NamedTuple):
    """A model to be measured, and the checkpoint that it is of; an exported file is measured as it is."""

    name: str
    model: HMR | None
    image_size: int
    checkpoint: Checkpoint | ExportedModel | None

    def entries(self, variants: Mapping[str, frozenset[str]], device: torch.device, body: SMPL | None) -> list[Entry]:
        """What is measured of it: every variant of a network."""
        if isinstance(self.checkpoint, ExportedModel):
            runner = FileRunner(self.checkpoint.path)
            return [Entry(self.name, self.checkpoint.runtime.replace(" ", "-"), self.image_size, runner)]
        assert self.model is not None
        return [
            Entry(self.name, variant, self.image_size, Runner(self.model, steps, device, body))
            for variant, steps in variants.items()
        ]


def run(config: BenchmarkConfig) -> None:
    """Measure every model in every variant, batch size by batch size; print or write the figures, and log them."""
    device = choose_device(config.device)
    variants = {text: parse_variant(text) for text in dict.fromkeys(config.variants)}
    names = models_of(config.tracking) if config.tracking.experiment else config.models
    subjects = [_open(name, config) for name in dict.fromkeys(names or DEFAULT_MODELS)]
    log = bool(config.tracking.experiment) if config.log is None else config.log
    if log and not any(subject.checkpoint for subject in subjects):
        raise UserError("log=true, but no model is a run's checkpoint", "Name a run's folder or its checkpoint.")
    with_mesh = any("mesh" in steps for steps in variants.values())
    body = load_body(**config.body.files()).to(device) if with_mesh else None
    of_subjects = [subject.entries(variants, device, body) for subject in subjects]
    entries = [entry for own in of_subjects for entry in own]
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
    measured = _measure(entries, config, device)
    shares = [one.latency.cpu_share for setting in measured for one in setting if one.latency.cpu_share is not None]
    facts["load_average_after"] = round(load_average(), 2)
    if shares:
        facts["cpu_share"] = round(min(shares), 2)
    facts["environment"] = dict(line.split(" ", 1) for line in environment().splitlines())
    if any(map(time_mark, shares)):
        print("other processes took part of the CPU: trust the ratios, not the times", file=sys.stderr)
    records = [_record(one) for setting in measured for one in setting]
    deliver(tabulate(records, COLUMNS, facts), config.format, config.out)
    if log:
        for subject, own in zip(subjects, of_subjects, strict=True):
            if subject.checkpoint is not None:
                times = [one for setting in measured for one in setting if one.entry in own]
                log_times(subject.checkpoint, times, device, config.tracking.uri)


def _record(measured: Measured) -> Record:
    entry, latency, ratio = measured
    return {
        "model": entry.model,
        "variant": entry.variant,
        "image_size": entry.image_size,
        "batch": latency.batch,
        "threads": latency.threads,
        "median_s": latency.median_s,
        "p95_s": latency.p95_s,
        "min_s": latency.min_s,
        "ratio": ratio.median,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "cpu_s": latency.cpu_s,
        "cpu_share": latency.cpu_share,
        "yardstick_ratio": latency.ratio,
        "energy_j": latency.energy_j,
    }


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
    checkpoint = open_model(path)
    row = checkpoint.config.get("row") or checkpoint.config["backbone"]["name"]
    label = f"{row} ({checkpoint.epoch}){checkpoint.saved}"
    if isinstance(checkpoint, ExportedModel):
        return Subject(label, None, checkpoint.predictor.image_size, checkpoint)
    image_size = config.image_size or int(checkpoint.config["data"]["image_size"])
    model = checkpoint.build()
    check_image_size(model, str(checkpoint.config["backbone"]["name"]), image_size, "image_size")
    return Subject(label, model, image_size, checkpoint)


def _measure(entries: list[Entry], config: BenchmarkConfig, device: torch.device) -> list[list[Measured]]:
    settings = [(batch, threads) for batch in config.batch_sizes for threads in config.threads]
    measurements = len(settings) * (len(entries) + 1) * (config.warmup + config.rounds)
    with ProgressBar(measurements, "the first run of each") as bar:

        def on_call(batch: int, threads: int) -> None:
            bar.advance(description=f"batch {batch}, threads {threads}")

        return measure(entries, settings, device=device, rounds=config.rounds, warmup=config.warmup, on_call=on_call)
