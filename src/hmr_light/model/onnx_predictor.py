"""An exported ONNX file, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def open_onnx(path: Path, threads: int | None = None) -> FilePredictor:
    """The predictor of an exported file. `threads` None: as many as torch has.

    Raises `UserError` for a file that is missing, damaged or not one of ours, and without ONNX Runtime.
    """
    session = open_session(path, threads)
    metadata = session.get_modelmeta().custom_metadata_map.get(METADATA)
    outputs = [one.name for one in session.get_outputs()]
    taken = next((one.name for one in session.get_inputs()), "")
    version = str(optional_package("onnxruntime").__version__)
    return make_predictor(
        (path,), "onnx", version, metadata, outputs, lambda pixels: session.run(None, {taken: pixels})
    )


def open_session(path: Path, threads: int | None = None) -> Any:
    """The `onnxruntime.InferenceSession` of a file, on the CPU. `threads` None: as many as torch has.

    Raises `UserError` for a file that is missing or damaged, and without ONNX Runtime.
    """
    runtime = optional_package("onnxruntime")
    if not path.is_file():
        raise UserError(f"there is no file {path}", REMEDY)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong with a file, our own message says
    # Threads that wait by spinning cost a shared machine dearly.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a dozen exceptions without a common class of its own
        raise cannot_read(path, "ONNX", error) from error
