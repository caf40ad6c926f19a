"""A model of crops in an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError
from .sessions import FILES, FINDER, check_outputs, open_file

OUTPUTS = ("rotations", "betas", "camera")


@dataclass(frozen=True)
class Model:
    """Crops → SMPL's parameters, on the CPU."""

    path: Path
    session: Any
    """`onnxruntime.InferenceSession`."""
    metadata: dict[str, Any]
    """What the file says of itself: see docs/deployment.md of hmr_light."""

    @property
    def image_size(self) -> int:
        """Side of the crops, pixels."""
        return int(self.metadata["input"]["size"])

    @property
    def contrast(self) -> str | None:
        """How the values of its crops are changed; see `crop_person`."""
        contrast = self.metadata.get("crop", {}).get("contrast")
        return None if contrast is None else str(contrast)

    @property
    def body_name(self) -> str | None:
        """The body that its betas are of; None where it is not known."""
        name = self.metadata.get("body", {}).get("trained_with")
        return None if name is None else str(name)

    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations (B, 24, 3, 3), betas (B, 10), camera (B, 3) of RGB crops uint8 (B, S, S, 3)."""
        given = self.metadata["input"]
        pixels = np.ascontiguousarray(crops)
        if given["type"] == "float32":
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        rotations, betas, camera = self.session.run(OUTPUTS, {given["name"]: pixels})
        return rotations, betas, camera


def load_model(source: str | Path = "pocket", threads: int = 1) -> Model:
    """The model in an ONNX file that `hmr-light export` has written, or the one that comes with this package.

    More `threads` than one help large networks alone. Raises `UserError` for a file that is missing, damaged or no
    model, and for a name that is not known.
    """
    path = Path(source).expanduser()
    if not path.suffix and not path.exists():
        names = sorted(file.stem for file in FILES.glob("*.onnx") if file.stem != FINDER)
        path = FILES / f"{source}.onnx"
        if path.stem not in names:
            known = f"one that comes with this package ({', '.join(names)}), or " if names else ""
            raise UserError(f"there is no model {source}", f"Name {known}a file that hmr-light export has written.")
    session, metadata = open_file(path, threads)
    if metadata.get("kind") == FINDER:
        raise UserError(f"{path} finds people, and is no model of their bodies", "Name the file of a model.")
    check_outputs(session, OUTPUTS, path)
    return Model(path, session, metadata)
