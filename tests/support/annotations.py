"""Annotations of random people."""

from __future__ import annotations

import numpy as np

PEOPLE = 40_000


def people(rng: np.random.Generator, count: int = PEOPLE) -> dict[str, np.ndarray]:
    """The arrays of `count` people, most of them of random numbers."""
    return {
        "imgname": np.char.add(np.arange(count).astype(str), "/그림.jpg"),
        "center": rng.random((count, 2), np.float32),
        "scale": rng.uniform(0.1, 3, count).astype(np.float32),
        "pose": rng.random((count, 72), np.float32),
        "shape": rng.random((count, 10), np.float32),
        "has_smpl": rng.random(count) < 0.5,
        "gender": np.full(count, "n"),
    }
