"""Steps of compression in tests: what a step makes of a model, rebuilt as a reader of its checkpoint would."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from hmr_light.checkpoints.transforms import apply_transforms, check_transforms
from hmr_light.compression.steps import Change, StepContext, read_steps
from hmr_light.config.schema import TrainConfig
from hmr_light.model.hmr import HMR
from hmr_light.model.losses import LossTerm
from hmr_light.training.objectives import Batch, Network, Objective

IMAGE_SIZE = 64


def to_zero(network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
    """An objective that needs no labels."""
    prediction = network(batch["image"])
    total = sum((value.float().square().sum() for value in prediction), torch.zeros(()))
    return {"all": LossTerm(total, torch.tensor(float(len(batch["image"]))), 1.0)}


@cache
def _config(size: int) -> TrainConfig:
    from support.cli import compose

    return compose("train", f"data.image_size={size}", "data.root=data", "outputs=outputs", "tracking=journal")


def context(size: int = IMAGE_SIZE) -> StepContext:
    """Two batches of noise, the same ones on each call."""

    def batches() -> Iterator[Batch]:
        draw = torch.Generator().manual_seed(0)
        for _ in range(2):
            yield {"image": torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=draw)}

    return StepContext(_config(size), torch.device("cpu"), batches, Objective(to_zero))


def change(model: HMR, name: str, phase: int = 0, size: int = IMAGE_SIZE, **options: Any) -> Change:
    """What the phase of the step `name` makes of `model`, which must stay as it is."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    (step,) = read_steps({"name": name, **options})
    made = step.phases[phase](copy.deepcopy(model), context(size))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    return made


def rebuilt(model: HMR, made: Change) -> HMR:
    """The changed model, of another's weights but those that `made` says, in evaluation mode."""
    fresh = copy.deepcopy(model)
    for value in fresh.state_dict().values():
        if value.is_floating_point():
            value.normal_()
    small = apply_transforms(fresh.eval(), check_transforms(made.transforms))
    small.load_state_dict(made.state)
    return small.eval()
