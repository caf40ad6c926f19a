"""`tracking=`: where MLflow keeps the runs."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class TrackingConfig:
    """Where MLflow keeps a run; the journal in the run's folder is written in any case."""

    name: str = MISSING
    """The name of the choice."""
    uri: str | None = None
    """MLflow's tracking URI; null: the journal alone."""
    experiment: str = MISSING
    """The MLflow experiment, and the folder of its runs under `outputs`."""
    upload_checkpoints: bool = False
    """Keep the checkpoint file of each row among the run's artifacts too (a ResNet-50: 100 MB an epoch)."""
