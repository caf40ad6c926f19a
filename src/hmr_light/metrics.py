"""Errors of predicted meshes in millimetres, by the protocol that 3DPW is scored with (SPIN's evaluation).

14 joints (LSP's) of the 17 that the Human3.6M regressor takes from each mesh, both meshes alike:
- MPJPE: mean distance of the joints after both pelvises (joint 0 of the 17) are moved to the origin;
- reconstruction error (PA-MPJPE): the same after the best rotation, scale and translation of each prediction;
- PVE: mean distance of the vertices after each mesh's pelvis is moved to the origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from hmr_light.body import SMPL
from hmr_light.body.joints import H36M_TO_J14
from hmr_light.geometry import procrustes_align

_J14 = list(H36M_TO_J14)
METRICS = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm")


@torch.no_grad()
def pose_errors(vertices: torch.Tensor, truth: torch.Tensor, body: SMPL) -> dict[str, torch.Tensor]:
    """The errors (B,) in mm of predicted `vertices` (B, V, 3) against `truth` (B, V, 3), metres, by the name of metric.

    In float64. A sample with a value that is not finite has NaN for errors.
    """
    return mesh_errors(vertices, truth, body.h36m_joints(vertices), body.h36m_joints(truth))


def mesh_errors(
    vertices: torch.Tensor, true_vertices: torch.Tensor, joints: torch.Tensor, true_joints: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The errors (B,) in mm of `vertices` (B, V, 3) and their 17 Human3.6M `joints` (B, 17, 3), metres; see above."""
    values = [value.double() for value in (vertices, true_vertices, joints, true_joints)]
    finite = torch.stack([value.flatten(1).isfinite().all(1) for value in values]).all(0)
    # An SVD does not take what is not finite: such samples go through as zeros, and come out as NaN.
    values = [torch.where(finite[:, None, None], value, 0.0) for value in values]
    vertices, true_vertices, joints, true_joints = values
    pelvis, true_pelvis = joints[:, :1], true_joints[:, :1]
    joints, true_joints = joints[:, _J14] - pelvis, true_joints[:, _J14] - true_pelvis
    errors = {
        "mpjpe_mm": _mean_distance_mm(joints, true_joints),
        "reconstruction_error_mm": _mean_distance_mm(procrustes_align(joints, true_joints), true_joints),
        "pve_mm": _mean_distance_mm(vertices - pelvis, true_vertices - true_pelvis),
    }
    return {name: torch.where(finite, value, torch.nan) for name, value in errors.items()}


class MetricSums:
    """Sums of errors over batches and processes, in float64: their means do not depend on how samples were divided.

    Lives on `device`, so that adding a batch does not wait for a GPU.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._sums = torch.zeros(len(METRICS) + 2, dtype=torch.float64, device=device)

    def add(self, errors: Mapping[str, torch.Tensor]) -> None:
        """Add the errors (B,) of a batch; a sample that has one that is not finite counts as dropped, and only so."""
        table = torch.stack([errors[name].double() for name in METRICS])
        finite = table.isfinite().all(0)
        counts = torch.stack((finite.sum(), (~finite).sum()))
        self._sums += torch.cat((torch.where(finite, table, 0.0).sum(1), counts)).to(self._sums.device)

    def pool(self, sum_over_processes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Add up all processes' sums, once and last; `sum_over_processes` gives the sum of a tensor over them."""
        self._sums = sum_over_processes(self._sums)

    @property
    def count(self) -> int:
        """Samples that the means are over."""
        return int(self._sums[-2])

    @property
    def dropped(self) -> int:
        """Samples left out, because an error of theirs is not finite."""
        return int(self._sums[-1])

    def means(self) -> dict[str, float]:
        """The mean errors in mm by the name of metric; NaN if there is no sample."""
        return dict(zip(METRICS, (self._sums[: len(METRICS)] / self._sums[-2]).tolist(), strict=True))


def _mean_distance_mm(points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return 1000 * torch.linalg.vector_norm(points - others, dim=-1).mean(-1)
