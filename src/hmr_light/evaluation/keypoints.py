"""The protocol `keypoints_2d`: projected joints against 2D labels, for sets that have no 3D ground truth.

As HMR 2.0 is scored on COCO and LSP (Goel et al., "Humans in 4D", ICCV 2023, section 5.1; `EvaluatorPCK` of its code):
a joint is labelled if its confidence is above 0.5, its error is the distance in the image as a share of the longer side
of the person's box, PCK@t is the share of labelled joints whose error is less than t, taken joint by joint over all
people, and the figure is the mean over the joints that anybody has a label of. The reprojection error is the mean of
the errors, averaged in the same way.

What differs:

- The box. Theirs is the `scale` of their files, as it is. Annotations here have boxes with a margin of 1.2, which
  `margin` takes off again; with a file of theirs (`prepare source=hmr2_npz`) give `protocol.margin=1`.
- The joints. Theirs are the 44 of their files (OpenPose's 25 and 19 more; COCO's 17 stand among OpenPose's). Here they
  are the 24 of `part`, among which COCO's hips are LSP's; `labels=openpose` or `all` takes the others.
- The crop that the model sees is the annotated box, square, without another margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import Annotations
from hmr_light.errors import UserError
from hmr_light.evaluation.metrics import TITLES, MetricSums
from hmr_light.evaluation.protocols import Pose, Protocol, Scorer, protocols
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.regressors.base import SmplParameters

METRICS_2D = ("error_2d_percent", "pck2d_05_percent", "pck2d_10_percent")
THRESHOLDS = {"pck2d_05_percent": 0.05, "pck2d_10_percent": 0.1}
"""Shares of the box's longer side."""
PER_JOINT = "pck2d_10_percent"
"""The metric that runs have of every joint."""
CONFIDENCE = 0.5
"""A label counts above this."""

_ALL = (*(f"openpose_{name}" for name in OPENPOSE25_NAMES), *J24_NAMES)
_PLACES = {"part": range(25, 49), "openpose": range(25), "all": range(49)}
"""Which of SPIN's 49 joints each choice of labels has."""


@dataclass(frozen=True, kw_only=True)
class KeypointProtocol(Protocol):
    """Which 2D labels count, and how much larger than the person the annotated boxes are."""

    labels: str
    margin: float

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The names of the joints that count."""
        return OPENPOSE25_NAMES if self.labels == "openpose" else tuple(_ALL[place] for place in self.joints)

    def people(self, annotations: Annotations) -> np.ndarray:
        """Which of the people have a labelled joint, (K,) int64."""
        labelled = {key: (np.asarray(getattr(annotations, key))[..., 2] > CONFIDENCE).any(1) for key in self._keys()}
        return np.flatnonzero(np.any(list(labelled.values()), axis=0))

    def check(self, name: str, annotations: Annotations) -> None:
        """Raise `UserError` if nobody in the set `name` has a labelled joint."""
        if len(self.people(annotations)):
            return
        other = "part" if self.labels == "openpose" else "openpose"
        remedy = "Give annotations with 2D keypoints (see data/README.md), or choose protocol=lsp14 for SMPL labels."
        if self.labels != "all" and (np.asarray(getattr(annotations, other))[..., 2] > CONFIDENCE).any():
            remedy = f"It has such joints in '{other}': protocol.labels={other}."
        raise UserError(
            f"protocol={self.name} compares with 2D joints; nobody in {name} has one in '{' or '.join(self._keys())}' "
            f"whose confidence is above {CONFIDENCE}",
            remedy,
        )

    def describe(self) -> str:
        """One line for people."""
        metrics = ", ".join(TITLES[metric].split(",")[0] for metric in self.metrics)
        return f"{self.name}: {len(self.joints)} joints, truth: {self.truth}; {metrics}"

    def scorer(
        self, body: SMPL, regressors: Mapping[str, Path | None] | None = None, *, image_size: int
    ) -> KeypointScorer:
        """Scores by this protocol."""
        return KeypointScorer(self, body, image_size)

    def _keys(self) -> tuple[str, ...]:
        return ("part", "openpose") if self.labels == "all" else (self.labels,)


class KeypointScorer(Scorer):
    """Compares projected joints with 2D labels, both as shares of the longer side of the person's tight box.

    The camera is that of the losses, on crops of `image_size` pixels.
    """

    protocol: KeypointProtocol

    def __init__(self, protocol: KeypointProtocol, body: SMPL, image_size: int) -> None:
        super().__init__(protocol, body)
        self._image_size = image_size

    def truth(self, batch: Mapping[str, torch.Tensor], gender: np.ndarray) -> Pose:
        """The labelled joints (B, J, 2); NaN where there is no label."""
        points = batch["keypoints_2d"][:, self._joints].double()
        labelled = points[..., 2:] > CONFIDENCE
        return Pose(self._share(torch.where(labelled, points[..., :2], torch.nan)), None)

    def predicted(self, parameters: SmplParameters) -> Pose:
        """The projected joints (B, J, 2)."""
        joints = self.body.joints(parameters.rotations.float(), parameters.betas.float())[:, self._joints]
        translation = weak_perspective_translation(parameters.camera.float(), size=self._image_size)
        return Pose(self._share(project(joints, translation, size=self._image_size).double()), None)

    def compare(self, predicted: Pose, truth: Pose) -> dict[str, torch.Tensor]:
        """The errors (B, J) of each joint, by the protocol's metrics, percent.

        NaN where there is no label; infinite where the prediction is not finite.
        """
        distances = torch.linalg.vector_norm(predicted.joints - truth.joints, dim=-1)
        labelled = truth.joints.isfinite().all(-1)
        distances = torch.where(labelled, distances.nan_to_num(nan=torch.inf), torch.nan)
        errors = {"error_2d_percent": 100 * distances}
        for metric, threshold in THRESHOLDS.items():
            close = torch.where(distances < threshold, 100.0, 0.0).double()
            errors[metric] = torch.where(distances.isfinite(), close, distances)
        return errors

    def errors(self, parameters: SmplParameters, truth: Pose) -> dict[str, torch.Tensor]:
        """Each person's means (B,) over the labelled joints; NaN where there is none."""
        return {name: value.nanmean(1) for name, value in self.compare(self.predicted(parameters), truth).items()}

    def for_boxes(self, factor: float) -> KeypointScorer:
        """For people whose boxes were made `factor` times as large: the unit stays the tight box."""
        protocol = replace(self.protocol, margin=self.protocol.margin * factor)
        return KeypointScorer(protocol, self.body, self._image_size)

    def new_sums(self) -> KeypointSums:
        return KeypointSums(self.protocol.joint_names, self.body.faces.device)

    def _share(self, points: torch.Tensor) -> torch.Tensor:
        """Points of the crop, from -1 to 1 over the annotated box, in units of the tight box's longer side."""
        return points * self.protocol.margin / 2


