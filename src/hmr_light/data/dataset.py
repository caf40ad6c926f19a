"""The one dataset: annotations and images → samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.annotations import READS_BETWEEN_RELEASES, load_annotations
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
from hmr_light.data.crop import CONTEXT
from hmr_light.data.images import open_images
from hmr_light.data.look import change_look
from hmr_light.data.split import split_people
from hmr_light.deployment.runtime.crop import crop_image, crop_matrix, shrink_factor, stretch_contrast
from hmr_light.errors import UserError

Sample = dict[str, torch.Tensor]

# From this median scale on, boxes are compared with an image; a box of more times its side is a mistake.
_LARGE_SCALE, _TOO_LARGE = 15.0, 10.0


class MeshDataset(Dataset[Sample]):
    """People in images, cropped to their boxes. `dataset[index]` is the plain sample; `dataset[epoch, index]` the
    augmented one, whose randomness is a function of (seed, epoch, index) alone.

    A sample, S being the image size:

    - `image` (3,S,S) uint8, RGB; it is normalised on the device.
    - `keypoints_2d` (49,3): x, y in [-1,1] from edge to edge of the crop, and confidence; 25 OpenPose joints, then 24.
    - `joints_3d` (24,4): metres relative to the root, camera frame, and confidence; `has_joints_3d` ().
    - `pose` (24,3,3) rotation matrices, the root's in the camera frame; `betas` (10,); `has_smpl` ().
    - `center` (2,), `scale` (): the box that was cropped, in pixels of the image, side / 200.
    - `index` () int64: which of the annotations.

    The pixels are read at a resolution that depends on the box and the size of the crop alone, never on the
    augmentation, so that a pack of crops (`hmr_light.data.converters.pack`) can hold the very same ones.

    `contrast` spin stretches the values of each crop to 0…255. With `shuffle_images`, each person gets the image of the
    person half the dataset further on. With `limit`, the set is the first `limit` people of the file; with
    `split`, those who are in `train` or `held_out` (`hmr_light.data.split`).

    Raises `UserError` at once if the annotations are faulty, the first image is missing, or boxes are in pixels rather
    than pixels / 200; and on access if another image is missing, is not an image, or does not reach into the box. With
    `keep_faulty`, people with faulty entries raise it on access too.
    """

    def __init__(
        self,
        annotations: Path,
        image_root: Path,
        *,
        image_size: int,
        contrast: str | None = None,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
        keep_faulty: bool = False,
        shuffle_images: bool = False,
        limit: int | None = None,
        split: str | None = None,
        pixel_origin: str | None = None,
    ) -> None:
        self.path = Path(annotations)
        self.keep_faulty = keep_faulty
        self.shuffle_images = shuffle_images
        labels = load_annotations(self.path, keep_faulty=keep_faulty)
        self.split = split
        self._rows = None if split is None else split_people(labels, split, self.path)
        labels = labels if self._rows is None else labels.take(self._rows)
        self.limit = limit if limit is not None and limit < len(labels) else None
        """None where all people of the file are taken."""
        labels = labels if self.limit is None else labels.first(self.limit)
        self.pixel_origin = pixel_origin
        if pixel_origin == "edge":
            labels = replace(labels, center=labels.center - np.float32(0.5))
        self.annotations = labels
        self.image_root = Path(image_root)
        self.image_size = image_size
        self.contrast = contrast
        self.augmentation = augmentation
        self.seed = seed
        context = max(CONTEXT, reach(augmentation) if augmentation else 1.0)
        self.images = open_images(self.annotations, self.path, self.image_root, context)
        self._reads = 0
        self._refuse_boxes_in_pixels()

    def _refuse_boxes_in_pixels(self) -> None:
        """Raise `UserError` where boxes are so large that their `scale` must be the side in pixels."""
        typical = float(np.median(self.annotations.scale))
        if typical < _LARGE_SCALE:
            return
        index = int(np.argsort(self.annotations.scale)[len(self) // 2])
        try:
            part, window = self.images.read(index, 8)
        except UserError:  # reported, with its reason, where the image is used
            return
        largest = max(part.shape[:2]) * window.pixel
        if 200 * typical > _TOO_LARGE * largest:
            raise UserError(
                f"the boxes of {self.path} are {200 * typical:.0f} pixels wide (the median), in images of about "
                f"{largest:.0f}: 'scale' seems to be in pixels",
                "'scale' is the side of the box divided by 200: divide it, and save the file again.",
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Loader processes that are not forked open the files again: mapped annotations are not copied."""
        options: dict[str, Any] = {"image_size": self.image_size, "contrast": self.contrast, "seed": self.seed}
        options |= {"augmentation": self.augmentation}
        options |= {"keep_faulty": self.keep_faulty, "shuffle_images": self.shuffle_images, "limit": self.limit}
        options |= {"split": self.split, "pixel_origin": self.pixel_origin}
        return partial(MeshDataset, **options), (self.path, self.image_root)

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        if isinstance(key, tuple):
            return self.sample(key[1], self.change(*key))
        return self.sample(key, NO_AUGMENTATION)

    def change(self, epoch: int, index: int) -> Augmentation:
        """How the person `index` is augmented in `epoch`."""
        if self.augmentation is None:
            return NO_AUGMENTATION
        return draw_augmentation(self.augmentation, np.random.default_rng((self.seed, epoch, index)))

    def sample(self, index: int, change: Augmentation) -> Sample:
        """The sample of the person `index` with this augmentation."""
        from scipy.spatial.transform import Rotation  # slow to import, and needed for samples alone

        labels = self.annotations
        if index in labels.faulty:
            raise UserError(labels.faulty[index], "Correct the entry or leave the person out.")
        size = self.image_size
        scale = labels.scale[index] * change.scale
        center = self._center(index, change)
        matrix = crop_matrix(center, scale, size, change.rotation_degrees, change.flip)

        shown = (index + len(self) // 2) % len(self) if self.shuffle_images else index
        image = change_look(augment_colour(self._crop(shown, change), change.gain), change.look)
        keypoints = np.concatenate([labels.openpose[index], labels.part[index]])
        keypoints = augment_keypoints(keypoints, _normalised(matrix, size), change.flip)
        rotations = Rotation.from_rotvec(labels.pose[index].reshape(24, 3)).as_matrix()
        joints = augment_joints(labels.S[index], change)
        self._reads += 1
        if labels.file and self._reads % READS_BETWEEN_RELEASES == 0:
            labels.file.release()
        return {
            "image": torch.from_numpy(np.stack(cv2.split(image))),
            "keypoints_2d": _float(keypoints),
            "joints_3d": _float(joints),
            "pose": _float(augment_pose(rotations, change)),
            "betas": _float(labels.shape[index]),
            "has_smpl": torch.tensor(float(labels.has_smpl[index])),
            "has_joints_3d": torch.tensor(float(joints[:, 3].any())),
            "center": _float(center),
            "scale": torch.tensor(float(scale)),
            "index": torch.tensor(index),
        }

    def _center(self, index: int, change: Augmentation) -> np.ndarray:
        """Centre (2,) of the changed box, pixels of the image."""
        moved = 200 * self.annotations.scale[index] * np.asarray(change.shift)
        return np.asarray(self.annotations.center[index] + moved)

    def _crop(self, index: int, change: Augmentation) -> np.ndarray:
        center, scale = self._center(index, change), self.annotations.scale[index]
        matrix = crop_matrix(center, scale * change.scale, self.image_size, change.rotation_degrees, change.flip)
        # The extremes that SPIN stretches are those of the image's own pixels.
        shrink = 1 if self.contrast else shrink_factor(crop_matrix(center, scale, self.image_size))
        try:
            image, window = self.images.read(index, shrink)
        except UserError as error:
            row = index if self._rows is None else int(self._rows[index])
            raise UserError(f"{error.message} (imgname[{row}] of {self.path})", error.remedy) from None
        if self.contrast == "spin":
            turned = change.rotation_degrees != 0
            image = stretch_contrast(image, window, center, scale * change.scale, turned=turned)
        return cv2.cvtColor(crop_image(image, matrix, self.image_size, window), cv2.COLOR_BGR2RGB)


def worker_init(worker: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: loader processes are the parallelism, so none of them starts threads."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _normalised(matrix: np.ndarray, size: int) -> np.ndarray:
    """The affine map to crop pixels, followed by the map of the crop's edges to -1 and 1."""
    normalised = matrix * (2 / size)
    normalised[:, 2] += 1 / size - 1
    return normalised


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
