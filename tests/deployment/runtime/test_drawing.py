"""Meshes drawn over an image hide one another by their depths."""

from __future__ import annotations

import numpy as np

from hmr_light.deployment.runtime.drawing import MeshView, draw


def test_the_nearer_person_hides_the_farther_one_and_the_nearer_limb_the_farther() -> None:
    square = np.array([[10, 10], [50, 10], [50, 50], [10, 50]], float)
    faces = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 2], [0, 2, 3]])
    normals = np.tile([[0.0, 0, -1]], (4, 1))
    image = np.zeros((60, 60, 3), np.uint8)
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    near = MeshView(square, np.full(4, 5.0), normals, red)
    far = MeshView(square + 5, np.full(4, 9.0), normals, green)
    for order in ([near, far], [far, near]):
        picture = draw(image, order, faces)
        assert picture[30, 30].argmax() == 0
        assert picture[53, 53].argmax() == 1
    # Two that cross: each is in front where it is nearer.
    tilted = MeshView(square, np.array([3.0, 20, 20, 3]), normals, green)
    picture = draw(image, [near, tilted], faces)
    assert picture[30, 12].argmax() == 1
    assert picture[30, 48].argmax() == 0
