from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmr_light.body import load_body
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.protocols import Scorer, build_protocol
from hmr_light.evaluation.scoring import on_crops
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.hmr import build_model, normalize
from hmr_light.reports.overlay import Mesh, choose, draw_meshes, overlay_sheet


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
    drawn = (draw_meshes(grey, [Mesh(vertices[0], translation[0])], body.faces.numpy()) != grey).any(-1)

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
        mesh = Mesh(vertices, torch.zeros(3))
        assert np.array_equal(draw_meshes(image, [mesh], np.array([[0, 1, 2]])), image)


@pytest.mark.parametrize(("size", "shown"), [(192, 192), (80, 240)])
def test_the_sheet_shows_image_labels_and_prediction(rendered: Path, tmp_path: Path, size: int, shown: int) -> None:
    """Small crops are enlarged, and the meshes are drawn over them in the larger size."""
    dataset = MeshDataset(rendered / "test.npz", rendered, image_size=size)
    model = build_model({"backbone": {"name": "blank"}, "regressor": {"name": "mean"}})
    scorer = Scorer(build_protocol({"name": "lsp14"}), load_body())
    overlay_sheet(on_crops(model.eval()), dataset, scorer, tmp_path / "sheet.png", "epoch 3", count=6)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 6 * shown
    strip = (sheet.shape[0] - 4 * shown) // 2
    assert 10 < strip < 60
    rows = [sheet[strip + row * shown : strip + (row + 1) * shown].astype(int) for row in range(4)]
    for drawn in rows[1:3]:
        changed = (rows[0] != drawn).any(2)
        assert np.ptp(np.nonzero(changed)[0]) > 0.4 * shown, "a standing body"

    # The labels lie where the person is: around the 2D keypoints of the labels.
    errors = []
    for index in range(len(dataset)):
        sample = {name: value[None] for name, value in dataset[index].items()}
        gender = dataset.annotations.gender[[index]]
        prediction = model(normalize(sample["image"]))
        errors.append(float(scorer.errors(prediction, scorer.truth(sample, gender))["mpjpe_mm"]))
    best = int(np.argmin(errors))
    crop = np.ascontiguousarray(dataset[best]["image"].permute(1, 2, 0).numpy()[..., ::-1])
    first = cv2.resize(rows[0][:, :shown].astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(first.astype(int) - crop.astype(int)).mean() < 3, "the best one is the first"
    covered = cv2.dilate((rows[1] != rows[0]).any(2)[:, :shown].astype(np.uint8), np.ones((shown // 16, shown // 16)))
    keypoints = dataset[best]["keypoints_2d"].numpy()
    keypoints = keypoints[keypoints[:, 2] > 0, :2]
    inside = ((keypoints + 1) * shown / 2 - 0.5).round().astype(int)
    inside = inside[((inside >= 0) & (inside < shown)).all(1)]
    assert covered[inside[:, 1], inside[:, 0]].mean() > 0.8


def test_best_median_and_worst_are_chosen() -> None:
    rng = np.random.default_rng()
    errors = torch.from_numpy(rng.permutation(21).astype(float))
    assert errors[choose(errors, 6)].tolist() == [0, 1, 9, 10, 19, 20]
    errors[errors == 20] = torch.nan
    assert errors[choose(errors, 3)].tolist() == [0, 9, 19]
    assert sorted(choose(errors[:4], 6)) == [0, 1, 2, 3]
    for known in range(12):
        few = torch.full((12,), torch.nan)
        few[:known] = torch.arange(known)
        chosen = choose(few, 6)
        assert len(set(chosen)) == len(chosen) >= 4
