"""Files that other systems' programs write, with random content."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def close(value: np.ndarray, expected: Any) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)


class Hostile:
    """What, read by pickle, makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def touch(folder: Path, *names: str) -> None:
    """Make empty files, and their folders."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def entry(rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """One person of 4D-Humans, as `data.pyd` has them."""
    return {
        "keypoints_2d": rng.uniform(1, 60, (44, 3)).astype(np.float32),
        "keypoints_3d": rng.uniform(0.5, 1, (44, 4)).astype(np.float32),
        "center": rng.uniform(20, 40, 2),
        "scale": rng.uniform(0.1, 0.3, 2),
        "body_pose": rng.normal(size=72),
        "betas": rng.uniform(-2, 2, 10),
        "has_body_pose": np.array(1.0),
        "has_betas": np.array(1.0),
        "extra_info": {"fitting_loss": np.array({"reprojection_loss": 3.0}, object), "annot_valid": True},
    } | changes


def write_tar(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
    """A tar of `samples`: their files by key, then suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, parts in samples.items():
            for suffix, content in parts.items():
                member = tarfile.TarInfo(f"{key}{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def picture(rng: np.random.Generator, suffix: str) -> bytes:
    """An image file of noise."""
    return cv2.imencode(suffix, rng.integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
