"""The finder's file gives what `PeopleFinder` sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.cli import compose
from support.figures import landscape, put

from hmr_light.commands.export import run
from hmr_light.deployment.finder import export_finder
from hmr_light.deployment.runtime.boxes import Box, box_of_corner, whole_image
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.deployment.runtime.finding import MOST_PEOPLE
from hmr_light.errors import UserError
from hmr_light.model.finder import PeopleFinder
from hmr_light.model.movenet import IMAGE_SIZE
from hmr_light.model.onnx_predictor import open_onnx, open_session


def picture() -> np.ndarray:
    """Always the same: where two places of a keypoint are equally likely, rounding decides."""
    rng = np.random.default_rng(0)
    image = landscape(rng, 400, 640)
    put(image, (240, 90), 220)
    put(image, (int(rng.choice([10, 470])), 100), 160)
    return image


def in_image(keypoints: np.ndarray, box: Box) -> np.ndarray:
    """Keypoints in pixels of the crop of `box` from its corner, in those of the image."""
    side = 200 * box.scale
    return np.concatenate([box.center - side / 2 + side / IMAGE_SIZE * keypoints[..., :2], keypoints[..., 2:]], -1)


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_the_file_gives_what_the_finder_sees(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], pixels: str
) -> None:
    file = run(compose("export", "model=finder", f"input={pixels}", f"out={tmp_path / 'finder.onnx'}"))
    assert capsys.readouterr().out.startswith(f"{file}: {file.stat().st_size:,} bytes")
    assert file.stat().st_size < 5e6
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert len(json.loads(model.metadata_props[0].value)["keypoints"]) == 17
    image = picture()
    boxes = [whole_image(640, 400), box_of_corner(240, 90, 220, 220)]
    crops = np.stack([crop_person(image, box, IMAGE_SIZE) for box in boxes])
    if pixels == "float32":
        crops = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
    keypoints, centers = open_session(file, threads=1).run(["keypoints", "centers"], {"image": crops})
    assert keypoints.shape == (2, MOST_PEOPLE + 1, 17, 3)
    finder = PeopleFinder()
    for index, seen in enumerate(finder.look(image, boxes)):
        np.testing.assert_allclose(in_image(keypoints[index, 0], boxes[index]), seen.keypoints, atol=2e-3)
        assert np.sqrt(centers[index, 0] * keypoints[index, 0, :, 2].mean()) == pytest.approx(seen.score, abs=1e-4)
    candidates = finder._candidates(image, boxes[0])
    assert 2 <= len(candidates) == (centers[0, 1:] > 0).sum()
    for one, other in zip(in_image(keypoints[0, 1:], boxes[0]), candidates, strict=False):
        np.testing.assert_allclose(one, other, atol=2e-3)
    with pytest.raises(UserError, match="finds people, and is no model"):
        open_onnx(file, threads=1)
    with pytest.raises(UserError, match="is there already"):
        run(compose("export", "model=finder", f"out={file}"))


def test_another_network_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmr_light.deployment.finder_graph.LEAST_CENTER", 0.9)  # another rule in the file
    with pytest.raises(UserError, match="does not give what the finder gives"):
        export_finder(tmp_path / "finder.onnx")
    assert not list(tmp_path.iterdir())


def test_what_the_finder_cannot_be_is_refused(home: Path) -> None:
    for option in ("precision=int8", "precision=float32", "outputs=mesh"):
        with pytest.raises(UserError, match="float16, and gives keypoints"):
            compose("export", "model=finder", option)
