"""Random changes of a training sample that keep pixels, keypoints and pose in agreement."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.body.joints import J24_FLIP, OPENPOSE25_FLIP, SMPL_FLIP
from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.look import PLAIN, Look, draw_look
from hmr_light.deployment.runtime.crop import transform_points, turn

_KEYPOINT_FLIP = np.concatenate([OPENPOSE25_FLIP, 25 + np.asarray(J24_FLIP)])
_JOINT_FLIP = np.asarray(J24_FLIP)
_POSE_FLIP = np.asarray(SMPL_FLIP)
_MIRROR = np.diag([-1.0, 1.0, 1.0])


class Augmentation(NamedTuple):
    """One draw. The image is first mirrored, then turned."""

    flip: bool
    rotation_degrees: float
    """Clockwise as seen."""
    scale: float
    """Factor of the box's side: above one, the person becomes smaller."""
    gain: tuple[float, float, float]
    """Factor of each colour channel."""
    shift: tuple[float, float] = (0.0, 0.0)
    """How far the box is moved, in sides of the box."""
    look: Look = PLAIN
    """What happens to the pixels of the crop."""


NO_AUGMENTATION = Augmentation(False, 0.0, 1.0, (1.0, 1.0, 1.0))


def draw_augmentation(config: AugmentationConfig, rng: np.random.Generator) -> Augmentation:
    """Draw as SPIN does (Kolotouros et al., ICCV 2019, `base_dataset.py`): normal draws are cut, not drawn again. Then
    draw what SPIN does not have: a shift of the box, and the look of the pixels.

    The same numbers are taken from `rng` whatever the options, so that an option changes only what it names.
    """
    chance_of_flip, chance_of_rotation = rng.random(2)
    turned, scaled = rng.standard_normal(2)
    gain = 1 + config.colour_gain * rng.uniform(-1, 1, 3)
    rotated = chance_of_rotation < config.rotation_probability
    shift = config.shift * rng.uniform(-1, 1, 2)
    return Augmentation(
        flip=bool(chance_of_flip < config.flip_probability),
        rotation_degrees=float(np.clip(turned, -2, 2) * config.rotation_std_degrees) if rotated else 0.0,
        scale=float(1 + np.clip(scaled, -1, 1) * config.scale_std),
        gain=(float(gain[0]), float(gain[1]), float(gain[2])),
        shift=(float(shift[0]), float(shift[1])),
        look=draw_look(config, rng),
    )


def beyond_mirroring(config: AugmentationConfig) -> dict[str, float]:
    """The options that are not zero and change samples in other ways than by mirroring them, with their values."""
    harmless = {"flip_probability"} if config.rotation_probability else {"flip_probability", "rotation_std_degrees"}
    return {name: float(value) for name, value in vars(config).items() if value and name not in harmless}


def reach(config: AugmentationConfig) -> float:
    """Side of the square about the box, in sides of the box, that no augmented crop shows anything beyond."""
    turned = min(2 * config.rotation_std_degrees, 45.0) if config.rotation_probability else 0.0
    side = (1 + config.scale_std) * (math.cos(math.radians(turned)) + math.sin(math.radians(turned)))
    return side + 2 * config.shift


def augment_colour(image: np.ndarray, gain: tuple[float, float, float]) -> np.ndarray:
    """Multiply the channels of `image` (H,W,3) uint8 by `gain`, rounded and cut to 0..255."""
    if gain == NO_AUGMENTATION.gain:
        return image
    table = np.arange(256)[:, None] * np.asarray(gain)
    return cv2.LUT(image, np.clip(table + 0.5, 0, 255).astype(np.uint8).reshape(1, 256, 3))


def augment_keypoints(keypoints: np.ndarray, matrix: np.ndarray, flip: bool) -> np.ndarray:
    """The 49 keypoints (49,3: x, y, confidence) by the crop's affine map (2,3), left and right exchanged by a flip.

    Those without confidence become zeros: where they are is not known.
    """
    if flip:
        keypoints = keypoints[_KEYPOINT_FLIP]
    moved = transform_points(matrix, keypoints[:, :2])
    known = keypoints[:, 2:] > 0
    return np.concatenate([moved, keypoints[:, 2:]], axis=1) * known


def augment_joints(joints: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """The 24 joints (24,4: metres and confidence), mirrored and turned about the optical axis with the image."""
    if augmentation.flip:
        joints = joints[_JOINT_FLIP]
    return np.concatenate([joints[:, :3] @ _turn_3d(augmentation).T, joints[:, 3:]], axis=1)


def augment_pose(rotations: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """SMPL's rotation matrices (24,3,3) of the mirrored and turned body.

    With the mirror M = diag(-1, 1, 1), every joint takes M R M of its counterpart on the other side; turning the image
    then turns the root only. Exact for a body that is symmetric in shape, as SMPL nearly is.
    """
    if augmentation.flip:
        rotations = _MIRROR @ rotations[_POSE_FLIP] @ _MIRROR
    rotations = rotations.copy()
    rotations[0] = _turn_3d(augmentation._replace(flip=False)) @ rotations[0]
    return rotations


def _turn_3d(augmentation: Augmentation) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, :2] = turn(augmentation.rotation_degrees, augmentation.flip)
    return matrix
