"""`hmr-light predict input=camera`: the people before a camera, drawn in a window as they move."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hmr_light.deployment.runtime.pictures import shrink_to

if TYPE_CHECKING:
    from hmr_light.model.predictor import Predictor


def watch(
    frames: Iterator[np.ndarray],
    predictor: Predictor,
    show: Callable[[np.ndarray], bool],
    *,
    smooth: bool,
    picture_size: int,
) -> int:
    """Draw the people of `frames`, RGB uint8 (H, W, 3), until `show` returns False, and return how many were drawn."""
    from hmr_light.deployment.runtime.following import Follower, Smoother
    from hmr_light.deployment.runtime.predictions import draw_sheet

    follower, smoother = Follower(predictor), Smoother(predictor)
    start = time.monotonic()
    count = 0
    for frame in frames:
        people = follower(frame)
        if smooth:
            people = smoother(people, follower.identities, time.monotonic())
        count += 1
        rate = count / (time.monotonic() - start)
        seen = f"{len(people)} {'person' if len(people) == 1 else 'people'}, {rate:.1f} frames a second"
        if not show(draw_sheet(people, shrink_to(frame, picture_size), predictor.faces, seen)):
            break
    print(f"{count} frames", file=sys.stderr)
    return count
