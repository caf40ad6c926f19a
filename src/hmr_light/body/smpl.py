"""The body: smplx's SMPL layer with SPIN's 49 joints and the Human3.6M joints of the evaluation."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from smplx.body_models import SMPLLayer
from smplx.utils import Struct
from torch import nn

from hmr_light.body.files import EMBEDDED_BODY, find_body, read_body
from hmr_light.body.joints import SPIN_JOINTS_49
from hmr_light.body.joints_only import JointsOnly
from hmr_light.errors import UserError


class BodyOutput(NamedTuple):
    """A posed body: `vertices` (B, V, 3) and SPIN's 49 `joints` (B, 49, 3), in metres."""

    vertices: torch.Tensor
    joints: torch.Tensor


class SMPL(nn.Module):
    """A body in SMPL's format: shape and pose to vertices and joints.

    `arrays` are those of `read_body`. None of the body's numbers is part of the state dict: a checkpoint never contains
    the body, and says by `fingerprint` (sha256 of the arrays) which one it was trained with.
    """

    faces: torch.Tensor
    extra_regressor: torch.Tensor
    h36m_regressor: torch.Tensor
    spin_joints: torch.Tensor

    def __init__(self, arrays: dict[str, np.ndarray], name: str) -> None:
        super().__init__()
        self.name = name
        self.num_vertices = len(arrays["v_template"])
        self.fingerprint = fingerprint(arrays)
        # smplx announces on standard output that a body has 10 betas rather than 300.
        with contextlib.redirect_stdout(io.StringIO()):
            self.layer = SMPLLayer("", data_struct=Struct(**arrays))
        for module in self.layer.modules():
            for buffer_name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(buffer_name, buffer, persistent=False)
        self.register_buffer("faces", torch.from_numpy(arrays["f"]), persistent=False)
        self.register_buffer("extra_regressor", torch.from_numpy(arrays["J_regressor_extra"]), persistent=False)
        self.register_buffer("h36m_regressor", torch.from_numpy(arrays["J_regressor_h36m"]), persistent=False)
        self.register_buffer("spin_joints", torch.tensor(SPIN_JOINTS_49), persistent=False)
        self._joints_only: JointsOnly | None = None

    def forward(self, rotations: torch.Tensor, betas: torch.Tensor) -> BodyOutput:
        """Vertices (B, V, 3) and joints (B, 49, 3), metres, for `rotations` (B, 24, 3, 3) and `betas` (B, 10).

        Loper et al., "SMPL", SIGGRAPH Asia 2015, section 3. Always in the body's own precision: half precision, as
        autocast would have it, is millimetres off.
        """
        dtype = self.layer.v_template.dtype
        with torch.autocast(rotations.device.type, enabled=False):
            rotations, betas = rotations.to(dtype), betas.to(dtype)
            posed = self.layer(betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:])
            joints = torch.cat((posed.joints, self.extra_regressor @ posed.vertices), dim=1)
        return BodyOutput(posed.vertices, joints[:, self.spin_joints])

    def joints(self, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """The joints (B, 49, 3) of `forward` alone, without making the mesh: much faster, equal but for rounding."""
        dtype = self.layer.v_template.dtype
        with torch.autocast(rotations.device.type, enabled=False):
            return self.joints_only()(rotations.to(dtype), betas.to(dtype))[:, self.spin_joints]

    def joints_only(self) -> JointsOnly:
        """The joints as one module without the mesh: those that `spin_joints` chooses from."""
        if self._joints_only is None:
            self._joints_only = self._fold()
        return self._joints_only

    def _fold(self) -> JointsOnly:
        layer = self.layer
        picked = torch.zeros(len(layer.vertex_joint_selector.extra_joints_idxs), self.num_vertices)
        picked[range(len(picked)), layer.vertex_joint_selector.extra_joints_idxs] = 1
        return JointsOnly(
            layer.v_template,
            layer.shapedirs,
            layer.posedirs,
            layer.lbs_weights,
            layer.J_regressor,
            layer.parents,
            torch.cat((picked.to(self.extra_regressor), self.extra_regressor)),
        )

    def h36m_joints(self, vertices: torch.Tensor) -> torch.Tensor:
        """The 17 joints (B, 17, 3) of the Human3.6M regressor, metres, of `vertices` (B, V, 3)."""
        with torch.autocast(vertices.device.type, enabled=False):
            return self.h36m_regressor @ vertices.to(self.h36m_regressor.dtype)


def load_body(
    path: Path | str | None = None, *, extra_regressor: Path | None = None, h36m_regressor: Path | None = None
) -> SMPL:
    """The body in the file (or folder) `path`; None is the embedded one, which needs no registration.

    The regressors are npy files (9, V) and (17, V); without them, those in the body file or beside it are used.
    Raises `UserError` for files that are missing, damaged or not of SMPL's form.
    """
    if path is None:
        if extra_regressor or h36m_regressor:
            raise UserError(
                "the embedded body has its own joint regressors; SMPL's do not fit its vertices",
                "Leave body.extra_regressor and body.h36m_regressor out, or choose body=smpl.",
            )
        return SMPL(read_body(EMBEDDED_BODY), name="embedded")
    file = find_body(Path(path))
    return SMPL(read_body(file, extra_regressor, h36m_regressor), name=file.stem)


def fingerprint(arrays: dict[str, np.ndarray]) -> str:
    """The sha256, in hex, of the names, shapes and contents of `arrays`; the same for pickle and npz of one body."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
