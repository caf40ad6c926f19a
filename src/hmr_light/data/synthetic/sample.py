"""One sample of the rendered dataset: a pure function of (configuration, body, split, index)."""

from __future__ import annotations

import zlib
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.data.synthetic.amass import amass_files, amass_pose
from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.appearance import albedo, dress, garment_of
from hmr_light.data.synthetic.background import background
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.clothes import Drape, standoff
from hmr_light.data.synthetic.config import PeopleConfig, SyntheticConfig
from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.mesh import Mesh, Person
from hmr_light.data.synthetic.poses import Pose, sample_pose
from hmr_light.data.synthetic.render import (
    Solid,
    Surface,
    cast_shadow,
    occlude,
    paint,
    rasterise,
    sample_lights,
)
from hmr_light.data.synthetic.seats import seat
from hmr_light.data.synthetic.sensor import encode, expose
from hmr_light.data.synthetic.shot import Shot, sample_shot
from hmr_light.data.synthetic.sources import files_below, share_of_split
from hmr_light.data.synthetic.textures import Patterns, pick

_SHAPE_CUT = 2.5
# A joint lies inside the body: it counts as seen when no other part is further than this in front of it, metres.
_INSIDE = 0.15
_PELVIS = 14  # of the 24 annotated joints
# Steps that labels are rounded to, a unit.
_PIXEL_STEPS, _METRE_STEPS, _RADIAN_STEPS = 2.0**12, 2.0**18, 2.0**20
PHOTOGRAPHS = (".jpg", ".jpeg", ".png")


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
    SEAT = 8
    OTHER = 9
    PATTERNS = 10


class Sample(NamedTuple):
    """A rendered image and all that is known of it."""

    jpeg: bytes
    mask: np.ndarray
    """(S, S) where the person, dressed, would be seen with nothing in front but the seat."""
    labels: dict[str, np.ndarray]
    """One row of the annotations, without `imgname`."""


class DressedPerson(NamedTuple):
    """A person in the world (y up, ground at 0), posed and dressed."""

    person: Person
    rotations: np.ndarray
    """(24, 3, 3)"""
    betas: np.ndarray
    standing: np.ndarray
    """(3,) where the pelvis is, metres."""
    solids: list[Solid]
    """Body first, then what hangs free of it."""

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) of the undressed body in the world, metres."""
        return self.person.vertices + self.standing


def generator(seed: int, split: str, number: int, draw: Draw) -> np.random.Generator:
    """The stream of random numbers for one thing of one sample (or clip) of one split."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), number, int(draw)])


class Scene(NamedTuple):
    """What the samples of one split share."""

    config: SyntheticConfig
    patterns: Patterns
    photographs: list[Path]
    recorded: list[Path]
    """Files of poses."""


