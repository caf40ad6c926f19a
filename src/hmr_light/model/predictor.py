"""From photographs to people: any network that maps crops to SMPL's parameters, and what is made of them.

`CropPredictor` is the contract: a torch network keeps it, and so does a file of another runtime. Evaluation scores what
keeps it, `cost` times it, `Predictor` finds people with it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, overload

import numpy as np
import torch

from hmr_light.body import SMPL, load_body
from hmr_light.body.joints import COCO_TO_J24
from hmr_light.data.boxes import Box, box_of_corner, misfit, whole_image
from hmr_light.data.pictures import crop_person
from hmr_light.errors import UserError
from hmr_light.geometry import full_image_translation, matrix_to_axis_angle, project, weak_perspective_translation
from hmr_light.model.aligning import aligned_camera
from hmr_light.model.finder import Found, PeopleFinder
from hmr_light.model.hmr import normalize
from hmr_light.model.regressors import SmplParameters

CROP_FOCAL = 5000.0
"""Pixels of the network's crop: SPIN's camera, which the losses project with."""
COCO_JOINTS = tuple(25 + joint for joint in COCO_TO_J24)
"""Where COCO's 17 keypoints stand among the 49 joints."""
_NEAR = 0.05
"""Of the box's side: a joint that is so far from the keypoint that the finder sees agrees with it by exp(-1/2)."""


class CropPredictor(Protocol):
    """Anything that maps crops of people to SMPL's parameters."""

    @property
    def image_size(self) -> int:
        """Side of the crops, pixels."""

    @property
    def body_name(self) -> str | None:
        """The choice of `body=` that its betas are of; None where it is not known."""

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        """The parameters of RGB crops uint8 (B, 3, S, S), on whatever device."""


@dataclass(frozen=True)
class TorchPredictor:
    """A torch network as a `CropPredictor`; the crops are moved to the network's device."""

    network: Callable[[torch.Tensor], SmplParameters]
    """Normalised images (B, 3, S, S) → parameters; see `hmr_light.model.hmr.HMR`."""
    image_size: int
    body_name: str | None
    device: torch.device
    contrast: str | None = None
    """How the values of its crops are changed: `spin` stretches them, as in `hmr_light.data.dataset.MeshDataset`."""

    @torch.no_grad()
    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        return self.network(normalize(crops.to(self.device)))


@dataclass(frozen=True)
class PredictedPeople:
    """P people of one image, as float32 arrays. Metres; the camera frame is x right, y down, z forward."""

    width: int
    """Of the image, pixels."""
    height: int
    focal: float
    """Of the whole image's camera, pixels; its principal point is the image's centre."""
    crop_size: int
    """Side of the network's input, pixels."""
    boxes: list[Box]
    rotations: np.ndarray
    """(P, 24, 3, 3): the global orientation, then each joint's rotation relative to its parent."""
    betas: np.ndarray
    """(P, 10): shape, in standard deviations."""
    camera: np.ndarray
    """(P, 3): weak perspective (s, tx, ty) of the crop; see `Predictor` on `align`."""
    vertices: np.ndarray
    """(P, V, 3) about the body's own origin; add `translation` for their place before the image's camera."""
    joints: np.ndarray
    """(P, 49, 3) likewise: SPIN's joints (`hmr_light.body.joints`)."""
    keypoints: np.ndarray
    """(P, 17, 3): what the finder sees in the box: COCO's keypoints (`hmr_light.body.joints.COCO17_NAMES`), x, y in
    pixels as in `joints_2d`, and the score, 0…1."""
    scores: np.ndarray
    """(P,): how sure the finder is that somebody is in the box, 0…1; see `hmr_light.model.finder.Found`."""

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def pose(self) -> np.ndarray:
        """(P, 72): `rotations` as axis-angle, radians."""
        return matrix_to_axis_angle(torch.from_numpy(self.rotations)).flatten(1).numpy()

    @cached_property
    def crop_translation(self) -> np.ndarray:
        """(P, 3) from the body's origin to the crop's camera frame, of `CROP_FOCAL`."""
        return weak_perspective_translation(torch.from_numpy(self.camera), CROP_FOCAL, self.crop_size).numpy()

    @cached_property
    def translation(self) -> np.ndarray:
        """(P, 3) from the body's origin to the whole image's camera frame."""
        sides = torch.tensor([200 * box.scale for box in self.boxes])
        # From the image's centre, which is half a pixel before (W / 2, H / 2) where (0, 0) is a pixel's centre.
        middle = torch.tensor([self.width - 1, self.height - 1]) / 2
        centers = torch.tensor(np.array([box.center for box in self.boxes]).reshape(-1, 2), dtype=torch.float32)
        return full_image_translation(torch.from_numpy(self.camera), centers - middle, sides, self.focal).numpy()

    @cached_property
    def joints_2d(self) -> np.ndarray:
        """(P, 49, 2): where the joints are in the image, pixels; (0, 0) is the centre of the top left pixel."""
        return self.in_image(self.joints)

    @cached_property
    def agreement(self) -> np.ndarray:
        """(P,): how well `joints_2d` agree with `keypoints`, 0…1.

        The mean over the keypoints, weighted by their scores, of exp(-(d / 0.05 a)² / 2), where d is the distance
        between the two and a the side of the box.
        """
        sides = np.array([200 * box.scale for box in self.boxes])[:, None]
        distances = np.linalg.norm(self.joints_2d[:, COCO_JOINTS] - self.keypoints[..., :2], axis=2) / sides
        weights = self.keypoints[..., 2] / self.keypoints[..., 2].sum(1, keepdims=True)
        return np.asarray((weights * np.exp(-((distances / _NEAR) ** 2) / 2)).sum(1))

    @cached_property
    def confidence(self) -> np.ndarray:
        """(P,): how far the person can be trusted, 0…1: the root of `scores` times `agreement`."""
        return np.asarray(np.sqrt(self.scores * self.agreement))

    def in_image(self, points: np.ndarray) -> np.ndarray:
        """Pixels (P, N, 2) of `points` (P, N, 3), such as `vertices`, by the camera of each person's crop.

        The network learned with that camera, so that this is where it sees them.
        """
        translation = torch.from_numpy(self.crop_translation)
        in_crop = project(torch.from_numpy(points), translation, CROP_FOCAL, self.crop_size).numpy()
        pixels = [box.center + 100 * box.scale * one for box, one in zip(self.boxes, in_crop, strict=True)]
        return np.array(pixels).reshape(*points.shape[:2], 2)


