"""The whole state of a training run: what the next step depends on, and so what `last.pt` holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmr_light.checkpoints import format as checkpoint
from hmr_light.config.schema import TrainConfig
from hmr_light.data.bad_samples import BadSamples
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.training.ema import MovingAverage
from hmr_light.training.objectives import Objective
from hmr_light.training.schedule import build_optimizer


@dataclass
class TrainingState:
    """Everything that the next step depends on."""

    model: HMR
    optimizer: torch.optim.Optimizer | None
    average: MovingAverage | None
    epoch: int = 0
    """Epochs completed; the last of them is perhaps not evaluated yet."""
    step: int = 0
    """Steps completed within the epoch at hand."""
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    """Sums of each loss over the steps of the epoch at hand."""
    figures: dict[str, float] = field(default_factory=dict)
    """The training figures of the epoch that was completed last."""
    bad_samples: BadSamples = field(default_factory=dict)
    adapters: nn.Module | None = None
    """What is trained beside the model; see `Objective`."""
    teacher: str | None = None
    """SHA-256 of the teacher's checkpoint."""

    @property
    def evaluated_model(self) -> HMR:
        """The model that counts: the moving average where there is one."""
        return self.average.model if self.average else self.model  # type: ignore[return-value]

    @property
    def is_finite(self) -> bool:
        """Whether all weights are."""
        models = [self.model] if self.average is None else [self.model, self.average.model]
        values = [value for one in models for value in one.state_dict().values() if value.is_floating_point()]
        return all(bool(value.isfinite().all()) for value in values)

    def save(self, folder: Path, config: dict[str, Any]) -> None:
        """Write it as `folder/last.pt`."""
        checkpoint.save_last(
            folder,
            {
                "format": checkpoint.FORMAT,
                "config": config,
                "transforms": list(self.model.transforms),
                "epoch": self.epoch,
                "step": self.step,
                "sums": dict(self.sums),
                "figures": dict(self.figures),
                "bad_samples": dict(self.bad_samples),
                "model": self.model.state_dict(),
                "average": self.average.model.state_dict() if self.average else None,
                "optimizer": self.optimizer.state_dict() if self.optimizer else None,
                "adapters": self.adapters.state_dict() if self.adapters else None,
                "teacher": self.teacher,
            },
        )

    def load(self, folder: Path) -> str:
        """Continue from the newest state in `folder` that is whole; a warning where that is not the last one."""
        content, warning = checkpoint.read_last(folder)
        if content.get("teacher") != self.teacher:
            raise UserError(
                f"{folder.parent} was trained with another teacher: its file has the SHA-256 "
                f"{content.get('teacher')}, and this one {self.teacher}",
                "Bring that file back and name it: distillation.teacher=FILE. Or start a new run without resume=.",
            )
        checkpoint.load_state(self.model, content["model"], folder)
        if self.average:
            checkpoint.load_state(self.average.model, content["average"] or content["model"], folder)
        if self.adapters:
            checkpoint.load_state(self.adapters, content["adapters"], folder)
        if self.optimizer and content["optimizer"]:
            self.optimizer.load_state_dict(content["optimizer"])
        self.epoch, self.step = content["epoch"], content["step"]
        self.figures, self.bad_samples = content.get("figures", {}), content.get("bad_samples", {})
        device = next(self.model.buffers()).device
        self.sums = {name: value.to(device) for name, value in content["sums"].items()}
        return warning


def initial_state(model: HMR, config: TrainConfig, objective: Objective) -> TrainingState:
    """The state before the first step. `model` is on its device already."""
    decay, adapters = config.trainer.ema_decay, objective.adapters
    return TrainingState(
        model,
        build_optimizer(config.optimizer, model, adapters),
        MovingAverage(model, decay) if decay is not None else None,
        adapters=adapters,
        teacher=objective.teacher.parent_checkpoint if objective.teacher else None,
    )
