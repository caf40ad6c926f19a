"""The steps of compression by name, and the contract that each of them keeps.

A builder in `steps` checks its options and returns phases: most steps have one, an iterative one several. A phase is a
function of a trained model and a `StepContext`. It changes nothing: it returns the transforms that make the new
structure (see `hmr_light.checkpoints.transforms`), and the weights of that structure. The new model is then built from
these alone, as every reader of its checkpoint builds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from hmr_light.backbones.state_dicts import State
from hmr_light.checkpoints.transforms import Transform
from hmr_light.config.choices import choices, compose_choice, suggest
from hmr_light.config.registry import Registry
from hmr_light.config.schema import TrainConfig
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.training.objectives import Batch, Objective


@dataclass(frozen=True)
class StepContext:
    """What a phase may look at beside the model."""

    config: TrainConfig
    """Of the new run: its data, image size, loss, seed."""
    device: torch.device
    batches: Callable[[], Iterator[Batch]]
    """Batches of the training set on `device`, without augmentation, the same ones on each call; `image` is uint8
    (B, 3, S, S), see `hmr_light.model.hmr.normalize`. Without labels unless the data have some."""
    objective: Objective
    """What the new run minimises; for criteria that need a gradient."""


class Change(NamedTuple):
    """What a phase makes of a model."""

    transforms: list[Transform]
    """To be applied after those that the model has already."""
    state: State
    """The weights of the new structure, all of them."""


Phase = Callable[[HMR, StepContext], Change]
"""(the model in evaluation mode, which stays as it is; the context) → what to make of it."""

steps: Registry[Sequence[Phase]] = Registry("compression")


@dataclass(frozen=True)
class Step:
    """A step that was chosen: one part of a chain."""

    choice: str
    """Its file in `conf/compression/`."""
    options: dict[str, Any]
    """`name` and the options of the step."""
    phases: Sequence[Phase]


def read_steps(node: Mapping[str, Any]) -> list[Step]:
    """The steps that the node `compression` of a configuration describes, in their order, all options checked.

    `steps` lists choices of `compression=`, by name or as mappings of a `name` and options that differ from those in
    the choice's file; null is the node itself, and so is the node's own name. Raises `UserError` for a step or an
    option that does not exist, and for a value that cannot be.
    """
    own = {key: value for key, value in node.items() if key != "steps"}
    listed = node.get("steps")
    if listed is None:
        listed = [own.get("name")]
    if not isinstance(listed, list) or not listed:
        raise UserError("compression.steps is not a list of steps", "For example: compression.steps=[prune,sparse]")
    found = []
    for number, entry in enumerate(listed):
        place = f"compression.steps[{number}]"
        changes = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
        name = changes.pop("name", None)
        if name == own.get("name"):
            options = own
        elif name in choices("compression"):
            options = compose_choice("compression", str(name))
            if options.pop("steps", None) is not None:
                raise UserError(f"{place}: {name} is a chain of steps itself", "List its steps in its place.")
        else:
            raise UserError(f"{place}: there is no step {name}", suggest("compression", str(name)))
        options = options | changes
        found.append(Step(str(name), options, steps.build(options, place="compression")))
    _check_order(found)
    return found


def _check_order(chain: Sequence[Step]) -> None:
    """Refuse, before the first run, what the last one would: integers leave no weights for a step after them."""
    names = [one.options["name"] for one in chain]
    if "int8" in names[:-1]:
        raise UserError("compression.steps: no step can follow int8, which leaves integers alone", "Put int8 last.")
    if names[-1] == "int8" and "share" in names:
        raise UserError(
            "compression.steps has share and int8, and each of them says how weights are stored", "Leave one out."
        )
