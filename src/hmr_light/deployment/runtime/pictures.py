"""The pictures that a user points at: an image, a folder of images, or a video's frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".gif", ".jp2")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_OF_SEVERAL = (".gif", ".tif", ".tiff", ".webp", ".avif", ".png")
"""Formats that can hold several images in one file."""
_USUAL_RATE = 25.0
"""Frames a second of a video that does not say it."""
_SHOWN = 5
"""Names that a note lists."""


class Picture(NamedTuple):
    """An image or a frame, not read yet."""

    name: str
    """The image's path relative to the input folder, or `<video>-<frame>` with the frame's number from 0."""
    source: str
    """The name that boxes are looked up by: the image's, or the video's for all of its frames."""
    read: Callable[[], np.ndarray]
    """The pixels, RGB uint8 (H, W, 3). Raises `UserError` when it cannot be read."""
    time: float | None = None
    """Of a frame, seconds from the video's start; None for an image."""


class Pictures(NamedTuple):
    """Pictures in order, and how many there are (of a video, by its header)."""

    total: int
    pictures: Iterator[Picture]
    notes: list[str]
    """What of the input is not among the pictures; a video's are complete when its last frame was given."""
    is_video: bool = False


def open_pictures(
    source: Path, *, names: Iterable[str] | None, as_stored: bool, every: int, boxes: Path | None = None
) -> Pictures:
    """The pictures of an image file, of a folder, or of a video (every `every`-th frame).

    Of a folder they are those of `names`, paths relative to it; None takes all images that lie in it, by name. What
    else lies there is not read, and noted, but for the file `boxes`. `as_stored` leaves the EXIF orientation unread, as
    public annotations do.
    Raises `UserError` when there is none.
    """
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if not file.name.startswith("."))
        own = [file.name for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
        notes = _others(source, [file for file in files if not boxes or file.resolve() != boxes.resolve()])
        if names is None:
            names = own
        else:
            names = list(names)
            if without := sorted({*own} - {*names}):
                notes.append(f"without a box, and left out, in {source}: {counted(without, 'image')}")
        images = [_image(source / name, name, as_stored, notes) for name in names]
        if not images:
            raise UserError(
                f"{source} holds no images ({', '.join(IMAGE_SUFFIXES)}){''.join(f'; {note}' for note in notes)}",
                "Name another folder.",
            )
        return Pictures(len(images), iter(images), notes)
    if not source.is_file():
        raise UserError(f"there is no image, folder or video {source}", "Correct the path.")
    if source.suffix.lower() in VIDEO_SUFFIXES:
        return _video(source, every)
    notes = []
    return Pictures(1, iter([_image(source, source.name, as_stored, notes)]), notes)


def _others(folder: Path, files: list[Path]) -> list[str]:
    """What of a folder is not read, and what to do about it."""
    notes = []
    videos = [file.name for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    known = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    others = [file.name for file in files if file.is_file() and file.suffix.lower() not in known]
    folders = [file.name for file in files if file.is_dir()]
    if others:
        notes.append(f"no image and no video, so not read, in {folder}: {counted(others, 'file')}")
    if videos:
        notes.append(f"not read, give each as an input of its own, in {folder}: {counted(videos, 'video')}")
    if folders:
        notes.append(f"not read, give each as an input of its own, in {folder}: {counted(folders, 'subfolder')}")
    return notes


def counted(names: list[str], noun: str) -> str:
    """How many there are, and the first of them: `3 images (a.jpg, b.jpg, c.jpg)`."""
    more = ", …" if len(names) > _SHOWN else ""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'} ({', '.join(names[:_SHOWN])}{more})"


def shrink_to(image: np.ndarray, longest: int) -> np.ndarray:
    """`image` (H, W, 3) with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return image
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _image(file: Path, name: str, as_stored: bool, notes: list[str]) -> Picture:
    def read() -> np.ndarray:
        try:
            content = np.fromfile(file, np.uint8)
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}", "Look at the path and its permissions.") from None
        flags = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_IGNORE_ORIENTATION if as_stored else 0)
        try:
            image = cv2.imdecode(content, flags)
        except cv2.error:
            image = None
        if image is None:
            remedy = "Fetch it again, or leave it out."
            if file.suffix.lower() not in IMAGE_SUFFIXES:
                remedy = f"Convert it to one of {', '.join(IMAGE_SUFFIXES)}."
            raise UserError(f"{file} is not an image that can be read, or a damaged one", remedy)
        if file.suffix.lower() in _OF_SEVERAL and (count := cv2.imcount(str(file))) > 1:
            notes.append(f"{name} holds {count} images, of which the first is read")
        if as_stored and content[:2].tobytes() == b"\xff\xd8":
            upright = cv2.imdecode(content, cv2.IMREAD_REDUCED_GRAYSCALE_8)
            if upright is not None and (upright.shape[0] > upright.shape[1]) != (image.shape[0] > image.shape[1]):
                notes.append(f"{name} is to be turned by its EXIF orientation; its boxes are for the pixels as stored")
        return image

    return Picture(name, name, read)


def _video(file: Path, every: int) -> Pictures:
    video = cv2.VideoCapture(str(file))
    if not video.isOpened():
        raise UserError(f"{file} is not a video, or a damaged one", "Convert it to mp4 (H.264), or give its frames.")
    total = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    rate = video.get(cv2.CAP_PROP_FPS) or _USUAL_RATE
    notes: list[str] = []

    def frames() -> Iterator[Picture]:
        number = 0
        while video.grab():
            if number % every == 0:
                found, frame = video.retrieve()
                read = partial(_frame, found, frame, file)
                yield Picture(f"{file.stem}-{number:06d}", file.name, read, number / rate)
            number += 1
        video.release()
        if number < total:
            notes.append(f"{file} announces {total} frames, and {number} could be read: the file may be cut")

    return Pictures(-(-total // every), frames(), notes, is_video=True)


def _frame(found: bool, frame: np.ndarray, file: Path) -> np.ndarray:
    if not found:
        raise UserError(f"a frame of {file} cannot be decoded", "Convert the video anew.")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