class Renderer:
    """Renders samples: holds what they share, which is the configuration and the body with its measures."""

    def __init__(self, config: SyntheticConfig, mesh: Mesh) -> None:
        self.config = config
        self.mesh = mesh
        self.landmarks = BodyLandmarks.of(mesh)
        self.drape = Drape.of(mesh, self.landmarks)
        self._scenes: dict[str, Scene] = {}

    def scene(self, split: str) -> Scene:
        """What the samples of a split share; made when first asked for."""
        if split not in self._scenes:
            config = self.config.of_split(split)
            patterns = Patterns(generator(config.seed, split, 0, Draw.PATTERNS))
            folder, amass = config.scene.photographs, config.poses.amass
            photographs = files_below(folder, PHOTOGRAPHS, "scene.photographs") if folder else []
            recorded = amass_files(amass) if amass else []
            shares = (share_of_split(files, split) for files in (photographs, recorded))
            self._scenes[split] = Scene(config, patterns, *shares)
        return self._scenes[split]

    def pose(self, split: str, index: int) -> Pose:
        """The pose of a sample; samples of one clip show moments of one movement."""
        scene = self.scene(split)
        clip, frame = divmod(index, scene.config.poses.frames_per_clip)
        time = (frame + 0.5) / scene.config.poses.frames_per_clip
        return self._pose(generator(scene.config.seed, split, clip, Draw.CLIP), time, scene)

    def _pose(self, clip: np.random.Generator, time: float, scene: Scene) -> Pose:
        if scene.recorded:
            return amass_pose(clip, time, scene.recorded)
        poses = scene.config.poses
        return sample_pose(clip, time, poses.archetypes, poses.noise, self.mesh.joint_template)

    def betas(self, split: str, index: int) -> np.ndarray:
        """The shape coefficients (10,) of a sample."""
        scene = self.scene(split)
        return _shape(generator(scene.config.seed, split, index, Draw.SHAPE), scene.config.people)

    def dressed_person(
        self, looks: np.random.Generator, pose: Pose, betas: np.ndarray, yaw: float, at: np.ndarray, scene: Scene
    ) -> DressedPerson:
        """A person at `at` (x, z) on the ground, turned by `yaw` degrees about the vertical, dressed by `looks`."""
        rotations = pose.rotations.copy()
        rotations[0] = axis_rotation(1, yaw) @ rotations[0]
        person = self.mesh.pose(rotations, betas)
        standing = np.array([at[0], pose.lift - person.vertices[:, 1].min(), at[1]])
        outfit = dress(looks, self.landmarks, scene.patterns, scene.config.people)
        off = standoff(outfit, self.landmarks, self.mesh.template)
        dressed = person.vertices + standing + off[:, None] * person.normals

        def colours(place: np.ndarray) -> np.ndarray:
            return albedo(outfit, self.landmarks, place)

        solids = [Solid(dressed, person.normals, self.mesh.template, self.mesh.faces, colours)]
        if outfit.tail is not None:
            points, normals, place, faces = self.drape.cut(outfit.tail, person, betas)
            solids.append(Solid(points + standing, normals, place, faces, outfit.tail_garment().at))
        return DressedPerson(person, rotations, betas, standing, solids)

    def sample(self, split: str, index: int) -> Sample:
        """Render one sample."""
        scene = self.scene(split)
        config, patterns = scene.config, scene.patterns

        def stream(draw: Draw) -> np.random.Generator:
            return generator(config.seed, split, index, draw)

        pose, place = self.pose(split, index), stream(Draw.PLACE)
        yaw = place.uniform(*config.poses.yaw_degrees)
        target = self.dressed_person(stream(Draw.LOOKS), pose, self.betas(split, index), yaw, np.zeros(2), scene)
        shot = sample_shot(place, config.camera, target.vertices, config.size)
        camera = shot.camera

        solids = target.solids
        if pose.archetype == "sit" and (draw := stream(Draw.SEAT)).random() < config.scene.seat:
            cloth = garment_of(draw, patterns, config.people.patterned)
            support = seat(draw, self.mesh, self.landmarks, target.vertices, target.rotations[0], cloth)
            if support is not None:
                solids = [*solids, support]
        surface = rasterise(camera, solids)
        mask = surface.covered.copy()
        mask[mask] = surface.solid < len(target.solids)
        other, front = self._other(stream(Draw.OTHER), camera, surface.depth, mask, scene)

        lights = sample_lights(light := stream(Draw.LIGHT), config.scene)
        image = self._background(stream(Draw.BACKGROUND), camera, scene)
        if light.random() < config.scene.shadow:
            throwing = [solid.points for solid in solids] + ([other.vertices] if other else [])
            cast_shadow(image, camera, np.concatenate(throwing), lights, float(light.uniform(0.3, 0.7)))
        hidden = np.zeros_like(mask)
        depth = surface.depth
        paint(image, surface, solids, lights)
        if other is not None and front is not None:
            hidden = front.depth < depth
            paint(image, front, other.solids, lights, hidden)
            depth = np.minimum(depth, front.depth)
        thing = stream(Draw.OCCLUDER)
        if thing.random() < config.scene.occlusion:
            hidden |= occlude(thing, image, mask, config.scene.occlusion_share, patterns)
        sensor = stream(Draw.SENSOR)
        jpeg = encode(sensor, expose(sensor, image, config.sensor), config.sensor)

        labels, joints = _labels(shot, target)
        labels |= {
            "visibility": _visibility(camera, joints, depth, hidden),
            "occluded": np.asarray((hidden & mask).sum() / max(mask.sum(), 1), np.float32),
            "archetype": np.array(pose.archetype, "<U16"),
            "clip": np.asarray(index // config.poses.frames_per_clip, np.int64),
        }
        return Sample(jpeg, mask, labels)

    def _other(
        self, draw: np.random.Generator, camera: Camera, depth: np.ndarray, mask: np.ndarray, scene: Scene
    ) -> tuple[DressedPerson | None, Surface | None]:
        """Another person, beside or in front, who hides no more of the `mask` than is allowed; or nobody."""
        config = scene.config
        if draw.random() >= config.scene.second_person:
            return None, None
        pose, betas = self._pose(draw, float(draw.random()), scene), _shape(draw, config.people)
        towards = camera.position[[0, 2]]
        distance = float(np.hypot(*towards))
        towards = towards / distance
        nearer = min(draw.uniform(-0.8, 1.3), distance - 1.2)
        aside = draw.choice([-1, 1]) * draw.uniform(0.2, 0.7) * np.array([towards[1], -towards[0]])
        yaw = draw.uniform(0, 360)
        for further in (1.0, 1.8):
            other = self.dressed_person(draw, pose, betas, yaw, nearer * towards + further * aside, scene)
            front = rasterise(camera, other.solids)
            hides = (front.depth < depth) & mask
            if hides.sum() <= config.scene.occlusion_share * mask.sum():
                return other, front
        return None, None

    def _background(self, draw: np.random.Generator, camera: Camera, scene: Scene) -> np.ndarray:
        config = scene.config.scene
        clutter = int(draw.integers(config.clutter[0], config.clutter[1] + 1))
        kind = pick(draw, config.backgrounds)
        photograph = scene.photographs[draw.integers(len(scene.photographs))] if scene.photographs else None
        return background(draw, camera, clutter, kind, scene.patterns, photograph)


def _shape(draw: np.random.Generator, people: PeopleConfig) -> np.ndarray:
    """Shape coefficients (10,), rounded to what float32 can hold, for they are labels too."""
    betas = np.clip(people.shape_std * draw.standard_normal(10), -_SHAPE_CUT, _SHAPE_CUT)
    return np.round(betas * _METRE_STEPS) / _METRE_STEPS


def _labels(shot: Shot, target: DressedPerson) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The annotation of a person, and the 24 joints (24, 3) in the camera frame, metres.

    Numbers are rounded to steps far below what matters, so that processors that add in another order agree.
    """
    camera, person = shot.camera, target.person
    rotations = target.rotations.copy()
    rotations[0] = camera.rotation @ rotations[0]
    joints = camera.to_camera(person.joints + target.standing)
    sure = np.ones((49, 1))
    keypoints = np.concatenate([_rounded(camera.project(joints), _PIXEL_STEPS), sure], axis=1)
    relative = _rounded(joints[25:] - joints[25 + _PELVIS], _METRE_STEPS)
    pose = np.concatenate([cv2.Rodrigues(matrix)[0][:, 0] for matrix in rotations])
    labels: dict[str, np.ndarray] = {
        "center": _rounded(shot.centre, _PIXEL_STEPS),
        "scale": _rounded(np.asarray(shot.side), _PIXEL_STEPS) / 200,
        "openpose": keypoints[:25],
        "part": keypoints[25:],
        "S": np.concatenate([relative, sure[25:]], axis=1),
        "pose": _rounded(pose, _RADIAN_STEPS),
        "shape": target.betas,
        "focal": np.asarray(camera.focal),
        "principal_point": camera.principal_point,
        "camera_translation": _rounded(camera.to_camera(target.standing[None])[0] - person.pelvis, _METRE_STEPS),
    }
    return {key: value.astype(np.float32) for key, value in labels.items()} | {
        "has_smpl": np.asarray(True),
        "gender": np.array("n"),
    }, joints[25:]


def _rounded(values: np.ndarray, steps: float) -> np.ndarray:
    return np.round(values * steps) / steps


def _visibility(camera: Camera, joints: np.ndarray, depth: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(24,) 1 for joints inside the image with neither a thing nor another part of the body in front of them."""
    column, row = np.round(camera.project(joints)).astype(int).T
    inside = (column >= 0) & (column < camera.size) & (row >= 0) & (row < camera.size)
    row, column = row.clip(0, camera.size - 1), column.clip(0, camera.size - 1)
    seen = inside & ~hidden[row, column] & (depth[row, column] > joints[:, 2] - _INSIDE)
    return seen.astype(np.float32)
