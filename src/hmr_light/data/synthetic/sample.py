"""One sample of the rendered dataset: a pure function of (configuration, body, split, index)."""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.appearance import Figure, albedo, dress
from hmr_light.data.synthetic.background import background
from hmr_light.data.synthetic.camera import BOX_MARGIN, Camera, sample_camera, visible_box
from hmr_light.data.synthetic.config import SyntheticConfig
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.poses import Pose, sample_pose
from hmr_light.data.synthetic.render import (
    cast_shadow,
    encode,
    expose,
    occlude,
    rasterise,
    sample_lights,
    shade,
)

_SHAPE_CUT = 2.5
# A joint lies inside the body: it counts as seen when no other part is further than this in front of it, metres.
_INSIDE = 0.15
_PELVIS = 14  # of the 24 annotated joints


class Draw(IntEnum):
    """What a stream of random numbers decides: each thing has its own, so that changing one changes no other."""

    CLIP = 0
    SHAPE = 1
    PLACE = 2
    LOOKS = 3
    BACKGROUND = 4
    LIGHT = 5
    OCCLUDER = 6
    SENSOR = 7


class Sample(NamedTuple):
    """A rendered image and all that is known of it."""

    jpeg: bytes
    mask: np.ndarray
    """(S, S) where the person would be seen with nothing in front."""
    labels: dict[str, np.ndarray]
    """One row of the annotations, without `imgname`."""


def generator(seed: int, split: str, number: int, draw: Draw) -> np.random.Generator:
    """The stream of random numbers for one thing of one sample (or clip) of one split."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), number, int(draw)])


class Studio:
    """Everything that samples share: the configuration and the body, with what is measured of it once."""

    def __init__(self, config: SyntheticConfig, mesh: Mesh) -> None:
        self.config = config
        self.mesh = mesh
        self.figure = Figure.of(mesh)
        low, high = mesh.template.min(0), mesh.template.max(0)
        self._low, self._span = low, high - low
        self._place = (mesh.template - low) / self._span

    def pose(self, split: str, index: int) -> Pose:
        """The pose of a sample; samples of one clip show moments of one movement."""
        people = self.config.people
        clip, frame = divmod(index, people.frames_per_clip)
        time = (frame + 0.5) / people.frames_per_clip
        rng = generator(self.config.seed, split, clip, Draw.CLIP)
        return sample_pose(rng, time, people.archetypes, people.noise, self.mesh.joint_template)

    def betas(self, split: str, index: int) -> np.ndarray:
        """The shape coefficients (10,) of a sample."""
        draw = generator(self.config.seed, split, index, Draw.SHAPE).standard_normal(10)
        return np.clip(self.config.people.shape_std * draw, -_SHAPE_CUT, _SHAPE_CUT)

    def sample(self, split: str, index: int) -> Sample:
        """Render one sample."""
        config = self.config

        def stream(draw: Draw) -> np.random.Generator:
            return generator(config.seed, split, index, draw)

        pose, betas = self.pose(split, index), self.betas(split, index)
        place = stream(Draw.PLACE)
        rotations = pose.rotations.copy()
        rotations[0] = axis_rotation(1, place.uniform(0, 360)) @ rotations[0]
        person = self.mesh.pose(rotations, betas)
        standing = np.array([0, pose.lift - person.vertices[:, 1].min(), 0])
        world = person.vertices + standing
        camera = sample_camera(place, config.camera, world, config.size)
        points = camera.to_camera(world)

        lights = sample_lights(light := stream(Draw.LIGHT), config.scene)
        scenery = stream(Draw.BACKGROUND)
        clutter = int(scenery.integers(config.scene.clutter[0], config.scene.clutter[1] + 1))
        image = background(scenery, camera, clutter)
        if light.random() < config.scene.shadow:
            cast_shadow(image, camera, world, lights, float(light.uniform(0.3, 0.7)))
        normals = person.normals @ camera.rotation.T.astype(np.float32)
        surface = rasterise(camera, points, self.mesh.faces, [normals * 0.5 + 0.5, self._place])
        outfit = dress(stream(Draw.LOOKS), self.figure)
        colour = albedo(outfit, self.figure, surface.attributes[1] * self._span + self._low)
        image[surface.covered] = shade(colour, surface.attributes[0] * 2 - 1, lights, camera.rotation)

        hidden = np.zeros_like(surface.covered)
        thing = stream(Draw.OCCLUDER)
        if thing.random() < config.scene.occlusion:
            hidden = occlude(thing, image, surface.covered, config.scene.occlusion_share)
        sensor = stream(Draw.SENSOR)
        jpeg = encode(sensor, expose(sensor, image, config.sensor), config.sensor)

        rotations[0] = camera.rotation @ rotations[0]
        joints = camera.to_camera(person.joints + standing)
        translation = camera.to_camera(standing[None])[0] - person.pelvis
        labels = _labels(camera, points, joints, rotations, betas, translation)
        labels |= {
            "visibility": _visibility(camera, joints[25:], surface.depth, hidden),
            "occluded": np.asarray((hidden & surface.covered).sum() / surface.covered.sum(), np.float32),
            "archetype": np.array(pose.archetype, "<U16"),
            "clip": np.asarray(index // config.people.frames_per_clip, np.int64),
        }
        return Sample(jpeg, surface.covered, labels)


def _labels(
    camera: Camera,
    points: np.ndarray,
    joints: np.ndarray,
    rotations: np.ndarray,
    betas: np.ndarray,
    translation: np.ndarray,
) -> dict[str, np.ndarray]:
    """The annotation of a person: `points` (V, 3) and `joints` (49, 3) in the camera frame, metres."""
    pixels = camera.project(joints)
    sure = np.ones((49, 1))
    keypoints = np.concatenate([pixels, sure], axis=1)
    relative = joints[25:] - joints[25 + _PELVIS]
    center, side = visible_box(camera.project(points), camera.size)
    pose = np.concatenate([cv2.Rodrigues(matrix)[0][:, 0] for matrix in rotations])
    labels: dict[str, np.ndarray] = {
        "center": center,
        "scale": np.asarray(BOX_MARGIN * side / 200),
        "openpose": keypoints[:25],
        "part": keypoints[25:],
        "S": np.concatenate([relative, sure[25:]], axis=1),
        "pose": pose,
        "shape": betas,
        "focal": np.asarray(camera.focal),
        "principal_point": camera.principal_point,
        "camera_translation": translation,
    }
    return {key: value.astype(np.float32) for key, value in labels.items()} | {
        "has_smpl": np.asarray(True),
        "gender": np.array("n"),
    }


def _visibility(camera: Camera, joints: np.ndarray, depth: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(24,) 1 for joints inside the image with neither a thing nor another part of the body in front of them."""
    column, row = np.round(camera.project(joints)).astype(int).T
    inside = (column >= 0) & (column < camera.size) & (row >= 0) & (row < camera.size)
    row, column = row.clip(0, camera.size - 1), column.clip(0, camera.size - 1)
    seen = inside & ~hidden[row, column] & (depth[row, column] > joints[:, 2] - _INSIDE)
    return seen.astype(np.float32)
