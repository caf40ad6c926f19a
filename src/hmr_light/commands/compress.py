"""`hmr-light compress`: a checkpoint → steps → a smaller model, fine-tuned and evaluated, as a new run."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.models import best_checkpoint
from hmr_light.commands.train import draw_predictions, print_next
from hmr_light.compression.chain import compress, links
from hmr_light.compression.steps import read_steps
from hmr_light.config.schema import CompressConfig, TrainConfig
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.hmr import HMR
from hmr_light.paths import zoo_file
from hmr_light.training.context import RunContext
from hmr_light.training.inputs import open_inputs


def run(config: CompressConfig) -> list[Path]:
    """Compress one checkpoint by the steps of `config.compression`; returns the run directory of each phase."""
    steps = read_steps(config.compression)
    parent = _parent(config)
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    base = _run_config(config, parent)
    with init_distributed(config.trainer.device) as distributed:
        if distributed.world_size > 1:
            raise UserError(
                "compress runs in one process", "Run it without torchrun; fine-tune with `hmr-light train init=…`."
            )
        inputs = open_inputs(base, distributed)

        def draw(context: RunContext, model: HMR) -> None:
            draw_predictions(context, model, inputs)
            _write_coded(context)

        def say(text: str) -> None:
            print(text, file=sys.stderr)

        chain = links(steps, _row(parent), config.row)
        try:
            run_dirs = compress(config, base, parent, chain, inputs, draw, say)
        except Interrupted as stopped:
            saved = str(stopped).partition("\n")[0]
            raise Interrupted(f"{saved}\n  Go on with the same command and resume=auto.") from stopped
        print_next(base, run_dirs[-1])
    return run_dirs


def _write_coded(context: RunContext) -> None:
    """`model.hmrz`: the run's best checkpoint in the fewest bytes that give it back exactly."""
    path = context.run_dir / "model.hmrz"
    size = write_hmrz(path, best_checkpoint(str(context.run_dir), None))
    if context.tracker:
        context.tracker.tags({"hmr_light.coded_bytes": str(size)})
        context.tracker.artifact(path)


def _parent(config: CompressConfig) -> Checkpoint:
    if config.checkpoint is None:
        return best_checkpoint(str(config.run), config.tracking.uri)
    return load_checkpoint(Path(config.checkpoint))


def _run_config(config: CompressConfig, parent: Checkpoint) -> TrainConfig:
    """What the runs of a chain share: the parent's network and image size, and the options of the command."""
    shared = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(config)}
    values = {name: getattr(config, name) for name in shared}
    values["data"] = replace(config.data, image_size=int(parent.config["data"]["image_size"]))
    if config.objective == "distillation" and config.distillation["teacher"] is None:
        values["distillation"] = {**config.distillation, "teacher": str(parent.path)}
    return TrainConfig(backbone=parent.config["backbone"], regressor=parent.config["regressor"], **values)


def _row(parent: Checkpoint) -> str:
    """What the parent is called in the table."""
    if zoo_file(parent.path.stem) == parent.path:
        return parent.path.stem
    return str(parent.config.get("row") or parent.config["backbone"]["name"])
