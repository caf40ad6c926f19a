"""People in random poses for tests of what is drawn and written of them, and their silhouettes drawn independently."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body import SMPL
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.people import PredictedPeople
from hmr_light.deployment.runtime.predictions import draw_people

WIDTH, HEIGHT, CROP = 640, 427, 224


def random_people(body: SMPL, rng: np.random.Generator, focal: float, boxes: list[Box]) -> PredictedPeople:
    """People in random poses, upright, seen from any side."""
    count = len(boxes)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.25, (count * 24, 3))).as_matrix().reshape(count, 24, 3, 3)
    turned = Rotation.from_euler("xy", np.column_stack([np.full(count, np.pi), rng.uniform(-np.pi, np.pi, count)]))
    rotations[:, 0] = turned.as_matrix()
    camera = np.column_stack([rng.uniform(0.7, 0.95, count), rng.uniform(-0.1, 0.1, (count, 2))]).astype(np.float32)
    rotations, betas = rotations.astype(np.float32), rng.normal(size=(count, 10)).astype(np.float32)
    posed = body(torch.from_numpy(rotations), torch.from_numpy(betas))
    vertices, joints = (value.numpy() for value in posed)
    keypoints = rng.uniform(0, [WIDTH, HEIGHT, 1], (count, 17, 3)).astype(np.float32)
    scores = rng.uniform(0.3, 0.9, count).astype(np.float32)
    values = (rotations, betas, camera, vertices, joints, keypoints, scores)
    return PredictedPeople(WIDTH, HEIGHT, focal, CROP, boxes, *values)


def silhouette(pixels: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """Whether each pixel's centre is covered, from the projected triangles filled at eight times the resolution."""
    fine = np.zeros((8 * height, 8 * width), np.uint8)
    for triangle in np.round((8 * (pixels + 0.5) - 0.5)[faces] * 16).astype(np.int32):
        cv2.fillConvexPoly(fine, triangle, 1, shift=4)
    return cv2.resize(fine.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def painted(people: PredictedPeople, faces: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The people's share of each pixel that they are drawn on, from pictures over black and over white."""
    black, white = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    over = (draw_people(people, ground, faces)[:, :width].astype(float) for ground in (black, white))
    share = 1 + np.subtract(*over)[..., 0] / 255
    return share / max(share.max(), 1e-9)
