"""Cloth and hair that stand off the body: eased tops and trousers, and skirts and coat tails that hang free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.mesh import Mesh, Person, skin
from hmr_light.data.synthetic.outfit import Outfit, Tail

_COLUMNS, _LEVELS = 32, 40
_NEAREST = 6


def hair_region(outfit: Outfit, landmarks: BodyLandmarks, place: np.ndarray) -> np.ndarray:
    """Which of the places (N, 3) of the head are under hair."""
    y, z = place[:, 1], place[:, 2]
    forehead, nape = outfit.hairline
    behind = z < landmarks.ear_z + 0.015
    return ((y > landmarks.eyes[0, 1] + forehead) | behind) & (y > landmarks.nose[1] + nape)


def standoff(outfit: Outfit, landmarks: BodyLandmarks, place: np.ndarray) -> np.ndarray:
    """How far, metres, what is worn stands off the skin at places (N, 3) of the rest pose; (N,). Widest at the hems."""
    x, y = np.abs(place[:, 0]), place[:, 1]
    arm = (x > landmarks.shoulder_x) & (y > landmarks.armpit_y)
    off = np.zeros(len(place))
    legs = ~arm & (y < landmarks.waist_y) & (y > outfit.bottom_y)
    down = (landmarks.hip_y - y) / (landmarks.hip_y - outfit.bottom_y)
    off[legs] = outfit.bottom_ease * np.clip(0.2 + 0.8 * down, 0.2, 1)[legs]
    trunk = ~arm & (y > outfit.hem_y) & (y < outfit.neckline_y)
    down = (landmarks.neck_y - y) / (landmarks.neck_y - landmarks.waist_y)
    off[trunk] = np.maximum(off, outfit.top_ease * np.clip(down, 0, 1))[trunk]
    sleeve = arm & (x < outfit.sleeve_x)
    along = (x - landmarks.shoulder_x) / (landmarks.elbow_x - landmarks.shoulder_x)
    off[sleeve] = outfit.top_ease * np.clip(0.3 + 0.5 * along, 0.3, 1)[sleeve]
    if outfit.hair is not None:
        head = (y > landmarks.neck_y + 0.02) & (x < landmarks.shoulder_x * 0.8)
        off[head & hair_region(outfit, landmarks, place)] = outfit.hair_ease
    return off


@dataclass(frozen=True)
class Drape:
    """A tube around hips and legs of the rest pose, from the waist to the ankles, of which tails are cut.

    L levels from top to bottom, C columns around from the back by the left.
    """

    place: np.ndarray
    """(L, C, 3) on the convex hull of the body's mean shape, metres."""
    outward: np.ndarray
    """(C, 3) unit vectors."""
    angle: np.ndarray
    """(C,) radians from the back."""
    shapedirs: np.ndarray
    """(L, C, 3, 10) how it moves with the shape: as the skin next to it."""
    weights: np.ndarray
    """(24, L, C) skinning weights: of the pelvis, and further down of both legs, of the nearer one more."""

    @classmethod
    def of(cls, mesh: Mesh, landmarks: BodyLandmarks) -> Drape:
        """Measure a body."""
        skin_ = np.flatnonzero((np.abs(mesh.template[:, 0]) < 0.3) & (mesh.template[:, 1] < landmarks.waist_y + 0.1))
        points = mesh.template[skin_]
        angle = 2 * np.pi * np.arange(_COLUMNS) / _COLUMNS
        outward = np.stack([np.sin(angle), np.zeros(_COLUMNS), -np.cos(angle)], 1)
        levels = np.linspace(landmarks.waist_y + 0.03, landmarks.ankle_y, _LEVELS)
        centre = np.array([0, 0, points[:, 2].mean()])
        radius = np.zeros((_LEVELS, _COLUMNS))
        for k, y in enumerate(levels):
            near = points[np.abs(points[:, 1] - y) < 0.03] - centre
            radius[k] = (near @ outward.T).max(0)
            if k:  # cloth does not follow where the body goes in again
                radius[k] = np.maximum(radius[k], 0.99 * radius[k - 1])
        place = centre + radius[..., None] * outward
        place[..., 1] = levels[:, None]
        squared = ((place.reshape(-1, 1, 3) - points) ** 2).sum(-1)
        # A symmetric body has ties, which are decided here by the vertex' number, not by the last bit of a distance.
        order = np.round(squared * 2**24).astype(np.int64) * len(points) + np.arange(len(points))
        nearest = skin_[np.argpartition(order, _NEAREST, axis=1)[:, :_NEAREST]]
        shapedirs = mesh.shapedirs.reshape(-1, 3, 10)[nearest].mean(1).reshape(*radius.shape, 3, 10)

        leg = 0.85 * _ramp((landmarks.hip_y + 0.1 - place[..., 1]) / 0.35)
        knee = 0.6 * _ramp((landmarks.knee_y + 0.1 - place[..., 1]) / 0.25)
        left = _ramp(place[..., 0] / 0.26 + 0.5)
        weights = np.zeros((24, *radius.shape))
        weights[0] = 1 - leg
        for side, hip_joint, knee_joint in ((left, 1, 4), (1 - left, 2, 5)):
            weights[hip_joint], weights[knee_joint] = leg * side * (1 - knee), leg * side * knee
        return cls(place, outward, angle, shapedirs, weights)

    def cut(
        self, tail: Tail, person: Person, betas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """A tail as `person` wears it: points, normals, places (N, 3) and faces (F, 3), with an outside and an inside.

        Points and normals are in the person's frame, metres; places are those of the rest pose.
        """
        top, bottom = self.place[0, 0, 1], self.place[-1, 0, 1]
        last = round((_LEVELS - 1) * (top - tail.hem_y) / (top - bottom))
        rows = np.unique(np.linspace(0, np.clip(last, 4, _LEVELS - 1), 12).round().astype(int))
        place = self.place[rows]
        number, phase, depth = tail.pleats
        below = top - place[..., 1]
        # Over bent hips cloth rests on the thighs and does not flare.
        trunk, thighs = person.transforms[0, :, 1], person.transforms[1:3, :, 1]
        flare = tail.flare * np.clip((thighs @ trunk).mean(), 0.1, 1)
        width = tail.ease + flare * below * (1 + depth * np.cos(number * self.angle + phase))
        points = place + self.shapedirs[rows] @ betas + width[..., None] * self.outward
        points, _ = skin(
            person.transforms, self.weights[:, rows].reshape(24, -1), points.reshape(-1, 3), points.reshape(-1, 3)
        )
        grid = points.reshape(place.shape)
        around, down = np.roll(grid, -1, 1) - np.roll(grid, 1, 1), np.gradient(grid, axis=0)
        normals = np.cross(around, down)
        normals /= np.sqrt((normals**2).sum(-1, keepdims=True)) + 1e-9
        faces = self._faces(len(rows), tail.opening)
        outside, inside = faces, faces[:, ::-1] + len(points)
        flat = normals.reshape(-1, 3)
        return (
            np.concatenate([points, points]),
            np.concatenate([flat, -flat]),
            np.tile(place.reshape(-1, 3), (2, 1)),
            np.concatenate([outside, inside]),
        )

    def _faces(self, rows: int, opening: float) -> np.ndarray:
        """Triangles (F, 3) between `rows` levels, without those in front of the `opening`, outward side first."""
        column = np.flatnonzero(np.abs(self.angle - np.pi) >= opening) if opening else np.arange(_COLUMNS)
        row = np.arange(rows - 1)[:, None] * _COLUMNS
        here, right = row + column, row + (column + 1) % _COLUMNS
        quads = np.stack([here, right, right + _COLUMNS, here + _COLUMNS], -1).reshape(-1, 4)
        return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _ramp(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    clipped = np.clip(value, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)
