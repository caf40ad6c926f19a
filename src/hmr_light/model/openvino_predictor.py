"""An exported OpenVINO file, run by OpenVINO."""

from __future__ import annotations

import hashlib
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

WEIGHTS = "hmr_light_weights"
"""The key of the SHA-256 of the file with the weights."""


def weights_of(path: Path) -> Path:
    """The file with the weights, beside the one that describes the network."""
    return path.with_suffix(".bin")


def open_openvino(path: Path, threads: int | None = None, weights: Path | None = None) -> FilePredictor:
    """The predictor of an exported file. `threads` None: as many as torch has. `weights` None: FILE.bin beside it.

    Raises `UserError` for files that are missing, damaged or not ours, or do not belong together, and without OpenVINO.
    """
    runtime = optional_package("openvino", "openvino")
    weights = weights or weights_of(path)
    for file in (path, weights):
        if not file.is_file():
            raise UserError(f"there is no file {file}", f"{REMEDY} Its weights, FILE.bin, belong beside FILE.xml.")
    options = {
        # By itself it computes in bfloat16 on processors that have it.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    try:
        core = runtime.Core()
        model = core.read_model(str(path), str(weights))
        compiled = core.compile_model(model, "CPU", options)
        said = {key: str(model.get_rt_info(key).value) for key in (METADATA, WEIGHTS) if model.has_rt_info(key)}
        outputs = [one.get_any_name() for one in compiled.outputs]
    except Exception as error:  # whatever it makes of a file of another kind
        raise cannot_read(path, "OpenVINO", error) from error
    if WEIGHTS in said and said[WEIGHTS] != hashlib.sha256(weights.read_bytes()).hexdigest():
        raise UserError(
            f"{weights} are not the weights of {path}: its hash differs", "Copy or export both files again."
        )
    request = compiled.create_infer_request()

    def call(pixels: np.ndarray) -> Sequence[np.ndarray]:
        request.infer({0: pixels}, share_inputs=True)
        # Copies: the next call writes into the runtime's own memory.
        return [np.array(request.get_output_tensor(place).data) for place in range(len(outputs))]

    return make_predictor(
        (path, weights), "openvino", runtime.__version__.partition("-")[0], said.get(METADATA), outputs, call
    )
