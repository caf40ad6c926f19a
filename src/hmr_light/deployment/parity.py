"""Does an exported file, run by its own runtime, give what the model gives?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.errors import UserError
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors import SmplParameters
from hmr_light.paths import sample_photograph

BATCHES = (1, 3, 12, 16)
CROPS = sum(BATCHES)
MOST_IN_PARAMETERS = 1e-4
MOST_MM = 0.05
MOST_MEAN_MM = {"float16": 20.0, "codebook": 20.0, "int8": 200.0}
"""Of weights that are rounded: a coarse limit, for these crops are far from those that a model has learned from. One
rounding more or less in the first layers of an integer network can move a mesh there by centimetres."""
_REMEDY = "Nothing was written. Please report the backbone and the versions of torch and of the runtime."


@dataclass(frozen=True)
class Parity:
    """The greatest differences between a file and its model over `CROPS` crops."""

    parameters: float
    """Of a number in the rotation matrices, the betas and the camera."""
    millimetres: float
    """Of a vertex or a joint."""
    mean_mm: float
    """The mean distance of the vertices."""

    def check(self, precision: str = "float32") -> None:
        """Raise `UserError` where a limit is passed, or a value is not a number."""
        most = MOST_MEAN_MM.get(precision)
        if most is not None and not self.mean_mm <= most:
            raise UserError(
                f"the file does not see what the model sees: on {CROPS} crops the vertices are {self.mean_mm:.3g} mm "
                f"apart in the mean (at most {most:g})",
                _REMEDY,
            )
        if most is None and not (self.parameters <= MOST_IN_PARAMETERS and self.millimetres <= MOST_MM):
            raise UserError(
                f"the file does not give what the model gives: on {CROPS} crops it differs by {self.parameters:.1e} in "
                f"the parameters (at most {MOST_IN_PARAMETERS:.0e}) and {self.millimetres:.3g} mm (at most {MOST_MM})",
                _REMEDY,
            )


@torch.no_grad()
def measure_parity(predictor: FilePredictor, model: HMR, body: SMPL) -> Parity:
    """The differences between the file of `predictor` and `model`, which is in evaluation mode on the CPU.

    Distances are those of the meshes that `body` makes of both parameters, and of the joints and vertices in the file.
    """
    parameters = millimetres = total = 0.0
    for crops in torch.split(parity_crops(predictor.image_size), list(BATCHES)):
        values = {name: torch.from_numpy(value) for name, value in predictor.run(crops).items()}
        given = SmplParameters(*(values[name] for name in SmplParameters._fields))
        expected = model(normalize(crops))
        mesh, truth = body(given.rotations, given.betas), body(expected.rotations, expected.betas)
        pairs = [(mesh.vertices, truth.vertices), (mesh.joints, truth.joints)]
        pairs += [(values[name], getattr(truth, name)) for name in ("joints", "vertices") if name in values]
        parameters = max(parameters, *(_greatest(one - other) for one, other in zip(given, expected, strict=True)))
        millimetres = max(millimetres, *(1000 * _greatest((one - other).norm(dim=-1)) for one, other in pairs))
        total += 1000 * float((mesh.vertices - truth.vertices).norm(dim=-1).mean(1).sum())
    return Parity(parameters, millimetres, total / CROPS)


def parity_crops(size: int) -> torch.Tensor:
    """`CROPS` crops uint8 (N, 3, S, S), always the same: half of the package's photograph, in colours, half noise."""
    return torch.from_numpy(np.stack(list(_crops(size)))).permute(0, 3, 1, 2)


def _crops(size: int) -> Iterator[np.ndarray]:
    photograph = cv2.imread(str(sample_photograph()), cv2.IMREAD_COLOR_RGB)
    assert photograph is not None
    rng = np.random.default_rng(0)
    height, width = photograph.shape[:2]
    for number in range(CROPS):
        if number % 2:
            cells = rng.integers(0, 256, (2 + number, 2 + number, 3), dtype=np.uint8)
            yield cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
            continue
        center = rng.uniform(0.2, 0.8, 2) * (width, height)
        crop = crop_person(photograph, Box(center, rng.uniform(0.3, 1.2) * height / 200), size)
        yield (crop * rng.uniform(0.5, 1, 3)).astype(np.uint8)


def _greatest(differences: torch.Tensor) -> float:
    """The greatest absolute value; infinity where there is one that is not a number."""
    return float(differences.abs().nan_to_num(nan=torch.inf).max())
