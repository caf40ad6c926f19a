"""Rotations, SPIN's camera, Procrustes alignment: pure functions on tensors, batched, of any floating type."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

# Of Procrustes alignment without an SVD, whose rounding error is some 1e-16 / gap.
NEWTON_STEPS = 8
SMALLEST_GAP = 1e-4
LARGEST_EXCESS = 1e-11
# Nearer to 0 than this, the sine and the cosine of half an angle have no gradient: the angle's would be infinite.
_LEAST = 1e-6


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


def rotation_angle(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The angles (...), radians, 0 to π, between rotation matrices (..., 3, 3): the geodesic distance.

    |R - S|² = 8 sin²(angle / 2) and trace(RᵀS) + 1 = 4 cos²(angle / 2): the sine is exact near 0, the cosine near π.
    The gradient is finite at both, too.
    """
    sine = ((first - second).square().sum((-2, -1)) / 8).clamp(min=_LEAST**2).sqrt()
    cosine = (((first * second).sum((-2, -1)) + 1) / 4).clamp(min=_LEAST**2).sqrt()
    return 2 * torch.atan2(sine, cosine)


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


def full_image_translation(
    camera: torch.Tensor, offset: torch.Tensor, side: torch.Tensor, focal: float
) -> torch.Tensor:
    """The translation (B, 3), metres, before the whole image's camera, of the crops' weak-perspective `camera` (B, 3).

    `offset` (B, 2) is from the image's centre to the box's, `side` (B,) the box's, and `focal` the whole image's, all
    in pixels (Li et al., "CLIFF", ECCV 2022, section 3.1).
    """
    scale, x, y = camera.unbind(-1)
    pixels = side * scale + 1e-9  # of two metres at the body's distance
    shift = 2 * offset / pixels[:, None]
    return torch.stack((x + shift[:, 0], y + shift[:, 1], 2 * focal / pixels), dim=-1)


def project(points: torch.Tensor, translation: torch.Tensor, focal: float = 5000.0, size: int = 224) -> torch.Tensor:
    """Perspective projection of `points` (B, N, 3) moved by `translation` (B, 3), metres, onto the crop: (B, N, 2).

    The result is normalised to [-1, 1] over the crop; its principal point is the crop's centre (SPIN).
    """
    moved = points + translation[:, None]
    return moved[..., :2] / moved[..., 2:] * (focal / (size / 2))


def procrustes_align(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`source` (B, N, 3) moved onto `target` (B, N, 3) by each sample's best rotation, scale and translation.

    Least squares over proper rotations (Umeyama, PAMI 1991); reflections are not allowed. Flat, straight and coincident
    points are aligned too. Computed in float64, given in the type of `source`. Raises `torch.linalg.LinAlgError` for
    values that are not finite.
    """
    points, goal = source.double(), target.double()
    goal_mean = goal.mean(1, keepdim=True)
    points = points - points.mean(1, keepdim=True)
    covariance = goal.mT @ points  # (B, 3, 3); what is centred on one side is centred
    rotation, fit, is_sound = _best_rotation(covariance)
    if not is_sound.all():
        rotation[~is_sound], fit[~is_sound] = _best_rotation_by_svd(covariance[~is_sound])
    variance = points.square().sum((1, 2))
    # Coincident source points have no size that could be scaled: they all go to the target's mean.
    scale = fit / torch.where(variance > 0, variance, 1.0)
    return torch.baddbmm(goal_mean, points, scale[:, None, None] * rotation.mT).to(source.dtype)


def _best_rotation(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rotations R (B, 3, 3) that maximise tr(R Bᵀ) for `covariance` B (B, 3, 3), float64; that maximum (B,); and
    whether they are sound (B,).

    Markley's fast optimal matrix algorithm (J. Astronautical Sciences 41(2), 1993): the maximum is the largest
    eigenvalue of the 4×4 matrix whose eigenvector is the rotation's quaternion (Horn, JOSA A 1987), found by Newton's
    method on its characteristic polynomial; the rotation follows from it without an eigenvector. Not sound where the
    best rotation is not, or hardly, unique: of straight points, and of flat ones that are mirrored.
    """
    norm = torch.linalg.matrix_norm(covariance)
    b = (covariance / norm[:, None, None]).permute(1, 2, 0).contiguous()  # (3, 3, B): every operation runs along B
    cofactors = torch.linalg.cross(b[[1, 2, 0]], b[[2, 0, 1]], dim=1)
    determinant = (b[0] * cofactors[0]).sum(0)
    cofactors_squared = cofactors.square().sum((0, 1))
    # Newton's method starts from above: (a + b + c)² ≤ a² + b² + c² + 2 √3 |(ab, bc, ca)| of singular values.
    fit = (1 + 2 * (3 * cofactors_squared).sqrt()).sqrt()
    for _ in range(NEWTON_STEPS):
        square = fit.square() - 1
        value = square.square() - 8 * fit * determinant - 4 * cofactors_squared
        fit = fit - value / (4 * fit * square - 8 * determinant)
    kappa = (fit.square() - 1) / 2
    gap = kappa * fit - determinant  # (a + b) (b + c) (c + a): zero where the best rotation is not unique
    gram = (b[:, None] * b).sum(2)
    rotation = ((kappa + 1) * b + fit * cofactors - (gram[:, :, None] * b).sum(1)) / gap
    # Where Newton's method has not converged, as near a double root, this is no rotation.
    excess = (rotation[:, None] * rotation).sum(2) - torch.eye(3, dtype=b.dtype, device=b.device)[:, :, None]
    is_sound = (gap > SMALLEST_GAP) & (excess.abs().amax((0, 1)) < LARGEST_EXCESS)
    return rotation.permute(2, 0, 1), fit * norm, is_sound


def _best_rotation_by_svd(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by singular values, sound for every covariance, and some ten times slower."""
    u, singular, vh = torch.linalg.svd(covariance)
    signs = _proper(u, vh)
    return (u * signs) @ vh, (singular * signs.squeeze(-2)).sum(-1)


def _proper(u: torch.Tensor, vh: torch.Tensor) -> torch.Tensor:
    """(..., 1, 3): the factors of `u`'s columns that make `u @ vh` a rotation rather than a reflection."""
    sign = torch.where(torch.linalg.det(u @ vh) < 0, -1.0, 1.0).to(u.dtype)
    one = torch.ones_like(sign)
    return torch.stack((one, one, sign), dim=-1)[..., None, :]
