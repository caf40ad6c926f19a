"""What a camera sees is drawn frame by frame, until the window is closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cli import compose
from support.figures import landscape, put

from hmr_light.checkpoints.models import load_model
from hmr_light.commands.predict import run as predict
from hmr_light.commands.watch import watch
from hmr_light.errors import UserError
from hmr_light.model.predictor import Predictor


def test_frames_are_drawn_until_the_window_is_closed() -> None:
    ground = landscape(np.random.default_rng(), 200, 300)
    person = ground.copy()
    put(person, (60, 10), 180)
    shown: list[np.ndarray] = []

    def show(image: np.ndarray) -> bool:
        shown.append(image)
        return len(shown) < 3

    frames = iter([ground, person, person, person])
    assert watch(frames, Predictor(load_model("mobile", "cpu")), show, smooth=True, picture_size=150) == 3
    assert next(frames) is person  # no frame is asked for after the window was closed
    assert {image.shape[1] for image in shown} == {300}  # the picture and the view from the side
    nobody, somebody = (image[:100, 150:] for image in shown[:2])
    assert (nobody == 255).all()
    assert (somebody < 255).any()


def test_without_a_display_or_a_camera_one_message_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    with pytest.raises(UserError, match="camera 96 cannot be opened"):
        predict(compose("predict", "input=camera:96"))
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match="no display here"):
        predict(compose("predict", "input=camera"))
    with pytest.raises(UserError, match="boxes=image is for images and videos"):
        predict(compose("predict", "input=camera", "boxes=image"))
    assert list(home.iterdir()) == []
