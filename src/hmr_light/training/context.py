"""What every part of a run needs to know of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmr_light.config.schema import TrainConfig
from hmr_light.data.distributed import Distributed
from hmr_light.tracking import Tracker


@dataclass(frozen=True)
class RunContext:
    """One run on one process."""

    run_dir: Path
    config: TrainConfig
    plain_config: dict[str, Any]
    """`config` as plain values, as files and MLflow hold it."""
    distributed: Distributed
    tracker: Tracker | None
    """None on all processes but the main one, which alone writes."""

    @property
    def checkpoints(self) -> Path:
        """The directory of the run's checkpoints."""
        return self.run_dir / "checkpoints"


@dataclass(frozen=True)
class Lineage:
    """What a run comes from: a checkpoint, by compression or distillation, or the study that it is a trial of."""

    parent_run: str
    """MLflow's run id, or the name of the run directory where there is none; of a file of no run, its name."""
    parent_checkpoint: str = ""
    """SHA-256 of the file; of a study there is none."""

    def tags(self) -> dict[str, str]:
        """The tags of the new run."""
        tags = {"hmr_light.parent_run": self.parent_run}
        if self.parent_checkpoint:
            tags["hmr_light.parent_checkpoint"] = self.parent_checkpoint
        # By this one MLflow's pages show a run below its parent.
        return tags | ({"mlflow.parentRunId": self.parent_run} if re.fullmatch("[0-9a-f]{32}", self.parent_run) else {})
