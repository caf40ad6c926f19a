"""A chain of compression: each phase of each step becomes a run, whose parent is the checkpoint before it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.models import best_checkpoint
from hmr_light.checkpoints.transforms import apply_transforms
from hmr_light.compression.calibration import calibration_batches
from hmr_light.compression.norms import measure_norms
from hmr_light.compression.recalibrate import recalibrate, restate
from hmr_light.compression.steps import Phase, Step, StepContext
from hmr_light.config.schema import CompressConfig, TrainConfig
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model
from hmr_light.model.integers import Int8Weights
from hmr_light.training.context import RunContext
from hmr_light.training.inputs import RunInputs, build_objective, initial_model
from hmr_light.training.provenance import file_sha256, lineage_of
from hmr_light.training.run import find_run, train_run


@dataclass(frozen=True)
class Link:
    """One phase of a chain, and what its run is called."""

    row: str
    phase: Phase
    record: dict[str, Any]
    """The step's options, as the run's configuration keeps them."""


def links(steps: Sequence[Step], parent_row: str, row: str | None) -> list[Link]:
    """The phases of all steps. A run is called by the parent's row and the steps so far, the last one by `row`."""
    found: list[Link] = []
    name = parent_row
    for step in steps:
        name = f"{name}-{step.choice}"
        for number, phase in enumerate(step.phases, 1):
            several = len(step.phases) > 1
            record = step.options | ({"phase": number} if several else {})
            found.append(Link(f"{name}{number}" if several else name, phase, record))
    return [*found[:-1], replace(found[-1], row=row or found[-1].row)]


def compress(
    config: CompressConfig,
    base: TrainConfig,
    parent: Checkpoint,
    chain: Sequence[Link],
    inputs: RunInputs,
    at_end: Callable[[RunContext, HMR], None],
    say: Callable[[str], None],
) -> list[Path]:
    """Run the phases of `chain` one after the other, the first on `parent`; returns the run directory of each.

    `base` is the configuration that all runs share. With `config.resume` a run that is finished is not repeated, and
    one that was killed goes on. Nothing is written before the first phase has made its model.
    """
    run_dirs = []
    for number, link in enumerate(chain, 1):
        sha256 = file_sha256(parent.path)
        assert sha256 is not None
        record = {"parent": sha256, "step": link.record, "batch_norms": config.calibration.batch_norms}
        phase_config = replace(base, row=link.row, compressed=record)
        found = find_run(phase_config, inputs.distributed)
        if found and found.finished:
            say(f"{link.row} ({number} of {len(chain)}): {found.run_dir} is finished")
            run_dirs.append(found.run_dir)
        else:
            if found and found.has_state:
                model = initial_model(phase_config, inputs.training, found)
            else:
                say(f"{link.row} ({number} of {len(chain)}): computing it from {parent.path}")
                model = apply_phase(link.phase, parent, phase_config, config, inputs)
            objective = build_objective(phase_config, model, inputs)
            lineage = lineage_of(parent, config.tracking.uri)
            result = train_run(phase_config, model, objective, inputs, lineage=lineage, at_end=at_end)
            run_dirs.append(result.run_dir)
        parent = best_checkpoint(str(run_dirs[-1]), None)
    return run_dirs


def check_parent(model: HMR, path: Path) -> None:
    """Raise `UserError` if `model`, of the checkpoint `path`, holds integers: steps need weights to work on."""
    if any(isinstance(layer, Int8Weights) and layer.is_frozen for layer in model.modules()):
        raise UserError(
            f"the weights of {path} are integers, and no step can follow that",
            "Compress the checkpoint that it was made from, with int8 as the last step.",
        )


def apply_phase(
    phase: Phase,
    parent: Checkpoint,
    phase_config: TrainConfig,
    config: CompressConfig,
    inputs: RunInputs,
) -> HMR:
    """The model that `phase` makes of `parent`, in evaluation mode, its batch norms measured anew.

    It is built from the configuration, the transforms and the weights alone, as a reader of its checkpoint builds it.
    """
    torch.manual_seed(phase_config.seed)
    distributed = inputs.distributed

    def batches() -> Any:
        return calibration_batches(phase_config, config.calibration, distributed)

    model = parent.build().to(distributed.device)
    check_parent(model, parent.path)
    # The step `norms` measures them itself, and is to change what they compute.
    anew = config.calibration.batch_norms and phase is not measure_norms
    if anew:
        restate(model, batches())
    objective = build_objective(phase_config, model, inputs)
    context = StepContext(phase_config, distributed.device, batches, objective)
    change = phase(copy.deepcopy(model), context)
    backbone = {**phase_config.backbone, "weights": None}
    built = build_model({"backbone": backbone, "regressor": phase_config.regressor}).eval()
    built = apply_transforms(built, (*parent.transforms, *change.transforms))
    built.load_state_dict(change.state)
    built.to(distributed.device)
    if not all(value.isfinite().all() for value in built.state_dict().values() if value.is_floating_point()):
        raise UserError(
            "the compressed model has weights that are not finite", "Take another checkpoint as the parent."
        )
    if anew:
        recalibrate(built, batches())
    return built
