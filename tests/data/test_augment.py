"""Augmentation: SPIN's draws, and a body that stays where its pixels are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body.joints import J24_FLIP, OPENPOSE25_FLIP, SMPL_FLIP, SMPL_PARENTS
from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.augment import (
    NO_AUGMENTATION,
    Augmentation,
    augment_colour,
    augment_joints,
    augment_keypoints,
    augment_pose,
    draw_augmentation,
    reach,
)
from hmr_light.deployment.runtime.crop import crop_matrix

SPIN = AugmentationConfig(
    flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.25, colour_gain=0.4
)
OFF = AugmentationConfig(
    flip_probability=0.0, rotation_std_degrees=0.0, rotation_probability=0.0, scale_std=0.0, colour_gain=0.0
)
# Which of SMPL's joints the limbs of the 24 and of OpenPose's 25 are: ankles, knees, wrists, elbows, shoulders; hips.
J24_FROM_SMPL = {0: 8, 1: 5, 4: 4, 5: 7, 6: 21, 7: 19, 8: 17, 9: 16, 10: 18, 11: 20}
OPENPOSE_FROM_SMPL = {2: 17, 3: 19, 4: 21, 5: 16, 6: 18, 7: 20, 8: 0, 9: 2, 10: 5, 11: 8, 12: 1, 13: 4, 14: 7}


def symmetric_rest_joints(rng: np.random.Generator) -> np.ndarray:
    joints = rng.normal(scale=0.4, size=(24, 3))
    return (joints + joints[np.asarray(SMPL_FLIP)] * [-1, 1, 1]) / 2


def pose_joints(rest: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Forward kinematics of the 24 joints, root at the origin."""
    world, joints = np.zeros((24, 3, 3)), np.zeros((24, 3))
    world[0] = rotations[0]
    for joint, parent in enumerate(np.asarray(SMPL_PARENTS).tolist()):
        if parent in range(24):
            world[joint] = world[parent] @ rotations[joint]
            joints[joint] = joints[parent] + world[parent] @ (rest[joint] - rest[parent])
    return joints


def keypoints_of(joints: np.ndarray, focal: float, depth: float, center: np.ndarray) -> np.ndarray:
    """The 49 keypoints of the limbs, seen by a camera whose principal point is `center`."""
    pixels = focal * joints[:, :2] / (joints[:, 2:] + depth) + center
    keypoints = np.zeros((49, 3))
    for first, table in ((0, OPENPOSE_FROM_SMPL), (25, J24_FROM_SMPL)):
        for index, joint in table.items():
            keypoints[first + index] = [*pixels[joint], 1]
    return keypoints


@pytest.mark.parametrize("seed", range(8))
def test_augmented_body_projects_onto_the_augmented_keypoints(seed: int) -> None:
    rng = np.random.default_rng(seed)
    change = draw_augmentation(SPIN, rng)._replace(flip=bool(seed % 2), rotation_degrees=rng.uniform(-60, 60))
    rest, rotations = symmetric_rest_joints(rng), Rotation.random(24, rng).as_matrix()
    joints = pose_joints(rest, rotations)
    center, scale, focal, depth, size = rng.uniform(100, 900, 2), rng.uniform(0.5, 4), 900.0, 5.0, 224
    keypoints = keypoints_of(joints, focal, depth, center)

    matrix = crop_matrix(center, scale * change.scale, size, change.rotation_degrees, change.flip)
    moved = augment_keypoints(keypoints, matrix, change.flip)
    moved_joints = pose_joints(rest, augment_pose(rotations, change))
    crop_focal = focal * size / (200 * scale * change.scale)
    expected = keypoints_of(moved_joints, crop_focal, depth, np.full(2, (size - 1) / 2))
    np.testing.assert_allclose(moved, expected, atol=1e-9)

    labels = np.ones((24, 4))
    labels[list(J24_FROM_SMPL), :3] = joints[list(J24_FROM_SMPL.values())]
    moved_labels = augment_joints(labels, change)
    np.testing.assert_allclose(
        moved_labels[list(J24_FROM_SMPL), :3], moved_joints[list(J24_FROM_SMPL.values())], atol=1e-9
    )


