"""Exported files by the endings of their names."""

from __future__ import annotations

from pathlib import Path

from hmr_light.model.executorch_predictor import open_executorch
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.onnx_predictor import open_onnx
from hmr_light.model.openvino_predictor import open_openvino

_OPENERS = {".onnx": open_onnx, ".xml": open_openvino, ".pte": open_executorch}


def is_exported(path: Path | str | None) -> bool:
    """Whether the name is that of an exported file."""
    return path is not None and Path(path).suffix.lower() in _OPENERS


def open_exported(path: Path, threads: int | None = None) -> FilePredictor:
    """The predictor of an exported file. `threads` None: as many as torch has.

    Raises `UserError` for a file that is missing, damaged or not one of ours, and without the package that runs it.
    """
    return _OPENERS[path.suffix.lower()](path, threads)
