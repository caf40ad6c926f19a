"""The people that the runtime sees are those that the main package sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmr_light import Predictor, load_body, sample_photograph
from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.deployment import runtime
from hmr_light.model.onnx_predictor import open_onnx

MAN = [0, 62, 330, 450]
FIELDS = ("rotations", "betas", "camera", "pose", "vertices", "joints", "translation", "crop_translation")
IN_IMAGE = ("joints_2d", "keypoints")


@pytest.fixture(scope="module")
def both(exported: Path, finder_file: Path) -> tuple[runtime.Predictor, Predictor]:
    """The same file, run by the runtime and by the main package; the main package finds people by torch."""
    finder = runtime.PeopleFinder(finder_file)
    own = runtime.Predictor(runtime.load_model(exported), runtime.load_body(EMBEDDED_BODY), finder=finder, batch_size=2)
    return own, Predictor(open_onnx(exported, threads=1))


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return cv2.imread(str(sample_photograph()), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("boxes", [None, "image", [MAN, [10, 70, 300, 300], [100, 0, 100, 100]]])
def test_the_people_of_the_photograph_are_the_same(
    both: tuple[runtime.Predictor, Predictor], photograph: np.ndarray, boxes: Any
) -> None:
    found, expected = (predictor(photograph, boxes) for predictor in both)
    assert len(found) == len(expected) == (3 if isinstance(boxes, list) else 1)
    assert type(found) is type(expected)
    for box, same in zip(found.boxes, expected.boxes, strict=True):
        np.testing.assert_array_equal(box.center, same.center)
        assert box.scale == same.scale
    for name in FIELDS:
        # Parameters to 1e-4; vertices and joints to 0.05 mm.
        atol = 5e-5 if name in ("vertices", "joints") else 1e-4
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=atol, err_msg=name)
    for name in IN_IMAGE:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-3, err_msg=name)  # pixels
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)


def test_several_images_at_once(both: tuple[runtime.Predictor, Predictor], photograph: np.ndarray) -> None:
    own, _ = both
    images = [photograph, photograph[:, ::-1]]
    first, second = own(images, boxes=[[MAN, MAN, MAN], "image"])
    assert (len(first), len(second)) == (3, 1)
    np.testing.assert_allclose(first.vertices[2], first.vertices[0], atol=1e-6)
    assert own([]) == []
    assert len(own(photograph, [])) == 0


def test_the_faces_are_those_of_the_body(both: tuple[runtime.Predictor, Predictor]) -> None:
    np.testing.assert_array_equal(both[0].faces, load_body().faces.numpy())


@pytest.mark.parametrize("image", [None, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_image_is_refused(both: tuple[runtime.Predictor, Predictor], image: Any) -> None:
    with pytest.raises(runtime.UserError, match="image is"):
        both[0](image)
