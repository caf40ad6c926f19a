"""Errors of predicted joints and meshes, and their means over batches and processes.

- MPJPE: mean distance of the joints, after both bodies' roots are moved to the origin;
- reconstruction error (PA-MPJPE): the same after the best rotation, scale and translation of each prediction;
- PVE: mean distance of the vertices, after each mesh's own root is moved to the origin;
- PCK: the share of joints that are less than 150 mm off, and AUC: the mean of that share over the 31 thresholds
  0, 5, … 150 mm (Mehta et al., "MPI-INF-3DHP", 3DV 2017, section 5), root-aligned as MPJPE is.

Which joints, which root and which truth, a protocol says (`hmr_light.evaluation.protocols`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from hmr_light.geometry import procrustes_align
from hmr_light.tracking.records import SPREADS

METRICS = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm")
PCK_METRICS = ("mpjpe_mm", "reconstruction_error_mm", "pck150_percent", "auc_percent")
TITLES = {
    "mpjpe_mm": "MPJPE, mm",
    "reconstruction_error_mm": "reconstruction error, mm",
    "pve_mm": "PVE, mm",
    "pck150_percent": "PCK at 150 mm, %",
    "auc_percent": "AUC, %",
    "error_2d_percent": "reprojection error, % of the box",
    "pck2d_05_percent": "PCK@0.05, %",
    "pck2d_10_percent": "PCK@0.1, %",
}
"""Every metric, and its name for people."""

PCK_MM = 150.0
AUC_STEPS = 31


@torch.no_grad()
def pose_errors(
    joints: torch.Tensor,
    true_joints: torch.Tensor,
    vertices: torch.Tensor | None = None,
    true_vertices: torch.Tensor | None = None,
    pck_joints: Sequence[int] | None = None,
) -> dict[str, torch.Tensor]:
    """The errors (B,) of `joints` (B, J, 3) and `vertices` (B, V, 3) by the name of metric; without vertices, no PVE.

    Metres, relative to the body's root. PCK and AUC are over `pck_joints` alone, places among the J; None for all of
    them. In float64. A sample with a value that is not finite has NaN for errors.
    """
    given = [value.double() for value in (joints, true_joints, vertices, true_vertices) if value is not None]
    finite = torch.stack([value.flatten(1).isfinite().all(1) for value in given]).all(0)
    # Procrustes alignment does not take what is not finite: such samples go through as zeros, and come out as NaN.
    given = [torch.where(finite[:, None, None], value, 0.0) for value in given]
    joints, true_joints = given[:2]
    distances = _distances_mm(joints, true_joints)
    counted = distances if pck_joints is None else distances[:, list(pck_joints)]
    close = counted[:, :, None] < torch.linspace(0, PCK_MM, AUC_STEPS, dtype=torch.float64, device=distances.device)
    errors = {
        "mpjpe_mm": distances.mean(1),
        "reconstruction_error_mm": _distances_mm(procrustes_align(joints, true_joints), true_joints).mean(1),
        "pck150_percent": 100 * close[:, :, -1].double().mean(1),
        "auc_percent": 100 * close.double().mean((1, 2)),
    }
    if len(given) == 4:
        errors["pve_mm"] = _distances_mm(*given[2:]).mean(1)
    return {name: torch.where(finite, value, torch.nan) for name, value in errors.items()}


class MetricSums:
    """Sums of errors over batches and processes, in float64: their means do not depend on how samples were divided.

    Of the metrics named; lives on `device`, so that adding a batch does not wait for a GPU. With a number of `joints`,
    the spread is summed too.
    """

    def __init__(
        self, metrics: Sequence[str] = METRICS, device: torch.device | str = "cpu", joints: int | None = None
    ) -> None:
        self.metrics = tuple(metrics)
        self._sums = torch.zeros(len(self.metrics) + 2, dtype=torch.float64, device=device)
        # Of each joint of the predictions and of the labels: the sums of x, y, z and x² + y² + z², in metres.
        self._moments = torch.zeros(2, joints or 0, 4, dtype=torch.float64, device=device)

    def add(self, errors: Mapping[str, torch.Tensor], joints: Sequence[torch.Tensor] = ()) -> None:
        """Add the errors (B,) of a batch; a sample that has one that is not finite counts as dropped, and only so.

        `joints` are those of the predictions and of the labels, (B, J, 3) each, for the spread.
        """
        table = torch.stack([errors[name].double() for name in self.metrics])
        finite = table.isfinite().all(0)
        counts = torch.stack((finite.sum(), (~finite).sum()))
        self._sums += torch.cat((torch.where(finite, table, 0.0).sum(1), counts)).to(self._sums.device)
        if joints:
            points = torch.where(finite[:, None, None], torch.stack([one.double() for one in joints]), 0.0)
            squares = points.square().sum(-1, keepdim=True)
            self._moments += torch.cat((points, squares), dim=-1).sum(1).to(self._moments.device)

    def pool(self, sum_over_processes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Add up all processes' sums, once and last; `sum_over_processes` gives the sum of a tensor over them."""
        pooled = sum_over_processes(torch.cat((self._sums, self._moments.flatten())))
        self._sums, moments = pooled.tensor_split([len(self._sums)])
        self._moments = moments.view_as(self._moments)

    @property
    def count(self) -> int:
        """Samples that the means are over."""
        return int(self._sums[-2])

    @property
    def dropped(self) -> int:
        """Samples left out, because an error of theirs is not finite."""
        return int(self._sums[-1])

    def means(self) -> dict[str, float]:
        """The mean errors by the name of metric; NaN if there is no sample."""
        return dict(zip(self.metrics, (self._sums[: len(self.metrics)] / self._sums[-2]).tolist(), strict=True))

    def spread(self) -> dict[str, float]:
        """`spread_mm` and `spread_labels_mm`: how much predictions and labels vary over the images.

        A joint's standard deviation over the images is the root of its mean squared distance, in space, from its mean
        position; the body's root is at the origin. The spread is the mean of it over the joints, in millimetres, over
        the samples that `means` is over; NaN if there is none. A model that ignores its image has a spread of zero.
        Empty if the number of joints was not given.
        """
        if not self._moments.numel():
            return {}
        mean = self._moments / self._sums[-2]
        variance = mean[..., 3] - mean[..., :3].square().sum(-1)
        return dict(zip(SPREADS, (1000 * variance.clamp(min=0).sqrt().mean(1)).tolist(), strict=True))

    def by_joint(self) -> dict[str, float]:
        """The figures of single joints by their MLflow names; empty for errors that are means over joints."""
        return {}

    def figures(self) -> dict[str, float]:
        """The mean errors and the spread by name."""
        return self.means() | self.spread()


def _distances_mm(points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return 1000 * torch.linalg.vector_norm(points - others, dim=-1)
