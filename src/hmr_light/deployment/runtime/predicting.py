"""From images to people: what of that is the same for every runtime."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol, overload

import numpy as np

from .aligning import aligned_camera
from .boxes import Box, box_of_corner, misfit, whole_image
from .crop import crop_person
from .errors import UserError
from .finding import Found
from .joints import COCO_JOINTS
from .people import PredictedPeople


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


class Finder(Protocol):
    """What finds people in images."""

    least: float
    """Of a person's score."""

    def find(self, image: np.ndarray) -> list[Found]:
        """The people in an RGB image uint8 (H, W, 3), the one nearest the middle first; empty where nobody is found."""

    def look(self, image: np.ndarray, boxes: Sequence[Box]) -> list[Found]:
        """What is seen in each of `boxes`: of the person nearest its middle, whatever the score."""


class PeoplePredictor(ABC):
    """The people in images, by a model of crops, a body and a finder, whichever runtime computes them."""

    image_size: int
    """Side of the crops, pixels."""
    contrast: str | None
    """As in `crop_person`."""
    finder: Finder

    def __init__(self, batch_size: int, focal: float | None, align: bool) -> None:
        self.batch_size = batch_size
        self.focal = focal
        self.align = align

    @property
    @abstractmethod
    def faces(self) -> np.ndarray:
        """(F, 3): the triangles between vertices, the same for all people."""

    @property
    @abstractmethod
    def num_vertices(self) -> int:
        """Of the body's mesh."""

    @abstractmethod
    def parameters(self, crops: np.ndarray) -> tuple[np.ndarray, ...]:
        """Rotations (B, 24, 3, 3), betas (B, 10), camera (B, 3), vertices (B, V, 3) and joints (B, 49, 3), float32, of
        RGB crops uint8 (B, S, S, 3)."""

    @abstractmethod
    def mesh(self, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The vertices (B, V, 3) and joints (B, 49, 3) of rotations (B, 24, 3, 3) and betas (B, 10)."""

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
        size = self.image_size
        crops = [crop_person(image, person.box, size, self.contrast) for person in found]
        return CroppedImage(width, height, found, np.array(crops, np.uint8).reshape(-1, size, size, 3))

    def people(self, images: Sequence[CroppedImage]) -> list[PredictedPeople]:
        """The people of each image; the network sees `batch_size` of them at once, whichever image they are of."""
        if not images:
            return []
        crops = np.concatenate([image.crops for image in images])
        shapes = ((24, 3, 3), (10,), (3,), (self.num_vertices, 3), (49, 3))
        parts: list[Sequence[np.ndarray]] = [[np.empty((0, *shape), np.float32) for shape in shapes]]
        for first in range(0, len(crops), self.batch_size):
            parts.append(self.parameters(crops[first : first + self.batch_size]))
        ends = np.cumsum([len(image.found) for image in images])[:-1]
        values = [np.split(np.concatenate(part), ends) for part in zip(*parts, strict=True)]
        return [self._people(image, *own) for image, *own in zip(images, *values, strict=True)]

    def posed(
        self, people: PredictedPeople, rotations: np.ndarray, betas: np.ndarray, camera: np.ndarray
    ) -> PredictedPeople:
        """`people` with other parameters, and the meshes and joints of these."""
        vertices, joints = self.mesh(rotations, betas)
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
            self.image_size,
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
