"""Rotations, SPIN's camera, Procrustes alignment: pure functions on tensors, batched, of any floating type."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize


def rot6d_to_matrix(rot6d: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) from 6D rotations (..., 6), by Gram-Schmidt (Zhou et al., CVPR 2019).

    The layout is SPIN's: the six numbers are the rows of a (3, 2) matrix, so elements 0, 2, 4 are its first column.
    """
    first, second = rot6d.unflatten(-1, (3, 2)).unbind(-1)
    x = normalize(first, dim=-1)
    y = normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def matrix_to_rot6d(rotations: torch.Tensor) -> torch.Tensor:
    """The 6D rotations (..., 6), in SPIN's layout, of rotation matrices (..., 3, 3)."""
    return rotations[..., :2].flatten(-2)


def axis_angle_to_matrix(axis_angle: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) from axis-angle vectors (..., 3) in radians (Rodrigues); smooth at zero."""
    # sin(a)/a and (1 - cos(a))/a² = (sin(a/2)/(a/2))²/2; torch.sinc(x) = sin(πx)/(πx) is exact at zero.
    turns = torch.linalg.vector_norm(axis_angle, dim=-1)[..., None, None] / torch.pi
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + torch.sinc(turns) * cross + 0.5 * torch.sinc(turns / 2) ** 2 * (cross @ cross)


def matrix_to_axis_angle(rotations: torch.Tensor) -> torch.Tensor:
    """Axis-angle vectors (..., 3), of length 0 to π, of rotation matrices (..., 3, 3); exact near 0 and near π."""
    r, identity = rotations, torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    trace = r.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
    skew = torch.stack((r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]), dim=-1)
    # 4 q qᵀ of the unit quaternion q = (w, x, y, z): of its rows, the one with the largest diagonal is q most exactly.
    first_row = torch.cat((1 + trace, skew), dim=-1)
    other_rows = torch.cat((skew[..., None], r + r.mT + (1 - trace)[..., None] * identity), dim=-1)
    outer = torch.cat((first_row[..., None, :], other_rows), dim=-2)
    largest = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*outer.shape[:-2], 1, 4)
    quaternion = normalize(outer.gather(-2, largest).squeeze(-2), dim=-1)
    cosine, vector = quaternion[..., :1].abs(), quaternion[..., 1:] * torch.where(quaternion[..., :1] < 0, -1.0, 1.0)
    sine = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    return vector * torch.where(sine > 0, 2 * torch.atan2(sine, cosine) / sine, 2.0)


def chordal_mean(rotations: torch.Tensor) -> torch.Tensor:
    """The mean (..., 3, 3) of rotation matrices (N, ..., 3, 3): the rotation nearest to their arithmetic mean.

    Minimises the sum of squared Frobenius distances (Hartley et al., "Rotation Averaging", IJCV 2013).
    """
    u, _, vh = torch.linalg.svd(rotations.mean(0))
    return (u * _proper(u, vh)) @ vh


def weak_perspective_translation(camera: torch.Tensor, focal: float = 5000.0, size: int = 224) -> torch.Tensor:
    """The translation (B, 3) in metres that stands for SPIN's weak-perspective `camera` (B, 3) = (s, tx, ty).

    `focal` and `size` (the side of the square crop) are in pixels.
    """
    scale, x, y = camera.unbind(-1)
    return torch.stack((x, y, 2 * focal / (size * scale + 1e-9)), dim=-1)


def project(points: torch.Tensor, translation: torch.Tensor, focal: float = 5000.0, size: int = 224) -> torch.Tensor:
    """Perspective projection of `points` (B, N, 3) moved by `translation` (B, 3), metres, onto the crop: (B, N, 2).

    The result is normalised to [-1, 1] over the crop; its principal point is the crop's centre (SPIN).
    """
    moved = points + translation[:, None]
    return moved[..., :2] / moved[..., 2:] * (focal / (size / 2))


def procrustes_align(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`source` (B, N, 3) moved onto `target` (B, N, 3) by each sample's best rotation, scale and translation.

    Least squares over proper rotations (Umeyama, PAMI 1991); reflections are not allowed. Flat, straight and coincident
    points are aligned too. Raises `torch.linalg.LinAlgError` for values that are not finite.
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    centred = source - source_mean
    u, singular, vh = torch.linalg.svd(centred.mT @ (target - target_mean))
    signs = _proper(u, vh)
    rotation = (u * signs) @ vh  # of row vectors
    variance = centred.square().sum((1, 2))
    # Coincident source points have no size that could be scaled: they all go to the target's mean.
    scale = (singular * signs.squeeze(-2)).sum(-1) / torch.where(variance > 0, variance, torch.ones_like(variance))
    return scale[:, None, None] * (centred @ rotation) + target_mean


def _proper(u: torch.Tensor, vh: torch.Tensor) -> torch.Tensor:
    """(..., 1, 3): the factors of `u`'s columns that make `u @ vh` a rotation rather than a reflection."""
    sign = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0).to(u.dtype)
    one = torch.ones_like(sign)
    return torch.stack((one, one, sign), dim=-1)[..., None, :]
