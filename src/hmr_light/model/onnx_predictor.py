"""An exported ONNX file as a `CropPredictor`, run by ONNX Runtime. `hmr_light.deployment` writes such files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmr_light.errors import UserError
from hmr_light.model.regressors import SmplParameters

METADATA, FORMAT = "hmr_light", 1
"""The key of the file's metadata, JSON, and the version of what it holds."""
FINDER = "finder"
"""The `kind` in the metadata of the finder's file (`hmr_light.deployment.finder`); files of models have none."""
_LARGEST = 4096
_REMEDY = "Name a file that hmr-light export has written."


def optional_package(name: str) -> Any:
    """The package `name` of the extra `onnx`. Raises `UserError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"ONNX files need the package {name}, which is not installed", _INSTALL) from error


_INSTALL = "pip install 'hmr-light[onnx]'"


@dataclass(frozen=True)
class OnnxPredictor:
    """An exported file, on the CPU."""

    path: Path
    session: Any
    """`onnxruntime.InferenceSession`."""
    metadata: Mapping[str, Any]
    """See `hmr_light.deployment.metadata`."""
    contrast: str | None = None
    """As in `TorchPredictor`."""

    @property
    def image_size(self) -> int:
        return int(self.metadata["input"]["size"])

    @property
    def body_name(self) -> str | None:
        name: str | None = self.metadata["body"]["trained_with"]
        return name

    @property
    def precision(self) -> str:
        """How the weights are stored: float32, float16, int8 or codebook."""
        return str(self.metadata["precision"])

    @property
    def version(self) -> str:
        """Of ONNX Runtime."""
        return str(optional_package("onnxruntime").__version__)

    @cached_property
    def outputs(self) -> list[str]:
        """The names of what `run` gives."""
        return [one.name for one in self.session.get_outputs()]

    def run(self, crops: torch.Tensor) -> dict[str, np.ndarray]:
        """Everything that the file gives for RGB crops uint8 (B, 3, S, S), by name."""
        if self.metadata["input"]["type"] == "uint8":
            pixels = crops.cpu().permute(0, 2, 3, 1).contiguous().numpy()
        else:
            pixels = crops.cpu().float().contiguous().numpy()
        return dict(zip(self.outputs, self.session.run(None, {self.metadata["input"]["name"]: pixels}), strict=True))

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        values = self.run(crops)
        return SmplParameters(*(torch.from_numpy(values[name]).to(crops.device) for name in SmplParameters._fields))


def is_onnx(path: Path | str | None) -> bool:
    """Whether the name is that of an ONNX file."""
    return path is not None and Path(path).suffix.lower() == ".onnx"


def open_onnx(path: Path, threads: int | None = None) -> OnnxPredictor:
    """The predictor of an exported file. `threads` None: as many as torch has.

    Raises `UserError` for a file that is missing, damaged or not one of ours, and without ONNX Runtime.
    """
    session = open_session(path, threads)
    found = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if found is None:
        raise UserError(f"{path} was not exported by hmr-light: it does not say what it takes and gives", _REMEDY)
    metadata = _checked(found, path)
    given = {one.name for one in session.get_outputs()}
    if missing := [name for name in SmplParameters._fields if name not in given]:
        raise UserError(f"{path} gives no {', '.join(missing)}", _REMEDY)
    return OnnxPredictor(path, session, metadata, metadata["crop"]["contrast"])


def open_session(path: Path, threads: int | None = None) -> Any:
    """The `onnxruntime.InferenceSession` of a file, on the CPU. `threads` None: as many as torch has.

    Raises `UserError` for a file that is missing or damaged, and without ONNX Runtime.
    """
    runtime = optional_package("onnxruntime")
    if not path.is_file():
        raise UserError(f"there is no file {path}", _REMEDY)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong with a file, our own message says
    # Threads that wait by spinning cost a shared machine dearly.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a dozen exceptions without a common class of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as an ONNX model: {reason}", "Copy or export it again.") from error


def _checked(text: str, path: Path) -> dict[str, Any]:
    """The metadata, if they say all that a reader needs."""
    try:
        content: dict[str, Any] = json.loads(text)
        number = content["format"]
        if isinstance(number, int) and number > FORMAT:
            raise UserError(f"{path} is an export of format {number}", "A newer hmr_light wrote it: update this one.")
        if content.get("kind") == FINDER:
            raise UserError(f"{path} finds people, and is no model of their bodies", "Name the file of a model.")
        size = content["input"]["size"]
        body, contrast = content["body"]["trained_with"], content["crop"]["contrast"]
        config, source = content["config"], content["checkpoint"]
        sound = (
            number == FORMAT
            and type(size) is int
            and 1 <= size <= _LARGEST
            and content["input"]["type"] in ("uint8", "float32")
            and isinstance(content["input"]["name"], str)
            and isinstance(body, str | None)
            and contrast in (None, "spin")
            and isinstance(content["precision"], str)
            and isinstance(config, dict)
            and all(isinstance(config[node]["name"], str) for node in ("backbone", "regressor"))
            and isinstance(config["data"]["image_size"], int)
            and type(content["parameters"]) is int
            and isinstance(source["sha256"], str)
            and isinstance(source["run"], str)
            and type(source["epoch"]) is int
            and isinstance(source["saved"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"the metadata of {path} cannot be read: {error!r}", _REMEDY) from error
    if not sound:
        raise UserError(f"the metadata of {path} are not those of an export", _REMEDY)
    return content
