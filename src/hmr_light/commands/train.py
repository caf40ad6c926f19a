"""`hmr-light train`: configuration → data, model, body → training loop → checkpoints, journal, MLflow."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from hmr_light.backbones import complete
from hmr_light.config.hints import evaluate_command, table_command
from hmr_light.config.schema import TrainConfig
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import UserError
from hmr_light.evaluation.scoring import on_crops
from hmr_light.model.hmr import HMR
from hmr_light.reports.overlay import overlay_sheet
from hmr_light.training.context import RunContext
from hmr_light.training.inputs import RunInputs, build_objective, initial_model, open_inputs
from hmr_light.training.run import find_run, train_run


def run(config: TrainConfig) -> Path:
    """Train one run; returns its run directory."""
    config = replace(config, backbone=complete(config.backbone))
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with init_distributed(config.trainer.device) as distributed:
        found = find_run(config, distributed)
        if config.compressed is not None and found is None:
            raise UserError("compressed= is what hmr-light compress writes", "Leave it out: see hmr-light compress.")
        if config.searched is not None and found is None:
            raise UserError("searched= is what hmr-light search writes", "Leave it out: see hmr-light search.")
        if found and found.finished:
            if distributed.is_main:
                print(f"{found.run_dir} is finished: there is nothing to do", file=sys.stderr)
                print_next(config, found.run_dir)
            return found.run_dir
        inputs = open_inputs(config, distributed)
        model = initial_model(config, inputs.training, found)
        objective = build_objective(config, model, inputs)

        def draw(context: RunContext, trained: HMR) -> None:
            draw_predictions(context, trained, inputs)

        result = train_run(config, model, objective, inputs, at_end=draw)
        if distributed.is_main:
            print_next(config, result.run_dir)
    return result.run_dir


def draw_predictions(context: RunContext, model: HMR, inputs: RunInputs) -> None:
    """`predictions.png`: the model on people of the primary evaluation set."""
    if not inputs.evaluation or context.tracker is None:
        return
    path = context.run_dir / "predictions.png"
    name, dataset = next(iter(inputs.evaluation.items()))
    overlay_sheet(
        on_crops(model.eval()), dataset, inputs.scorer, path, f"{name}   epoch {context.config.trainer.epochs}"
    )
    if path.is_file():
        context.tracker.artifact(path)


def print_next(config: TrainConfig, run_dir: Path) -> None:
    """Say what to type after a run of `config`."""
    tracking = config.tracking
    is_made = config.compressed is not None
    command = table_command(tracking.uri, tracking.experiment, run_dir, lineage=is_made)
    print(f"  next: {command}", file=sys.stderr)
    if config.data.evaluation:
        print(f"  or: {evaluate_command(run_dir, config)}", file=sys.stderr)
