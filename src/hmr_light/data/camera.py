"""A camera of this machine, and the window that shows what it sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from hmr_light.errors import UserError

_TITLE = "hmr-light: q or Esc closes"
_CLOSES = (27, ord("q"), ord("Q"))  # 27 is Esc


def check_display() -> None:
    """Raise `UserError` where no window can be shown."""
    has_server = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform.startswith("linux") and not has_server:
        raise UserError(
            "input=camera shows a window, and there is no display here",
            "Run it where there is a screen, or give a recording: input=clip.mp4.",
        )


def open_camera(number: int) -> Iterator[np.ndarray]:
    """The frames of a camera, RGB uint8 (H, W, 3), the newest whenever one is asked for.

    Raises `UserError` at once if it cannot be opened, and when it gives no frame.
    """
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise UserError(
            f"camera {number} cannot be opened",
            "Look whether it is plugged in, free and permitted; others are input=camera:1, camera:2 …",
        )
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # or the picture lags behind

    def frames() -> Iterator[np.ndarray]:
        try:
            while True:
                found, frame = camera.read()
                if not found:
                    raise UserError(f"camera {number} gives no more pictures", "Look whether it is still plugged in.")
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            camera.release()

    return frames()


def show(image: np.ndarray) -> bool:
    """Show the RGB `image` in the window, and say whether it is still wanted: False once the user has closed it."""
    try:
        cv2.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        closed = cv2.waitKey(1) & 0xFF in _CLOSES or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        if closed:
            cv2.destroyAllWindows()
    except cv2.error as error:
        raise UserError(
            f"no window can be shown: {str(error).splitlines()[0]}", "Install opencv-python, not its headless build."
        ) from error
    return not closed
