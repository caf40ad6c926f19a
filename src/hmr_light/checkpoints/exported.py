"""Exported files beside checkpoints: what a file says of itself, and the one place that opens a path as either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.models import predictor_of, refuse_device
from hmr_light.model.exported import is_exported, open_exported
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.predictor import CropPredictor


@dataclass(frozen=True)
class ExportedModel:
    """An exported file, with what commands read of a `Checkpoint`."""

    path: Path
    predictor: FilePredictor

    @property
    def config(self) -> dict[str, Any]:
        """Of the run's configuration what names the model and its figures."""
        config: dict[str, Any] = self.predictor.metadata["config"]
        return config

    @property
    def epoch(self) -> int:
        """Of the checkpoint."""
        return int(self.predictor.metadata["checkpoint"]["epoch"])

    @property
    def saved(self) -> str:
        """When the checkpoint was written, YYMMDD-HHMMSS."""
        return str(self.predictor.metadata["checkpoint"]["saved"])

    @property
    def body(self) -> str | None:
        """See `Checkpoint.body`."""
        return self.predictor.body_name

    @property
    def runtime(self) -> str:
        """What runs it, and how its weights are stored: `onnx int8`."""
        return f"{self.predictor.runtime} {self.predictor.precision}"

    @property
    def row(self) -> str:
        """Its name in the table."""
        return f"{self.config.get('row') or self.config['backbone']['name']} {self.runtime}"

    @property
    def run_dir(self) -> Path:
        """The folder beside the file for what is measured of it: a run of its own, made by the first evaluation."""
        path = self.path.resolve()
        return path.with_name(f"{path.name}.run")


def open_model(path: Path, allow: Sequence[str] = ()) -> Checkpoint | ExportedModel:
    """The exported file or the checkpoint at `path`; see `load_checkpoint`."""
    path = path.expanduser()
    return ExportedModel(path, open_exported(path)) if is_exported(path) else load_checkpoint(path, allow)


def predictor_of_model(
    model: Checkpoint | ExportedModel, device: str = "auto", contrast: str | None = None
) -> CropPredictor:
    """`model`, ready to predict with; see `predictor_of`. Raises `UserError` for a file where `device` is cuda."""
    if isinstance(model, Checkpoint):
        return predictor_of(model, device, contrast)
    refuse_device(model.path, device)
    return replace(model.predictor, contrast=contrast or model.predictor.contrast)
