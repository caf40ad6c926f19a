from __future__ import annotations

import numpy as np
import pytest
from support.synthetic import flux, reference_config

from hmr_light.body import load_body
from hmr_light.data.synthetic.anatomy import angles, rotations
from hmr_light.data.synthetic.appearance import dress
from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.seats import seat
from hmr_light.data.synthetic.textures import Patterns


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh.of(load_body())


@pytest.fixture(scope="module")
def landmarks(mesh: Mesh) -> BodyLandmarks:
    return BodyLandmarks.of(mesh)


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    return Patterns(np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(8))
def test_a_seat_holds_up_who_sits(mesh: Mesh, landmarks: BodyLandmarks, patterns: Patterns, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = rotations(angles(hip=(90,), knee=(90,)))
    person = mesh.pose(turn, np.zeros(10))
    world = person.vertices - [0, person.vertices[:, 1].min(), 0]
    cloth = dress(rng, landmarks, patterns, reference_config().people).top
    solid = seat(rng, mesh, landmarks, world, turn[0], cloth)
    assert solid is not None
    buttocks = world[np.abs(mesh.template[:, 1] - landmarks.hip_y) < 0.1]
    tops = np.unique(solid.points[:, 1].round(3))
    assert np.abs(tops - buttocks[:, 1].min()).min() < 0.05, f"seed {seed}"
    assert solid.points[:, 1].min() >= -1e-9
    assert flux(solid.points, solid.normals, solid.faces)[1] == 1
    assert flux(solid.points, solid.normals, solid.faces)[0] > 0


def test_nobody_gets_a_seat_on_the_ground(mesh: Mesh, landmarks: BodyLandmarks, patterns: Patterns) -> None:
    turn = rotations(angles(hip=(90,), shoulder=(90,)))
    world = mesh.pose(turn, np.zeros(10)).vertices
    world = world - [0, world[:, 1].min(), 0]
    rng = np.random.default_rng(0)
    cloth = dress(rng, landmarks, patterns, reference_config().people).top
    assert seat(rng, mesh, landmarks, world, turn[0], cloth) is None
