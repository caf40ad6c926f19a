"""An exported file as a `CropPredictor`, whatever runs it. `hmr_light.deployment` writes such files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
TITLES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "executorch": "ExecuTorch"}
"""What runs a file, by the name of its format, which is that of the package's extra too."""
REMEDY = "Name a file that hmr-light export has written."
_LARGEST = 4096


def optional_package(name: str, extra: str = "onnx") -> Any:
    """The module `name` of an extra. Raises `UserError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"files for {TITLES[extra]} need the package {name.partition('.')[0]}, which is not installed",
            f"pip install 'hmr-light[{extra}]'",
        ) from error


@dataclass(frozen=True)
class FilePredictor:
    """An exported file, on the CPU."""

    files: tuple[Path, ...]
    """The first is the one that is named; others, which belong to it, lie beside it."""
    runtime: str
    """What runs it: a key of `TITLES`."""
    version: str
    """Of what runs it."""
    outputs: tuple[str, ...]
    """The names of what `call` gives."""
    call: Callable[[np.ndarray], Sequence[np.ndarray]]
    """From pixels, as `metadata` has them, to every output."""
    metadata: Mapping[str, Any]
    """See `hmr_light.deployment.metadata`."""
    contrast: str | None = None
    """As in `TorchPredictor`."""

    @property
    def path(self) -> Path:
        return self.files[0]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

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

    def run(self, crops: torch.Tensor) -> dict[str, np.ndarray]:
        """Everything that the file gives for RGB crops uint8 (B, 3, S, S), by name."""
        if self.metadata["input"]["type"] == "uint8":
            pixels = crops.cpu().permute(0, 2, 3, 1).contiguous().numpy()
        else:
            pixels = crops.cpu().float().contiguous().numpy()
        return dict(zip(self.outputs, self.call(pixels), strict=True))

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        values = self.run(crops)
        return SmplParameters(*(torch.from_numpy(values[name]).to(crops.device) for name in SmplParameters._fields))


def make_predictor(
    files: tuple[Path, ...],
    runtime: str,
    version: str,
    metadata: str | None,
    outputs: Sequence[str],
    call: Callable[[np.ndarray], Sequence[np.ndarray]],
) -> FilePredictor:
    """The predictor of what a runtime has loaded. Raises `UserError` for a file that `export` has not written."""
    if metadata is None:
        raise UserError(f"{files[0]} was not exported by hmr-light: it does not say what it takes and gives", REMEDY)
    said = _checked(metadata, files[0])
    if missing := [name for name in SmplParameters._fields if name not in outputs]:
        raise UserError(f"{files[0]} gives no {', '.join(missing)}", REMEDY)
    return FilePredictor(files, runtime, version, tuple(outputs), call, said, said["crop"]["contrast"])


def cannot_read(path: Path, kind: str, error: Exception) -> UserError:
    """For whatever a runtime makes of a file that is damaged or of another kind."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"{path} cannot be read as an {kind} model: {reason}", "Copy or export it again.")


def _checked(text: str, path: Path) -> dict[str, Any]:
    """The metadata, if they say all that a reader needs."""
    try:
        content: dict[str, Any] = json.loads(text)
        number = content["format"]
        if isinstance(number, int) and number > FORMAT:
            raise UserError(f"{path} is an export of format {number}", "A newer hmr_light wrote it: update this one.")
        if content.get("kind") == FINDER:
            raise UserError(f"{path} finds people, and is no model of their bodies", "Name the file of a model.")
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
        raise UserError(f"the metadata of {path} cannot be read: {error!r}", REMEDY) from error
    if not sound:
        raise UserError(f"the metadata of {path} are not those of an export", REMEDY)
    return content
