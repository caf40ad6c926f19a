"""Frames of videos → JPEG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2

from hmr_light.errors import UserError


def extract_frames(video: Path, frames: Mapping[int, Path]) -> set[int]:
    """Write the frames of `video` (the first is 0) that `frames` names, each to its file; returns those that it has.

    Files that exist are kept, and the video is read only as far as frames are missing, so that an interrupted
    conversion goes on where it stopped. Raises `UserError` for a file that is no video, and where nothing can be
    written.
    """
    there = {number for number, path in frames.items() if path.is_file()}
    missing = frames.keys() - there
    if not missing or not video.is_file():
        return there
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise UserError(f"{video} is not a video, or a damaged one", "Fetch it again, or remove it to do without.")
    try:
        # Jumping to a frame is inexact in many formats; reading one after the other is not.
        for number in range(max(missing) + 1):
            if not capture.grab():
                break
            if number in missing:
                read, image = capture.retrieve()
                if not read:
                    break
                _write(frames[number], image)
                there.add(number)
    finally:
        capture.release()
    return there


def _write(path: Path, image: cv2.typing.MatLike) -> None:
    """Whole or not at all; hundreds of thousands of frames cannot each wait for the disk, as `atomic_write` does."""
    encoded, data = cv2.imencode(".jpg", image)
    assert encoded
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data.tobytes())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path}: {error.strerror}", "Free some space, or choose another folder."
        ) from None
