from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmr_light.body import load_body
from hmr_light.data.dataset import MeshDataset
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.hmr import build_model
from hmr_light.reports.overlay import draw_mesh, overlay_sheet


def test_the_drawn_mesh_covers_what_the_losses_project() -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    body, size = load_body(), 160
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[0, 0] = torch.from_numpy(cv2.Rodrigues(np.array([np.pi, 0, 0]))[0]).float()
    vertices = body(rotations, torch.zeros(1, 10)).vertices
    camera = torch.tensor([[rng.uniform(0.6, 0.9), *rng.uniform(-0.1, 0.1, 2)]], dtype=torch.float32)
    translation = weak_perspective_translation(camera, size=size)
    grey = np.full((size, size, 3), 90, np.uint8)
    drawn = (draw_mesh(grey, vertices[0], translation[0], body.faces.numpy()) != grey).any(-1)

    # The silhouette by another way: every projected triangle, filled.
    pixels = (project(vertices, translation, size=size)[0].numpy() + 1) * size / 2 - 0.5
    expected = np.zeros((size, size), np.uint8)
    for triangle in np.round(pixels[body.faces.numpy()] * 16).astype(np.int32):
        cv2.fillConvexPoly(expected, triangle, 1, shift=4)
    overlap = (drawn & (expected > 0)).sum() / (drawn | (expected > 0)).sum()
    assert drawn.sum() > 500
    # `fillConvexPoly` paints every pixel that an edge touches, half a pixel more all round.
    assert overlap > 0.85, seed
    assert not (drawn & (cv2.dilate(expected, np.ones((3, 3), np.uint8)) == 0)).any(), seed


def test_a_mesh_that_cannot_be_seen_leaves_the_image() -> None:
    image = np.random.default_rng().integers(0, 255, (64, 64, 3), dtype=np.uint8)
    behind = torch.tensor([[0, 0, -1.0], [1, 0, -1], [0, 1, -1]])
    for vertices in (behind, torch.full((3, 3), torch.nan)):
        assert np.array_equal(draw_mesh(image, vertices, torch.zeros(3), np.array([[0, 1, 2]])), image)


@pytest.mark.parametrize(("size", "shown"), [(192, 192), (80, 240)])
def test_the_sheet_shows_each_person_twice(rendered: Path, tmp_path: Path, size: int, shown: int) -> None:
    """Small crops are enlarged, and the mesh is drawn over them in the larger size."""
    dataset = MeshDataset(rendered / "test.npz", rendered, image_size=size)
    model = build_model({"backbone": {"name": "blank"}, "regressor": {"name": "mean"}})
    overlay_sheet(model, dataset, load_body(), tmp_path / "sheet.png", count=5)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * shown, 5 * shown, 3)
    first = np.ascontiguousarray(dataset[0]["image"].permute(1, 2, 0).numpy()[..., ::-1])
    above, below = sheet[:shown, :shown].astype(int), sheet[shown:, :shown].astype(int)
    assert (
        np.abs(
            cv2.resize(above.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA) - first.astype(int)
        ).mean()
        < 3
    )
    changed = (above != below).any(2)
    rows, columns = np.nonzero(changed)
    assert np.ptp(rows) > 0.4 * shown, "a standing body"
    assert abs(columns.mean() - shown / 2) < 0.25 * shown
