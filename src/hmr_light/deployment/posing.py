"""The body as a graph of few operations without control flow, which every runtime has: parameters → joints, mesh.

The same linear blend skinning as `hmr_light.body` (Loper et al., "SMPL", SIGGRAPH Asia 2015, section 3), equal but for
rounding. The transforms of the kinematic tree are composed by doubling: after k steps each joint holds the product of
2^k transforms on its way to the root, so that four steps serve the 24 joints.
"""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.body import SMPL


class PosedBody(nn.Module):
    """Rotations (B, 24, 3, 3) and betas (B, 10) → SPIN's 49 joints (B, 49, 3) and, `with_mesh`, vertices; metres."""

    parents: torch.Tensor
    """(23,): of all joints but the root."""
    hops: torch.Tensor
    """(4, 25): in each step, whose transform stands before each joint's; the last is the identity."""
    order: torch.Tensor

    def __init__(self, body: SMPL, *, with_mesh: bool) -> None:
        super().__init__()
        self.points = body.joints_only()
        self.layer = body.layer if with_mesh else None
        self.is_posed = bool(body.layer.posedirs.any())
        parents = body.layer.parents[1:]
        self.register_buffer("parents", parents, persistent=False)
        self.register_buffer("hops", _hops(parents.tolist()), persistent=False)
        self.register_buffer("order", body.spin_joints, persistent=False)

    def forward(self, rotations: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, ...]:
        points = self.points
        rest = points.rest + torch.einsum("bs,jcs->bjc", betas, points.rest_dirs)
        turned, posed = self._transforms(rotations, rest)
        moved = posed - (turned @ rest[..., None])[..., 0]
        bent = (rotations[:, 1:] - torch.eye(3)).flatten(1)
        base = points.base + (betas @ points.shape_dirs.T).unflatten(1, points.base.shape)
        if points.pose_dirs is not None:
            base = base + (bent @ points.pose_dirs.T).unflatten(1, points.base.shape)
        others = torch.einsum("bjac,bkjc->bka", turned, base) + points.mass @ moved
        joints = torch.cat((posed, others), dim=1).index_select(1, self.order)
        if self.layer is None:
            return (joints,)
        layer = self.layer
        vertices = layer.v_template + torch.einsum("bs,vcs->bvc", betas, layer.shapedirs)
        if self.is_posed:
            vertices = vertices + (bent @ layer.posedirs).unflatten(1, (-1, 3))
        blended = layer.lbs_weights @ torch.cat((turned, moved[..., None]), dim=-1).flatten(2)
        blended = blended.unflatten(2, (3, 4))
        return joints, (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]

    def _transforms(self, rotations: torch.Tensor, rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The global rotation (B, 24, 3, 3) and place (B, 24, 3) of each joint, whose place at rest is `rest`."""
        offsets = torch.cat((rest[:, :1], rest[:, 1:] - rest.index_select(1, self.parents)), dim=1)
        ends = torch.cat((torch.eye(3), torch.zeros(3, 1)), dim=1).expand(rotations.shape[0], 1, 3, 4)
        chain = torch.cat((torch.cat((rotations, offsets[..., None]), dim=-1), ends), dim=1)
        for hop in self.hops:
            before = chain.index_select(1, hop)
            turned, moved = before[..., :3] @ chain, before[..., 3:]
            chain = torch.cat((turned[..., :3], turned[..., 3:] + moved), dim=-1)
        return chain[:, :-1, :, :3], chain[:, :-1, :, 3]


def _hops(parents: list[int]) -> torch.Tensor:
    """The steps of the doubling, from the parents of all joints but the root, until each way has come to its end."""
    end = len(parents) + 1
    steps, before = [], [end, *parents, end]
    while set(before) != {end}:
        steps.append(before)
        before = [before[one] for one in before]
    return torch.tensor(steps)
