"""Where the people of an image are: MoveNet looks at the whole image, and once more at each person that it found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from hmr_light.deployment.runtime.boxes import Box, whole_image
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.deployment.runtime.finding import (
    LEAST_CENTER,
    LEAST_SCORE,
    MOST_PEOPLE,
    Found,
    find_people,
    keypoints_in_image,
)
from hmr_light.model.movenet import IMAGE_SIZE, Maps, center_weights, keypoints_of, load_movenet


class PeopleFinder:
    """MoveNet with the weights in the package; it takes 30 ms of one core for each look."""

    def __init__(self, device: torch.device | str = "cpu", least: float = LEAST_SCORE) -> None:
        """People whose score is less than `least` are not found."""
        self.device = torch.device(device)
        self.least = least
        self._network = load_movenet().to(self.device)

    def find(self, image: np.ndarray) -> list[Found]:
        """The people in an RGB image uint8 (H, W, 3), the one nearest the middle first; empty where nobody is found.

        Each has been looked at once more in its own box, which then is drawn around what was seen in it. People who are
        smaller than about a tenth of the image are often missed.
        """
        height, width = image.shape[:2]
        candidates = self._candidates(image, whole_image(width, height))
        look = partial(self.look, image)
        return find_people(candidates, look, width=width, height=height, least=self.least)

    @torch.no_grad()
    def look(self, image: np.ndarray, boxes: Sequence[Box]) -> list[Found]:
        """What is seen in each of `boxes`: of the person nearest its middle, whatever the score."""
        if not boxes:
            return []
        maps = self._maps(image, boxes)
        best = (maps.centers * center_weights(maps)).flatten(1).argmax(1)
        centers = maps.centers.flatten(1).gather(1, best[:, None])[:, 0]
        keypoints = keypoints_of(maps, torch.arange(len(boxes), device=self.device), best).cpu().numpy()
        scores = (centers.cpu().numpy() * keypoints[..., 2].mean(1)) ** 0.5
        return [
            Found(box, keypoints_in_image(points, box, IMAGE_SIZE), float(score))
            for box, points, score in zip(boxes, keypoints, scores, strict=True)
        ]

    @torch.no_grad()
    def _candidates(self, image: np.ndarray, whole: Box) -> list[np.ndarray]:
        """The keypoints of those who may be people, by their place in the middle and how sure it is."""
        maps = self._maps(image, [whole])
        centers = maps.centers[0, 0]
        peaks = (max_pool2d(maps.centers, 3, 1, 1)[0, 0] == centers) & (centers >= LEAST_CENTER)
        rank = (centers * center_weights(maps)).flatten()
        best = torch.where(peaks.flatten(), rank, 0).topk(MOST_PEOPLE)
        chosen = best.indices[best.values > 0]
        keypoints = keypoints_of(maps, torch.zeros_like(chosen), chosen).cpu().numpy()
        return [keypoints_in_image(points, whole, IMAGE_SIZE) for points in keypoints]

    def _maps(self, image: np.ndarray, boxes: Sequence[Box]) -> Maps:
        crops = np.stack([crop_person(image, box, IMAGE_SIZE) for box in boxes])
        return self._network(torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2) / 127.5 - 1)
