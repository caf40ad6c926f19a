"""Protocols: what is compared with what when a model is scored. A figure without its protocol means nothing.

All of them score the neutral body that a model predicts, in the boxes that the annotations give, and take its joints
from the mesh by the Human3.6M regressor, whose joint 0, the pelvis, is the root. They differ in the truth, in the
joints and in the metrics (as SPIN's evaluation does them: Kolotouros et al., ICCV 2019, section 4):

- `lsp14`: the mesh of the labels, by the same body model; LSP's 14 joints; MPJPE, reconstruction error, PVE.
- `3dpw`: the same, but the truth is the man's or the woman's body, by the labels' gender. A neutral body for truth
  makes errors 5 to 8 mm smaller, and is another protocol.
- `h36m_p1`, `h36m_p2`: 14 of the joints that motion capture measured (the labels' `S`), relative to its pelvis; all
  four cameras, or the frontal one alone.
- `mpi_inf_3dhp`: 17 such joints, the pelvis among them; with PCK at 150 mm and AUC of 14 of them, those that the
  evaluation which comes with the test set groups (`mpii_get_pck_auc_joint_groups`): pelvis, spine and jaw are left out,
  and each joint weighs the same. Copies of an older version of it count all 17, which reads up to 2 points (PCK) and 5
  points (AUC) higher, since the pelvis is right by construction.
- `keypoints_2d` is of another kind, for sets with 2D labels alone: see `hmr_light.evaluation.keypoints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hmr_light.body import SMPL, load_body
from hmr_light.body.files import find_body
from hmr_light.body.joints import H36M_TO_J14, H36M_TO_J17, J24_TO_J14, J24_TO_J17
from hmr_light.config.registry import Registry
from hmr_light.data.annotations import Annotations
from hmr_light.errors import UserError
from hmr_light.evaluation.metrics import METRICS, PCK_METRICS, TITLES, MetricSums, pose_errors
from hmr_light.model.regressors.base import SmplParameters

DEFAULT = "lsp14"
FRONTAL_CAMERA = "60457274"
_PELVIS = 14  # of the labels' 24 joints; its place among the regressor's 17 is 0

protocols: Registry[Protocol] = Registry("protocol")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What a protocol compares; `Scorer` does it."""

    name: str
    truth: str
    """What the prediction is compared with, for people."""
    metrics: tuple[str, ...] = METRICS
    joints: tuple[int, ...] = H36M_TO_J14
    """The joints that count, among the 17 that the regressor takes from a mesh."""
    label_joints: tuple[int, ...] | None = None
    """The same among the 24 of the labels' `S`, where those are the truth; None where the labels' mesh is."""
    bodies: Mapping[str, Path] = field(default_factory=dict)
    """File or folder of the body that makes the truth, by the labels' gender; empty for the model's own body."""
    pck_joints: tuple[int, ...] | None = None
    """The joints that PCK and AUC are over, as places among `joints`; None for all of them."""
    camera: str | None = None
    """Only images with this in their name count; None for all."""

    def people(self, annotations: Annotations) -> np.ndarray:
        """Which of the people count, (K,) int64."""
        if self.camera is None:
            return np.arange(len(annotations))
        return np.flatnonzero(np.char.find(np.asarray(annotations.imgname), self.camera) >= 0)

    def check(self, name: str, annotations: Annotations) -> None:
        """Raise `UserError` if the set `name` lacks labels that the protocol needs."""
        people, remedy = self.people(annotations), "Choose another protocol (protocol=…), or leave these people out."
        if not len(people):
            raise UserError(f"protocol={self.name}: no image of {name} is of the camera {self.camera}", remedy)
        if self.label_joints is not None:
            if not np.asarray(annotations.S[people][:, self._needed(), 3]).all(1).any():
                raise UserError(
                    f"protocol={self.name} compares with measured joints; nobody in {name} has all of them",
                    "Convert the set again, or choose protocol=lsp14 for a set with SMPL labels.",
                )
        elif not annotations.has_smpl[people].all():
            raise UserError(
                f"{name} has people without SMPL pose and shape",
                "With 2D joints, choose protocol=keypoints_2d. Else evaluate on a set with SMPL labels, or train "
                "without validation: '~data.evaluation'.",
            )
        elif self.bodies and (unknown := int((~np.isin(annotations.gender[people], list(self.bodies))).sum())):
            raise UserError(
                f"protocol={self.name}: {unknown} of {len(people)} people in {name} have no gender",
                "The truth is the man's or the woman's body; without `gender` in the annotations it is not known.",
            )

    def describe(self) -> str:
        """One line for people."""
        metrics = ", ".join(TITLES[metric].split(",")[0] for metric in self.metrics)
        of_these = "" if self.pck_joints is None else f" (of {len(self.pck_joints)} joints)"
        return f"{self.name}: {len(self.joints)} joints, pelvis for root, truth: {self.truth}; {metrics}{of_these}"

    def scorer(self, body: SMPL, regressors: Mapping[str, Path | None] | None = None, *, image_size: int) -> Scorer:
        """Scores by this protocol; `image_size` is the side of the images that the model takes. See `Scorer`."""
        return Scorer(self, body, regressors)

    def _needed(self) -> list[int]:
        return sorted({_PELVIS, *(self.label_joints or ())})


