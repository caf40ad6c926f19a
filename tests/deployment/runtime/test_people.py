"""What follows from the parameters: the same as the functions on tensors give."""

from __future__ import annotations

import numpy as np
import torch
from support.people import CROP, HEIGHT, WIDTH, random_people

from hmr_light.body import load_body
from hmr_light.deployment.runtime.boxes import box_of_corner
from hmr_light.deployment.runtime.people import CROP_FOCAL, axis_angle
from hmr_light.geometry import axis_angle_to_matrix, full_image_translation, project, weak_perspective_translation


def test_axis_angles_give_back_the_rotations() -> None:
    rng = np.random.default_rng()
    axes = rng.normal(size=(200, 3))
    angles = np.concatenate([rng.uniform(0, np.pi, 150), np.full(25, np.pi), 10.0 ** rng.uniform(-9, -2, 25)])
    vectors = axes / np.linalg.norm(axes, axis=1, keepdims=True) * angles[:, None]
    rotations = axis_angle_to_matrix(torch.from_numpy(vectors)).numpy()
    found = axis_angle(rotations)
    np.testing.assert_allclose(axis_angle_to_matrix(torch.from_numpy(found)).numpy(), rotations, atol=1e-12)
    assert np.linalg.norm(found, axis=1).max() <= np.pi + 1e-12
    assert np.array_equal(axis_angle(np.eye(3)[None]), np.zeros((1, 3)))


def test_places_are_those_of_the_functions_on_tensors() -> None:
    boxes = [box_of_corner(20, 30, 100, 200), box_of_corner(300, 5, 90, 350)]
    people = random_people(load_body(), np.random.default_rng(), 800.0, boxes)
    camera = torch.from_numpy(people.camera)
    in_crop = weak_perspective_translation(camera, CROP_FOCAL, CROP)
    np.testing.assert_allclose(people.crop_translation, in_crop.numpy(), rtol=1e-6)
    sides = torch.tensor([200 * box.scale for box in boxes])
    offsets = torch.tensor(np.array([box.center for box in boxes]) - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    whole = full_image_translation(camera, offsets.float(), sides, 800.0)
    np.testing.assert_allclose(people.translation, whole.numpy(), atol=1e-5)
    seen = project(torch.from_numpy(people.vertices), in_crop, CROP_FOCAL, CROP).numpy()
    pixels = [box.center + 100 * box.scale * one for box, one in zip(boxes, seen, strict=True)]
    np.testing.assert_allclose(people.in_image(people.vertices), pixels, atol=1e-3)
