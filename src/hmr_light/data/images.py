"""Where the pixels of annotated people come from: image files in a folder, or a pack of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from hmr_light.data.annotations import Annotations, refuse_paths
from hmr_light.data.crop import CONTEXT, cut_window, decode_image, read_content
from hmr_light.deployment.runtime.crop import Window
from hmr_light.errors import UserError

PACKED = ("packed_shard", "packed_offset", "packed_bytes", "packed_pixels", "packed_window")
"""What annotations say beyond others' whose images are in tar files: a person's image is in which of these (N,), a path
within the folder of images, at which byte (N,), how long it is (N,), height and width (N,2) of unencoded pixels, or
zeros, and where they are in the image (N,3: `Window`)."""
_NUMBERS_OF = {"packed_offset": (), "packed_bytes": (), "packed_pixels": (2,), "packed_window": (3,)}
"""Of those that are numbers, a person's shape."""


class Images(Protocol):
    """The images of annotations, by the person's index."""

    def read(self, index: int, shrink: int) -> tuple[np.ndarray, Window]:
        """The part of the image that any crop of the person shows, BGR uint8 (H,W,3), and where it is.

        `shrink` is the power of two by which the image may be shrunk. Raises `UserError` for what cannot be read.
        """


def open_images(annotations: Annotations, path: Path, folder: Path, context: float = CONTEXT) -> Images:
    """The images of `annotations`, which were read from `path`, to be cut at `context` sides of the box.

    Raises `UserError` if the first image is missing, or if a pack holds less of the images than `context`.
    """
    if all(key in annotations.extras for key in PACKED):
        return PackedImages(annotations, path, folder, context)
    return ImageFiles(annotations, path, folder, context)


class ImageFiles:
    """Images as files in a folder."""

    def __init__(self, annotations: Annotations, path: Path, folder: Path, context: float = CONTEXT) -> None:
        self.annotations, self.folder, self.context = annotations, folder, context
        if not (first := self._path(0)).is_file():
            raise UserError(
                f"{path} names images that are not in {folder}: there is no {first}",
                "Give the folder that the images' paths are relative to.",
            )

    def read(self, index: int, shrink: int) -> tuple[np.ndarray, Window]:
        path, labels = self._path(index), self.annotations
        image = decode_image(read_content(path), path, shrink)
        return cut_window(image, shrink, labels.center[index], labels.scale[index], self.context)

    def _path(self, index: int) -> Path:
        return self.folder / str(self.annotations.imgname[index])


class PackedImages:
    """Images in tar files; see `hmr_light.data.converters.pack`. An image is one read at a known place.

    The bytes are read rather than mapped: one request an image, whatever the file system, and no page stays behind.
    """

    def __init__(self, annotations: Annotations, path: Path, folder: Path, context: float) -> None:
        self.annotations, self.path, self.folder, self.context = annotations, path, folder, context
        self._open: dict[str, int] = {}
        for key, shape in _NUMBERS_OF.items():
            value = annotations.extras[key]
            if value.dtype.kind not in "iuf" or value.shape[1:] != shape:
                raise UserError(f"'{key}' in {path} is {value.shape} of {value.dtype}", "Make the pack again.")
        self._shards, self._offsets, self._lengths, self._pixels, self._windows = (
            annotations.extras[key] for key in PACKED
        )
        self._file(str(self._shards[0]))
        if self._pixels[0].any() and context > CONTEXT:
            raise UserError(
                f"data.augmentation shows {context:.2f} sides of the box, and {path} holds {CONTEXT} of the images",
                "Lower data.augmentation.scale_std, or pack whole images: source.crops=false.",
            )

    def read(self, index: int, shrink: int) -> tuple[np.ndarray, Window]:
        file, labels = self._file(str(self._shards[index])), self.annotations
        misfit = UserError(f"{self.path} does not fit its shards in {self.folder}", "Make the pack again.")
        try:
            length, (height, width) = int(self._lengths[index]), map(int, self._pixels[index])
            window = Window(*map(float, self._windows[index]))
            content = os.pread(file, length, int(self._offsets[index]))
        except (OSError, OverflowError, ValueError, MemoryError):  # numbers that are no places in a file
            raise misfit from None
        if len(content) != length:
            raise misfit
        if height or width:
            if min(height, width) <= 0 or length != height * width * 3 or not (np.isfinite(window).all() and window[2]):
                raise misfit
            return np.frombuffer(content, np.uint8).reshape(height, width, 3), window
        image = decode_image(np.frombuffer(content, np.uint8), str(labels.imgname[index]), shrink)
        return cut_window(image, shrink, labels.center[index], labels.scale[index], self.context)

    def _file(self, shard: str) -> int:
        if shard not in self._open:
            refuse_paths(np.array([shard]), "packed_shard", self.path)
            path = self.folder / shard
            try:
                self._open[shard] = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise UserError(
                    f"cannot read {path}, a shard of {self.path}: {error.strerror}",
                    "Give the folder of the shards as that of the images, or make the pack again.",
                ) from None
        return self._open[shard]