class CroppedImage(NamedTuple):
    """What is left of an image when its people are cut out."""

    width: int
    height: int
    found: list[Found]
    crops: np.ndarray
    """(P, S, S, 3) RGB uint8."""


Boxes = Sequence[Box | Sequence[float]] | np.ndarray | Literal["image"]
"""The people of one image: `Box`, or x, y, width, height of the tight box, pixels from the image's corner; or `image`,
where the whole image is one person."""


class Predictor:
    """The people in images, by a `CropPredictor` (see `hmr_light.load_model`) and a body."""

    def __init__(
        self,
        model: CropPredictor,
        body: SMPL | None = None,
        *,
        batch_size: int = 16,
        focal: float | None = None,
        finder: PeopleFinder | None = None,
        align: bool = True,
    ) -> None:
        """`body` None is the embedded one. `batch_size` people go through the network at once.

        `focal` is that of the images' camera, pixels; None takes each image's diagonal. It changes how far away people
        stand (`translation`), and nothing else. `finder` looks for people where no boxes are given, and at all of them
        for their `confidence`; None is MoveNet on the model's device. With `align`, people whom the finder sees are
        moved and sized so that they stand over its keypoints: `camera` is no longer the network's own.
        """
        if body is None and model.body_name not in (None, "embedded"):
            warnings.warn(
                f"the model was trained with body={model.body_name}, and the embedded body takes its place: "
                "shapes will differ; give Predictor(model, load_body(FILE))",
                stacklevel=2,
            )
        self.model = model
        self.body = load_body() if body is None else body
        self.batch_size = batch_size
        self.focal = focal
        self.align = align
        self.finder = PeopleFinder(getattr(model, "device", "cpu")) if finder is None else finder

    @property
    def faces(self) -> np.ndarray:
        """(F, 3): the triangles between vertices, the same for all people."""
        return self.body.faces.cpu().numpy()

    @overload
    def __call__(self, images: np.ndarray, boxes: Boxes | None = None) -> PredictedPeople: ...

    @overload
    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None] | Literal["image"] | None = None
    ) -> list[PredictedPeople]: ...

    def __call__(
        self, images: np.ndarray | Sequence[np.ndarray], boxes: Boxes | Sequence[Boxes | None] | None = None
    ) -> PredictedPeople | list[PredictedPeople]:
        """The people of one RGB image uint8 (H, W, 3), or of each image of a list.

        `boxes` are the people of the image, or, for a list, of each image: (P, 4) x, y, width, height of the tight box,
        pixels from the image's corner (as COCO has it), to which a margin is added as in training; or `Box`; or
        "image", where the whole image is one person. Without boxes the people are those that the finder sees, the one
        nearest the middle first, and none where it sees nobody. Raises `UserError` for an image or a box that is none,
        and for a box outside the image.
        """
        if images is None or (isinstance(images, np.ndarray) and images.ndim == 3):
            return self.people([self.crop(images, boxes)])[0]  # type: ignore[arg-type]
        of_each = [boxes] * len(images) if boxes is None or isinstance(boxes, str) else boxes
        if len(of_each) != len(images):
            raise UserError(f"{len(of_each)} lists of boxes for {len(images)} images", "Give one list an image.")
        return self.people([self.crop(image, own) for image, own in zip(images, of_each, strict=True)])

    def crop(self, image: np.ndarray, boxes: Boxes | None = None) -> CroppedImage:
        """What the network sees of the people of one image; see `__call__`."""
        if image is None:
            raise UserError("the image is None", "cv2.imread returns None for a file it cannot read: correct the path.")
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UserError(
                f"an image is {image.dtype} {image.shape}, not uint8 (H, W, 3)", "Give RGB values of 0 to 255."
            )
        height, width = image.shape[:2]
        if boxes is None:
            found = self.finder.find(image)
        elif isinstance(boxes, str):
            found = self.finder.look(image, [_whole(boxes, width, height)])
        else:
            found = self.finder.look(image, [_box(one, width, height) for one in boxes])
        return self.cropped(image, found)

    def cropped(self, image: np.ndarray, found: list[Found]) -> CroppedImage:
        """What the network sees of people who were found."""
        height, width = image.shape[:2]
        size = self.model.image_size
        contrast = getattr(self.model, "contrast", None)
        crops = [crop_person(image, person.box, size, contrast) for person in found]
        return CroppedImage(width, height, found, np.array(crops, np.uint8).reshape(-1, size, size, 3))

    @torch.no_grad()
    def people(self, images: Sequence[CroppedImage]) -> list[PredictedPeople]:
        """The people of each image; the network sees `batch_size` of them at once, whichever image they are of."""
        if not images:
            return []
        crops = torch.from_numpy(np.concatenate([image.crops for image in images])).permute(0, 3, 1, 2)
        shapes = ((24, 3, 3), (10,), (3,), (self.body.num_vertices, 3), (49, 3))
        parts = [[np.empty((0, *shape), np.float32) for shape in shapes]]
        for chunk in torch.split(crops, self.batch_size) if len(crops) else ():
            parameters = SmplParameters(*(value.float() for value in self.model(chunk)))
            posed = self.body.to(parameters.rotations.device)(parameters.rotations, parameters.betas)
            parts.append([value.float().cpu().numpy() for value in (*parameters, *posed)])
        ends = np.cumsum([len(image.found) for image in images])[:-1]
        values = [np.split(np.concatenate(part), ends) for part in zip(*parts, strict=True)]
        return [self._people(image, *own) for image, *own in zip(images, *values, strict=True)]

    @torch.no_grad()
    def posed(
        self, people: PredictedPeople, rotations: np.ndarray, betas: np.ndarray, camera: np.ndarray
    ) -> PredictedPeople:
        """`people` with other parameters, and the meshes and joints of these."""
        place = self.body.faces.device
        posed = self.body(torch.from_numpy(rotations).to(place), torch.from_numpy(betas).to(place))
        vertices, joints = (value.cpu().numpy() for value in posed)
        return replace(people, rotations=rotations, betas=betas, camera=camera, vertices=vertices, joints=joints)

    def _people(self, image: CroppedImage, *values: np.ndarray) -> PredictedPeople:
        rotations, betas, camera, vertices, joints = values
        found = image.found
        if self.align:
            camera = camera.copy()
            for index, person in enumerate(found):
                if person.score >= self.finder.least:
                    coco = joints[index, COCO_JOINTS]
                    camera[index] = aligned_camera(camera[index], person.box, coco, person.keypoints)
        return PredictedPeople(
            image.width,
            image.height,
            self.focal or math.hypot(image.width, image.height),
            self.model.image_size,
            [person.box for person in found],
            rotations,
            betas,
            camera,
            vertices,
            joints,
            np.array([person.keypoints for person in found], np.float32).reshape(-1, 17, 3),
            np.array([person.score for person in found], np.float32),
        )


def _whole(name: str, width: int, height: int) -> Box:
    if name != "image":
        raise UserError(f"boxes={name!r} is not known", 'Give "image", or None, or a list of boxes.')
    return whole_image(width, height)


def _box(value: Box | Sequence[float], width: int, height: int) -> Box:
    """The box that `value` means in an image of that size."""
    if not isinstance(value, Box):
        try:
            value = box_of_corner(*map(float, value))
        except (TypeError, ValueError) as error:
            raise UserError(f"{value} is not a box", "Give x, y, width, height in pixels.") from error
    if reason := misfit(value, width, height):
        raise UserError(
            f"the box at ({value.center[0]:.0f}, {value.center[1]:.0f}) with a side of {200 * value.scale:.0f} pixels "
            f"is {reason}",
            "Correct the box, or leave the person out.",
        )
    return value
