"""What is drawn and written of people stands where they are, by cameras and rasterisers written anew in float64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.people import CROP, HEIGHT, WIDTH, overlap, painted, random_people, silhouette

from hmr_light.body import SMPL, load_body
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.deployment.runtime.predictions import draw_people, draw_sheet, write_parameters


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


def share_of_outline(mask: np.ndarray, expected: np.ndarray) -> float:
    """Pixels in which two masks differ, as a share of those on the outline: the same for people of any size."""
    inside = cv2.erode(expected.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float((mask ^ expected).sum() / (expected & ~inside).sum())


def test_the_overlay_is_the_silhouette_of_the_true_pose_before_the_crops_camera(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    box = Box(rng.uniform([200, 150], [440, 277]), rng.uniform(1.3, 1.8))
    people, faces = random_people(body, rng, 800.0, [box]), body.faces.numpy()

    # A pinhole over the box: focal length 5000 pixels of the crop, which is 200 * scale pixels of the image wide.
    scale, x, y = people.camera[0].astype(float)
    points = people.vertices[0].astype(float) + np.array([x, y, 2 * 5000 / (CROP * scale)])
    pixels = points[:, :2] / points[:, 2:] * 5000 * (200 * box.scale / CROP) + box.center
    expected = silhouette(pixels, faces, WIDTH, HEIGHT)
    assert expected.sum() > 2000
    assert overlap(painted(people, faces) > 0.5, expected) > 0.95, seed
    # The same in a picture of another size.
    expected = silhouette((pixels + 0.5) / 2 - 0.5, faces, 320, 214)
    assert share_of_outline(painted(people, faces, 320, 214) > 0.5, expected) < 0.35, seed

    # From the side it is another silhouette, at the same height.
    beside = draw_people(people, np.zeros((HEIGHT, WIDTH, 3), np.uint8), faces)[:, WIDTH:]
    rows = np.nonzero((beside < 250).any(-1))[0]
    inside = (pixels[:, 1] > 0) & (pixels[:, 1] < HEIGHT - 1)
    assert abs(rows.min() - pixels[inside, 1].min()) < 4, seed
    assert abs(rows.max() - pixels[inside, 1].max()) < 4, seed


def test_the_translation_into_the_whole_image_puts_people_where_they_are_seen(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    box, faces = Box(rng.uniform([120, 100], [520, 327]), rng.uniform(0.8, 1.3)), body.faces.numpy()
    middle = (np.array([WIDTH, HEIGHT]) - 1) / 2
    for focal in (5000.0 * WIDTH / CROP, float(np.hypot(WIDTH, HEIGHT))):
        people = random_people(body, rng, focal, [box])
        place, crop_place = (value[0].astype(float) for value in (people.translation, people.crop_translation))
        # The body's own origin is seen at one place, whatever the focal length.
        origin = crop_place[:2] / crop_place[2] * 5000 * 200 * box.scale / CROP + box.center
        np.testing.assert_allclose(place[:2] / place[2] * focal + middle, origin, atol=1e-2, err_msg=str(seed))
        if focal > 5000:  # from so far that a person's own depth does not tell
            points = people.vertices[0].astype(float) + place
            pixels = points[:, :2] / points[:, 2:] * focal + middle
            assert overlap(painted(people, faces) > 0.5, silhouette(pixels, faces, WIDTH, HEIGHT)) > 0.93, seed


def test_the_crop_shows_the_network_what_is_drawn_over_the_image(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    # A box so large that the image is shrunk before it is cropped, and one that is enlarged.
    for scale, size in ((1.6, 56), (0.9, 224)):
        shifts = []
        for _ in range(5):  # one person's silhouette is up to half a pixel off by its own edges
            box = Box(rng.uniform([0.4, 0.45], [0.6, 0.55]) * (WIDTH, HEIGHT), scale)
            people = replace(random_people(body, rng, 800.0, [box]), crop_size=size)
            share = np.repeat((255 * painted(people, body.faces.numpy()))[..., None], 3, axis=2).astype(np.uint8)
            found = crop_person(share, box, size)[..., 0] > 128
            points = people.vertices[0].astype(float) + people.crop_translation[0].astype(float)
            pixels = points[:, :2] / points[:, 2:] * 5000 + (size - 1) / 2
            # What leaves the image is black in the crop.
            inside = crop_person(np.full_like(share, 255), box, size)[..., 0] > 128
            expected = silhouette(pixels, body.faces.numpy(), size, size) & inside
            assert overlap(found, expected) > 0.85, seed  # limbs are two or three pixels wide
            shifts.append(np.subtract(*(np.mean(np.nonzero(mask), axis=1) for mask in (found, expected))))
        assert np.abs(np.mean(shifts, axis=0)).max() < 0.3, seed


def test_a_person_who_cannot_be_drawn_leaves_the_others(body: SMPL) -> None:
    rng = np.random.default_rng()
    boxes = [Box(np.array([200.0, 200]), 1.2), Box(np.array([400.0, 200]), 1.2)]
    people = random_people(body, rng, 800.0, boxes)
    people.camera[0, 0] = -0.5  # behind the camera
    picture = draw_people(people, np.zeros((HEIGHT, WIDTH, 3), np.uint8), body.faces.numpy())[:, :WIDTH]
    alone = replace(people, boxes=boxes[1:], camera=people.camera[1:], vertices=people.vertices[1:])
    same = draw_people(alone, np.zeros((HEIGHT, WIDTH, 3), np.uint8), body.faces.numpy())[:, :WIDTH]
    assert np.array_equal(picture.any(-1), same.any(-1))


def test_parameters_are_written_with_their_cameras(body: SMPL, tmp_path: Path) -> None:
    rng = np.random.default_rng()
    people = random_people(body, rng, 700.0, [Box(np.array([200.0, 180]), 1.1), Box(np.array([420.0, 230]), 1.4)])
    write_parameters(people, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        content = dict(file)
    turned = Rotation.from_rotvec(content["pose"].reshape(-1, 3)).as_matrix().reshape(2, 24, 3, 3)
    np.testing.assert_allclose(turned, content["rotations"], atol=1e-5)
    scale, x, y = content["camera"].astype(float).T
    np.testing.assert_allclose(content["crop_translation"][:, 2], 2 * 5000 / (224 * scale), rtol=1e-5)
    pixels = 200 * content["scale"] * scale  # of two metres
    np.testing.assert_allclose(content["translation"][:, 2], 2 * 700 / pixels, rtol=1e-5)
    centre = (content["image_size"] - 1) / 2
    expected = np.stack([x, y], 1) + 2 * (content["center"] - centre) / pixels[:, None]
    np.testing.assert_allclose(content["translation"][:, :2], expected, rtol=1e-4)
    assert (float(content["focal"]), float(content["crop_focal"]), int(content["crop_size"])) == (700.0, 5000.0, 224)
    posed = body(torch.tensor(content["rotations"]), torch.tensor(content["betas"]))
    np.testing.assert_allclose(posed.joints, content["joints"], atol=1e-5)
    points = content["joints"].astype(float) + content["crop_translation"][:, None]
    in_crop = points[..., :2] / points[..., 2:] * 5000 / 224  # in sides of the crop, from its centre
    seen = content["center"][:, None] + in_crop * 200 * content["scale"][:, None, None]
    np.testing.assert_allclose(content["joints_2d"], seen, atol=0.01)


def test_a_sheet_says_what_the_boxes_were_and_shows_them(body: SMPL) -> None:
    rng = np.random.default_rng()
    box = Box(rng.uniform([250, 180], [390, 240]), rng.uniform(0.5, 0.8))
    people = random_people(body, rng, 800.0, [box])
    people.camera[0, 1:] = 50  # far out of the picture, so that the box alone is drawn
    image = np.full((HEIGHT // 2, WIDTH // 2, 3), 100, np.uint8)
    sheets = [draw_sheet(people, image, body.faces.numpy(), text) for text in ("boxes: 사람.json", "boxes: image")]
    drawn = np.nonzero((sheets[0][: HEIGHT // 2, : WIDTH // 2] != 100).any(-1))
    corners = np.array([[value.min(), value.max()] for value in drawn[::-1]]).T
    expected = (box.center + np.array([[-1], [1]]) * 100 * box.scale) / 2
    np.testing.assert_allclose(corners, expected, atol=1.5)
    strips = [sheet[HEIGHT // 2 :] for sheet in sheets]
    assert all((strip < 128).any() for strip in strips)
    assert not np.array_equal(*strips)
