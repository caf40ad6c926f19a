"""Joints without the mesh: what the losses need of the body, at a small part of the mesh's cost.

A joint that is a weighted sum of posed vertices is linear in the skinning transforms and in the rest vertices, so its
weights can be folded into the skinning weights, the template, and the shape and pose directions once and for all:

    joint_k = Σ_v r_kv Σ_j w_vj (A_j v_v + t_j) = Σ_j A_j (Σ_v r_kv w_vj v_v) + t_j (Σ_v r_kv w_vj)

with v_v the vertex after shape and pose blend shapes, and (A_j, t_j) the transform of joint j relative to its rest
(Loper et al., "SMPL", SIGGRAPH Asia 2015, section 3). The same numbers as through the mesh but for rounding.
"""

from __future__ import annotations

import torch
from smplx.lbs import batch_rigid_transform
from torch import nn


class JointsOnly(nn.Module):
    """The 24 kinematic joints, then K joints that `regressor` (K, V) takes from the posed vertices.

    Vertices V: `template` (V, 3), `shapedirs` (V, 3, 10), `posedirs` (207, 3V), skinning `weights` (V, 24),
    `joint_regressor` (24, V), `parents` (24,). Metres.
    """

    rest: torch.Tensor
    rest_dirs: torch.Tensor
    base: torch.Tensor
    shape_dirs: torch.Tensor
    pose_dirs: torch.Tensor | None
    mass: torch.Tensor
    parents: torch.Tensor

    def __init__(
        self,
        template: torch.Tensor,
        shapedirs: torch.Tensor,
        posedirs: torch.Tensor,
        weights: torch.Tensor,
        joint_regressor: torch.Tensor,
        parents: torch.Tensor,
        regressor: torch.Tensor,
    ) -> None:
        super().__init__()
        dtype = template.dtype
        # Sums over thousands of vertices: once, so in float64.
        template, shapedirs, posedirs, weights, joint_regressor, regressor = (
            value.double() for value in (template, shapedirs, posedirs, weights, joint_regressor, regressor)
        )
        count, joints = len(regressor), weights.shape[1]
        folded = (regressor[:, None, :] * weights.T[None]).flatten(0, 1)  # (K·24, V)
        pose = posedirs.view(len(posedirs), -1, 3)
        pose_dirs = torch.einsum("kv,pvc->kcp", folded, pose) if posedirs.any() else None

        def keep(name: str, value: torch.Tensor | None) -> None:
            self.register_buffer(name, None if value is None else value.to(dtype), persistent=False)

        keep("rest", joint_regressor @ template)
        keep("rest_dirs", torch.einsum("jv,vcs->jcs", joint_regressor, shapedirs))
        keep("base", (folded @ template).view(count, joints, 3))
        keep("shape_dirs", torch.einsum("kv,vcs->kcs", folded, shapedirs).flatten(0, 1))
        keep("pose_dirs", None if pose_dirs is None else pose_dirs.flatten(0, 1))
        keep("mass", folded.sum(1).view(count, joints))
        self.register_buffer("parents", parents, persistent=False)

    def forward(self, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """Joints (B, 24 + K, 3), metres, for `rotations` (B, 24, 3, 3) and `betas` (B, 10)."""
        batch = len(rotations)
        rest = self.rest + torch.einsum("bs,jcs->bjc", betas, self.rest_dirs)
        posed, transforms = batch_rigid_transform(rotations, rest, self.parents, dtype=rotations.dtype)
        points = self.base + (betas @ self.shape_dirs.T).view(batch, *self.base.shape)
        if self.pose_dirs is not None:
            identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[:, 1:] - identity).flatten(1)
            points = points + (feature @ self.pose_dirs.T).view(batch, *self.base.shape)
        turned = torch.einsum("bjac,bkjc->bka", transforms[:, :, :3, :3], points)
        return torch.cat((posed, turned + self.mass @ transforms[:, :, :3, 3]), dim=1)