class Pose(NamedTuple):
    """What is compared, of predictions and of labels: relative to the root, metres; of 2D labels, shares of the box."""

    joints: torch.Tensor
    """(B, J, 3); NaN for a person who lacks one. Of 2D labels (B, J, 2); NaN for a joint that is not labelled."""
    vertices: torch.Tensor | None
    """(B, V, 3)"""


class Scorer:
    """Scores predictions by a protocol: holds the bodies that this takes, on one device.

    `body` is the one whose parameters the model predicts. Raises `UserError` if the protocol's own bodies are missing,
    or have another mesh.
    """

    def __init__(self, protocol: Protocol, body: SMPL, regressors: Mapping[str, Path | None] | None = None) -> None:
        self.protocol = protocol
        self.body = body
        self._joints = list(protocol.joints)
        self._bodies = {gender: self._load(gender, path, regressors or {}) for gender, path in protocol.bodies.items()}

    def truth(self, batch: Mapping[str, torch.Tensor], gender: np.ndarray) -> Pose:
        """The truth of a batch of samples (see `MeshDataset`); `gender` (B,) is the annotations'."""
        if (labels := self.protocol.label_joints) is not None:
            joints = batch["joints_3d"].double()
            complete = (joints[:, self.protocol._needed(), 3] > 0).all(1)
            relative = joints[:, list(labels), :3] - joints[:, _PELVIS, None, :3]
            return Pose(torch.where(complete[:, None, None], relative, torch.nan), None)
        vertices = self._true_vertices(batch["pose"], batch["betas"], gender)
        return Pose(*self._from_root(vertices))

    def errors(self, parameters: SmplParameters, truth: Pose) -> dict[str, torch.Tensor]:
        """The errors (B,) of predicted `parameters`, by the protocol's metrics; NaN where one cannot be had."""
        return self.compare(self.predicted(parameters), truth)

    def predicted(self, parameters: SmplParameters) -> Pose:
        """What `parameters` say, for `compare`."""
        return Pose(*self._from_root(self.body(parameters.rotations.float(), parameters.betas.float()).vertices))

    def compare(self, predicted: Pose, truth: Pose) -> dict[str, torch.Tensor]:
        """The errors (B,) of `predicted`, by the protocol's metrics; NaN where one cannot be had."""
        vertices = predicted.vertices if truth.vertices is not None else None
        errors = pose_errors(predicted.joints, truth.joints, vertices, truth.vertices, self.protocol.pck_joints)
        return {metric: errors[metric] for metric in self.protocol.metrics}

    def for_boxes(self, factor: float) -> Scorer:
        """For people whose boxes were made `factor` times as large. Nothing in 3D depends on it."""
        return self

    def new_sums(self) -> MetricSums:
        """Where the errors of all people are added up."""
        return MetricSums(self.protocol.metrics, self.body.faces.device, len(self.protocol.joints))

    def _true_vertices(self, pose: torch.Tensor, betas: torch.Tensor, gender: np.ndarray) -> torch.Tensor:
        if not self._bodies:
            return self.body(pose, betas).vertices
        man, woman = (self._bodies[one](pose, betas).vertices for one in ("m", "f"))
        return torch.where(torch.from_numpy(gender == "f").to(man.device)[:, None, None], woman, man)

    def _from_root(self, vertices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The joints that count and the vertices of meshes (B, V, 3), relative to each mesh's pelvis; float64."""
        # By one regressor for all bodies: where bodies differ, the way to find their joints must not.
        joints, vertices = self.body.h36m_joints(vertices).double(), vertices.double()
        return joints[:, self._joints] - joints[:, :1], vertices - joints[:, :1]

    def _load(self, gender: str, path: Path, regressors: Mapping[str, Path | None]) -> SMPL:
        word = {"m": "male", "f": "female"}[gender]
        try:
            body = load_body(find_body(path, word), **regressors)
        except UserError as error:
            raise UserError(
                f"protocol={self.protocol.name} needs SMPL's {word} body for its truth: {error.message}",
                f"Name the file: protocol.{word}=FILE. SMPL for Python has it (https://smpl.is.tue.mpg.de); "
                "protocol=lsp14 does without, and is another protocol.",
            ) from error
        if body.num_vertices != self.body.num_vertices or not torch.equal(body.faces, self.body.faces.cpu()):
            raise UserError(
                f"protocol={self.protocol.name}: the mesh of {path} is not that of the body '{self.body.name}'",
                "Predict with SMPL's neutral body: body=smpl.",
            )
        return body.to(self.body.faces.device)


def build_protocol(config: Mapping[str, Any]) -> Protocol:
    """The protocol that `config` describes (see `conf/protocol/`). Raises `UserError` for an unknown name or option."""
    return protocols.build(config)


@protocols.register("lsp14")
def lsp14() -> Protocol:
    """The labels' mesh by the model's own body; LSP's 14 joints."""
    return Protocol(name="lsp14", truth="the labels' mesh by the same body")


@protocols.register("3dpw")
def pw3d(*, male: str | Path, female: str | Path) -> Protocol:
    """3DPW's test: the labels' mesh by the man's or the woman's body, each a file or a folder with such a body."""
    bodies = {"m": Path(male), "f": Path(female)}
    return Protocol(name="3dpw", truth="the labels' mesh by the body of their gender", bodies=bodies)


@protocols.register("h36m_p1")
def h36m_p1() -> Protocol:
    """Human3.6M's protocol 1: S9 and S11, all four cameras."""
    return Protocol(
        name="h36m_p1", truth="measured joints", metrics=METRICS[:2], joints=H36M_TO_J14, label_joints=J24_TO_J14
    )


@protocols.register("h36m_p2")
def h36m_p2() -> Protocol:
    """Human3.6M's protocol 2: S9 and S11, the frontal camera."""
    truth = "measured joints, frontal camera"
    return Protocol(name="h36m_p2", truth=truth, metrics=METRICS[:2], label_joints=J24_TO_J14, camera=FRONTAL_CAMERA)


@protocols.register("mpi_inf_3dhp")
def mpi_inf_3dhp() -> Protocol:
    """MPI-INF-3DHP's test: 17 joints; PCK and AUC of 14, without pelvis, spine and jaw."""
    return Protocol(
        name="mpi_inf_3dhp",
        truth="measured joints",
        metrics=PCK_METRICS,
        joints=H36M_TO_J17,
        label_joints=J24_TO_J17,
        pck_joints=tuple(range(14)),
    )