class KeypointSums(MetricSums):
    """Sums of the errors of each joint, over batches and processes. Means are means over the joints' own means."""

    def __init__(self, joint_names: Sequence[str], device: torch.device | str = "cpu") -> None:
        super().__init__(METRICS_2D, device)
        self.joint_names = tuple(joint_names)
        # Of each joint: the sums by metric, and how many people have a label of it.
        self._joints = torch.zeros(len(METRICS_2D) + 1, len(self.joint_names), dtype=torch.float64, device=device)

    def add(self, errors: Mapping[str, torch.Tensor], joints: Sequence[torch.Tensor] = ()) -> None:
        """Add the errors (B, J) of a batch. Whoever has no label, or a prediction that is not finite, is dropped."""
        table = torch.stack([errors[name].double() for name in self.metrics])
        labelled = ~table[0].isnan()
        kept = labelled.any(1) & ~table.isinf().any(-1).any(0)
        counted = labelled & kept[:, None]
        values = torch.where(counted, table, 0.0).sum(1)
        self._joints += torch.cat((values, counted.sum(0, keepdim=True))).to(self._joints.device)
        self._sums[-2:] += torch.stack((kept.sum(), (~kept).sum())).to(self._sums.device)

    def pool(self, sum_over_processes: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Add up all processes' sums, once and last."""
        pooled = sum_over_processes(torch.cat((self._sums, self._joints.flatten())))
        self._sums, joints = pooled.tensor_split([len(self._sums)])
        self._joints = joints.view_as(self._joints)

    def means(self) -> dict[str, float]:
        """By metric: the mean over the joints that anybody has a label of; NaN if there is none."""
        return dict(zip(self.metrics, self._of_joints()[:-1].nanmean(1).tolist(), strict=True))

    def per_joint(self) -> dict[str, dict[str, float]]:
        """The means of each joint that anybody has a label of, by its name: every metric, and `people`."""
        names = (*self.metrics, "people")
        columns = zip(self.joint_names, self._of_joints().T.tolist(), strict=True)
        return {joint: dict(zip(names, values, strict=True)) for joint, values in columns if values[-1]}

    def by_joint(self) -> dict[str, float]:
        """Each joint's PCK@0.1: `joints/right_ankle_pck2d_10_percent`, …"""
        return {f"joints/{joint}_{PER_JOINT}": values[PER_JOINT] for joint, values in self.per_joint().items()}

    def _of_joints(self) -> torch.Tensor:
        """(metrics + 1, J): each joint's means, NaN where there is no label; then the number of labels."""
        return torch.cat((self._joints[:-1] / self._joints[-1], self._joints[-1:]))


@protocols.register("keypoints_2d")
def keypoints_2d(*, labels: Literal["part", "openpose", "all"], margin: float) -> KeypointProtocol:
    """2D labels: `part`, `openpose` or both, in boxes that are `margin` times as large as the tight ones."""
    if not 0 < margin < 100:
        raise UserError(f"protocol.margin={margin:g} is no factor of a box", "Give 1.2, or 1 for tight boxes.")
    return KeypointProtocol(
        name="keypoints_2d",
        truth=f"2D labels in {' and '.join(('part', 'openpose') if labels == 'all' else (labels,))}",
        metrics=METRICS_2D,
        joints=tuple(_PLACES[labels]),
        labels=labels,
        margin=margin,
    )
