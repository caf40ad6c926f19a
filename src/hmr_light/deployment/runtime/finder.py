"""Where the people of an image are: MoveNet in an ONNX file, which `hmr-light export model=finder` writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from .boxes import Box, whole_image
from .crop import crop_person
from .errors import UserError
from .finding import LEAST_SCORE, Found, find_people, keypoints_in_image
from .sessions import FILES, FINDER, check_outputs, open_file

OUTPUTS = ("keypoints", "centers")


class PeopleFinder:
    """The same as `hmr_light.model.finder.PeopleFinder`."""

    def __init__(self, path: Path | str | None = None, least: float = LEAST_SCORE, threads: int = 1) -> None:
        """`path` None is the file that comes with this package. People whose score is less than `least` are not found.

        Raises `UserError` for a file that is missing, damaged or not the finder's.
        """
        self.least = least
        file = FILES / f"{FINDER}.onnx" if path is None else Path(path).expanduser()
        self._session, metadata = open_file(file, threads)
        if metadata.get("kind") != FINDER or metadata["input"]["type"] != "uint8":
            raise UserError(f"{file} is not the finder of people", "Write it by: hmr-light export model=finder")
        check_outputs(self._session, OUTPUTS, file)
        self._size = int(metadata["input"]["size"])

    def find(self, image: np.ndarray) -> list[Found]:
        """The people in an RGB image uint8 (H, W, 3), the one nearest the middle first; empty where nobody is found."""
        height, width = image.shape[:2]
        whole = whole_image(width, height)
        keypoints, centers = self._see(image, [whole])
        likely = keypoints[0, 1:][centers[0, 1:] > 0]
        candidates = [keypoints_in_image(points, whole, self._size) for points in likely]
        look = partial(self.look, image)
        return find_people(candidates, look, width=width, height=height, least=self.least)

    def look(self, image: np.ndarray, boxes: Sequence[Box]) -> list[Found]:
        """What is seen in each of `boxes`: of the person nearest its middle, whatever the score."""
        if not boxes:
            return []
        keypoints, centers = self._see(image, boxes)
        scores = np.sqrt(centers[:, 0] * keypoints[:, 0, :, 2].mean(1))
        return [
            Found(box, keypoints_in_image(points, box, self._size), float(score))
            for box, points, score in zip(boxes, keypoints[:, 0], scores, strict=True)
        ]

    def _see(self, image: np.ndarray, boxes: Sequence[Box]) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (B, 13, 17, 3) and centers (B, 13), as the metadata of the file have them."""
        crops = np.stack([crop_person(image, box, self._size) for box in boxes])
        keypoints, centers = self._session.run(OUTPUTS, {"image": crops})
        return keypoints, centers