def test_face_and_feet_change_sides_too() -> None:
    # OpenPose's ears and left/right toes and heels; the 24's eyes and ears.
    for flip, pairs in (
        (OPENPOSE25_FLIP, [(15, 16), (17, 18), (19, 22), (20, 23), (21, 24)]),
        (J24_FLIP, [(20, 21), (22, 23), (2, 3)]),
    ):
        for left, right in pairs:
            assert (flip[left], flip[right]) == (right, left)
    keypoints = np.random.default_rng(1).uniform(1, 200, (49, 3))
    matrix = crop_matrix(np.array([99.5, 99.5]), 1.0, 200, flip=True)
    flipped = augment_keypoints(keypoints, matrix, True)
    mirrored = keypoints * [-1, 1, 1] + [199, 0, 0]
    np.testing.assert_allclose(flipped[19], mirrored[22])
    np.testing.assert_allclose(flipped[25 + 22], mirrored[25 + 23])
    np.testing.assert_allclose(flipped[25 + 13], mirrored[25 + 13])
    np.testing.assert_allclose(augment_keypoints(flipped, matrix, True), keypoints)


def test_pose_keeps_its_rotations_proper_and_returns_when_undone() -> None:
    rng = np.random.default_rng(2)
    rotations = Rotation.random(24, rng).as_matrix()
    before = rotations.copy()
    change = Augmentation(True, 30.0, 1.0, (1.0, 1.0, 1.0))
    changed = augment_pose(rotations, change)
    np.testing.assert_array_equal(rotations, before, err_msg="the labels themselves were changed")
    np.testing.assert_allclose(np.linalg.det(changed), 1)
    np.testing.assert_allclose(augment_pose(changed, change), rotations, atol=1e-12)
    assert not np.allclose(changed, rotations)


def test_keypoints_without_confidence_stay_zeros() -> None:
    keypoints = np.zeros((49, 3))
    keypoints[3] = [50, 60, 0.7]
    moved = augment_keypoints(keypoints, crop_matrix(np.array([80.0, 90.0]), 1.0, 224, 20.0), False)
    assert not moved[np.arange(49) != 3].any()
    assert moved[3, 2] == 0.7


def test_draws_are_spins() -> None:
    draws = [draw_augmentation(SPIN, np.random.default_rng((1, index))) for index in range(20_000)]
    rotation = np.array([draw.rotation_degrees for draw in draws])
    scale = np.array([draw.scale for draw in draws])
    gain = np.array([draw.gain for draw in draws])
    assert np.mean([draw.flip for draw in draws]) == pytest.approx(0.5, abs=0.015)
    assert np.mean(rotation != 0) == pytest.approx(0.4, abs=0.015)
    # A normal of 30 degrees cut at two standard deviations; one of 0.25 cut at one, a third of it at the ends.
    assert np.abs(rotation).max() == 60
    assert rotation[rotation != 0].std() == pytest.approx(30 * 0.9594, abs=0.7)
    assert (scale.min(), scale.max()) == (0.75, 1.25)
    assert np.mean(scale == 0.75) == pytest.approx(0.1587, abs=0.01)
    assert gain.min() == pytest.approx(0.6, abs=0.001)
    assert gain.max() == pytest.approx(1.4, abs=0.001)
    assert np.corrcoef(gain.T)[0, 1] == pytest.approx(0, abs=0.03)


def test_an_option_changes_only_what_it_names() -> None:
    without_flip = AugmentationConfig(**{**SPIN.__dict__, "flip_probability": 0.0})
    for seed in range(20):
        drawn, other = (draw_augmentation(config, np.random.default_rng(seed)) for config in (SPIN, without_flip))
        assert other == drawn._replace(flip=False)
        assert draw_augmentation(OFF, np.random.default_rng(seed)) == NO_AUGMENTATION


def test_the_box_is_moved_by_up_to_the_shift() -> None:
    moving = replace(SPIN, shift=0.2)
    drawn = [draw_augmentation(moving, np.random.default_rng(seed)) for seed in range(2000)]
    shift = np.array([one.shift for one in drawn])
    assert np.abs(shift).max() == pytest.approx(0.2, abs=1e-3)
    assert shift.std(0) == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
    assert [one._replace(shift=(0, 0)) for one in drawn[:50]] == [
        draw_augmentation(SPIN, np.random.default_rng(seed)) for seed in range(50)
    ]
    assert reach(moving) == pytest.approx(reach(SPIN) + 0.4)


def test_colour_gain_is_each_channels_and_is_cut() -> None:
    image = torch.randint(0, 256, (40, 50, 3), generator=torch.Generator().manual_seed(3)).numpy().astype(np.uint8)
    gain = (0.6, 1.0, 1.4)
    expected = np.clip(np.floor(image.astype(np.float64) * gain + 0.5), 0, 255)
    np.testing.assert_array_equal(augment_colour(image, gain), expected)
    assert augment_colour(image, NO_AUGMENTATION.gain) is image
