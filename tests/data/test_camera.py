"""A camera is named by its number; what is missing is one clear message."""

from __future__ import annotations

import sys

import pytest

from hmr_light.data.camera import check_display, open_camera
from hmr_light.errors import UserError
from hmr_light.paths import camera_number


@pytest.mark.parametrize(
    ("source", "number"),
    [("camera", 0), ("camera:0", 0), ("camera:12", 12), ("camera.png", None), ("camera:", None), ("./camera", None),
     ("camera:-1", None), ("camera:1x", None), ("None", None)],
)  # fmt: skip
def test_cameras_are_named_by_their_numbers(source: str, number: int | None) -> None:
    assert camera_number(source) == number


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have a display whenever a window works")
def test_without_a_display_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="no display here") as caught:
        check_display()
    assert "input=clip.mp4" in caught.value.remedy
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    check_display()


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="camera 97 cannot be opened"):
        open_camera(97)
