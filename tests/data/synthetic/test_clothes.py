from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.synthetic import flux, reference_config

from hmr_light.body import load_body
from hmr_light.data.synthetic.anatomy import angles, rotations
from hmr_light.data.synthetic.appearance import dress
from hmr_light.data.synthetic.clothes import Drape, standoff
from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.outfit import Tail
from hmr_light.data.synthetic.textures import Patterns

TAIL = Tail(hem_y=-0.6, ease=0.02, flare=0.2, pleats=(5, 0.3, 0.2), opening=0.0)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh.of(load_body())


@pytest.fixture(scope="module")
def landmarks(mesh: Mesh) -> BodyLandmarks:
    return BodyLandmarks.of(mesh)


@pytest.fixture(scope="module")
def drape(mesh: Mesh, landmarks: BodyLandmarks) -> Drape:
    return Drape.of(mesh, landmarks)


@pytest.fixture(scope="module")
def patterns() -> Patterns:
    return Patterns(np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(3))
def test_a_skirt_hangs_around_the_legs_down_to_its_hem(
    mesh: Mesh, landmarks: BodyLandmarks, drape: Drape, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    betas = rng.normal(0, 1, 10)
    person = mesh.pose(np.broadcast_to(np.eye(3), (24, 3, 3)), betas)
    tail = replace(TAIL, hem_y=landmarks.knee_y)
    points, normals, place, faces = drape.cut(tail, person, betas)
    knees = person.joints[[25 + 1, 25 + 4], 1].mean()
    assert abs(points[:, 1].min() - knees) < 0.06, f"seed {seed}"
    half = len(points) // 2
    # Legs at the height of each ring lie inside the ring's hull, and nearer to its axis.
    for ring in points[:half].reshape(-1, 32, 3)[2:]:
        legs = person.vertices[np.abs(person.vertices[:, 1] - ring[:, 1].mean()) < 0.01]
        legs = legs[np.abs(legs[:, 0]) < 0.3]
        middle = ring.mean(0)
        outward = (ring - middle)[:, [0, 2]] / np.linalg.norm((ring - middle)[:, [0, 2]], axis=1, keepdims=True)
        reach = (outward * (ring - middle)[:, [0, 2]]).sum(1)
        farthest = ((legs - middle)[:, [0, 2]] @ outward.T).max(0)
        assert (farthest < reach + 0.012).mean() > 0.9, f"seed {seed}"
    assert flux(points[:half], normals[:half], faces[: len(faces) // 2])[1] > 0.99
    assert np.allclose(normals[:half], -normals[half:])
    assert np.allclose(place[:half], place[half:])


def test_a_coat_is_open_in_front_and_follows_a_stride(mesh: Mesh, landmarks: BodyLandmarks, drape: Drape) -> None:
    pose = rotations(angles(left_hip=(50,), right_hip=(-20,)))
    person = mesh.pose(pose, np.zeros(10))
    closed = drape.cut(replace(TAIL, hem_y=landmarks.knee_y), person, np.zeros(10))
    open_ = drape.cut(replace(TAIL, hem_y=landmarks.knee_y, opening=0.6), person, np.zeros(10))
    assert len(open_[3]) < len(closed[3])
    seen = open_[2][np.unique(open_[3])]
    front = (np.abs(seen[:, 0]) < 0.03) & (seen[:, 2] > 0.05)
    assert not front.any()
    lowest = closed[0][closed[0][:, 1] < np.quantile(closed[0][:, 1], 0.3)]
    left, right = lowest[lowest[:, 0] > 0.1, 2].mean(), lowest[lowest[:, 0] < -0.1, 2].mean()
    assert left > right + 0.1  # the side of the leg that goes forward goes with it


def test_clothes_stand_off_where_they_are_worn(mesh: Mesh, landmarks: BodyLandmarks, patterns: Patterns) -> None:
    config = reference_config().people
    tight = replace(config, loose=0.0, skirt=0.0, coat=0.0, hair_m=(0.0, 0.0))
    loose = replace(config, loose=1.0, skirt=0.0, coat=0.0)
    for seed in range(20):
        outfit = dress(np.random.default_rng(seed), landmarks, patterns, tight)
        assert standoff(outfit, landmarks, mesh.template).max() == 0
        outfit = dress(np.random.default_rng(seed), landmarks, patterns, loose)
        off = standoff(outfit, landmarks, mesh.template)
        assert 0.005 < off.max() <= config.ease_m[1]
        bare = mesh.template[:, 1] < landmarks.sole_y + 0.02
        assert off[bare].max() == 0, f"seed {seed}"
        hands = np.abs(mesh.template[:, 0]) > landmarks.wrist_x + 0.05
        assert off[hands].max() == 0, f"seed {seed}"
