"""An exported ExecuTorch program, run by ExecuTorch: one crop at a time, as phones do."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hmr_light.errors import UserError
from hmr_light.model.file_predictor import (
    METADATA,
    REMEDY,
    FilePredictor,
    cannot_read,
    make_predictor,
    optional_package,
)

OUTPUTS = "hmr_light_outputs"
"""The method that gives the names of the outputs, joined by commas; `METADATA` is another."""


def open_executorch(path: Path, threads: int | None = None) -> FilePredictor:
    """The predictor of an exported program, which has its own threads: `threads` changes nothing.

    Raises `UserError` for a file that is missing, damaged or not one of ours, and without ExecuTorch.
    """
    runtime = optional_package("executorch.runtime", "executorch")
    if not path.is_file():
        raise UserError(f"there is no file {path}", REMEDY)
    try:
        program = runtime.Runtime.get().load_program(str(path))
        said, named = (
            str(program.load_method(name).execute([])[0]) if name in program.method_names else None
            for name in (METADATA, OUTPUTS)
        )
        method = program.load_method("forward")
    except Exception as error:  # whatever it makes of a file of another kind
        raise cannot_read(path, "ExecuTorch", error) from error

    def call(pixels: np.ndarray) -> Sequence[np.ndarray]:
        # Copies: the next call writes into the program's own memory.
        found = [[np.array(one) for one in method.execute([crop[None]])] for crop in torch.from_numpy(pixels)]
        return [np.concatenate(values) for values in zip(*found, strict=True)]

    version = importlib.metadata.version("executorch")
    return make_predictor((path,), "executorch", version, said, (named or "").split(","), call)
