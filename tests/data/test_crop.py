"""Crops: pixels and keypoints move by one map, nothing aliases, and a bad file is named."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.data.crop import read_image
from hmr_light.deployment.runtime.crop import Window, crop_image, crop_matrix, shrink_factor, transform_points
from hmr_light.errors import UserError

SIZE = 224
CROPS = [
    # box side, rotation, flip: enlarged, at par, antialiased, and shrunk by 2, 4, 8 and 16.
    (120.0, 0.0, False),
    (224.0, 0.0, False),
    (300.0, 37.5, True),
    (447.0, -60.0, False),
    (700.0, 12.0, True),
    (1000.0, -25.0, False),
    (2000.0, 80.0, True),
    (4000.0, -5.0, True),
    (8000.0, 45.0, False),
]


def blob(width: int, height: int, at: np.ndarray, sigma: float) -> np.ndarray:
    x, y = np.arange(width), np.arange(height)[:, None]
    value = 240 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(value).astype(np.uint8)[:, :, None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = np.clip(image[:, :, 0].astype(np.float64) - 12, 0, None)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def crop_file(path: Path, matrix: np.ndarray) -> np.ndarray:
    shrink = shrink_factor(matrix)
    return crop_image(read_image(path, shrink), matrix, SIZE, Window((shrink - 1) / 2, (shrink - 1) / 2, shrink))


@pytest.mark.parametrize(("side", "rotation", "flip"), CROPS)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_what_was_under_a_keypoint_is_under_the_transformed_one(
    tmp_path: Path, side: float, rotation: float, flip: bool, suffix: str
) -> None:
    rng = np.random.default_rng(int(side))
    center = np.array([960.3, 540.8])
    keypoint = center + rng.uniform(-0.25, 0.25, 2) * side * min(1, 1900 / side / 2)
    # An odd size: the last blocks of a reduced JPEG are partial.
    image = blob(1913, 1077, keypoint, sigma=max(4.0, 4 * side / SIZE))
    cv2.imwrite(str(tmp_path / f"image{suffix}"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    matrix = crop_matrix(center, side / 200, SIZE, rotation, flip)
    crop = crop_file(tmp_path / f"image{suffix}", matrix)
    error = np.linalg.norm(centroid(crop) - transform_points(matrix, keypoint))
    assert error < 0.05, f"{error:.3f} pixels, keypoint {keypoint}"


def test_crop_without_scaling_is_the_image_itself(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    # Columns 50 to 273 and rows 20 to 243: their centre lies between two pixels.
    matrix = crop_matrix(np.array([161.5, 131.5]), SIZE / 200, SIZE)
    np.testing.assert_array_equal(crop_file(tmp_path / "a.png", matrix), image[20:244, 50:274])
    corners = transform_points(matrix, np.array([[50.0, 20.0], [273.0, 243.0]]))
    np.testing.assert_allclose(corners, [[0, 0], [223, 223]], atol=1e-9)


def test_flipped_crop_is_the_mirrored_crop(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, (300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    plain, flipped = (
        crop_file(tmp_path / "a.png", crop_matrix(np.array([161.5, 131.5]), SIZE / 200, SIZE, flip=flip))
        for flip in (False, True)
    )
    np.testing.assert_array_equal(flipped, plain[:, ::-1])


def test_positive_rotation_turns_clockwise() -> None:
    right_of_center = transform_points(crop_matrix(np.array([10.0, 10.0]), 1.0, 200, 90.0), np.array([15.0, 10.0]))
    np.testing.assert_allclose(right_of_center, [99.5, 104.5])  # below it


def test_outside_the_image_is_black(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 50, 3), 255, np.uint8))
    crop = crop_file(tmp_path / "a.png", crop_matrix(np.array([-0.5, 24.5]), 100 / 200, SIZE))
    assert crop[:, :110].max() == 0
    assert crop[58:166, 114:222].min() == 255
    assert crop[:54].max() == 0


@pytest.mark.parametrize("side", [400, 880, 900, 2100])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_fine_texture_does_not_alias(tmp_path: Path, side: int, suffix: str) -> None:
    """Stripes finer than the crop can show must turn grey, not into coarse stripes."""
    ratio = side / SIZE
    period = 2 * ratio * 0.62  # frequency 0.8 of the crop's sampling frequency: would fold to 0.2 of it
    stripes = 127.5 + 120 * np.sin(2 * math.pi * np.arange(2200) / period)
    image = np.repeat(np.rint(np.tile(stripes, (600, 1))).astype(np.uint8)[:, :, None], 3, axis=2)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    matrix = crop_matrix(np.array([1100.0, 300.0]), side / 200, SIZE)
    crop = crop_file(tmp_path / f"a{suffix}", matrix)
    rows = crop[100:124, 8:-8].astype(np.float64)
    plain = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)[100:124, 8:-8].astype(np.float64)
    assert rows.std() < 0.6 * plain.std(), f"contrast {rows.std():.1f}, without antialiasing {plain.std():.1f}"


@pytest.mark.parametrize(("side", "expected"), [(100, 1), (627, 1), (628, 2), (1254, 2), (1255, 4), (8000, 16)])
def test_image_stays_finer_than_the_crop_when_it_is_shrunk(side: float, expected: int) -> None:
    for rotation in (0.0, 33.0):
        assert shrink_factor(crop_matrix(np.zeros(2), side / 200, SIZE, rotation)) == expected


@pytest.mark.parametrize("shrink", [2, 4, 8, 16])
def test_reduced_jpeg_is_the_mean_of_blocks(tmp_path: Path, shrink: int) -> None:
    rng = np.random.default_rng(shrink)
    image = cv2.GaussianBlur(rng.integers(0, 256, (333, 501, 3), np.uint8), (0, 0), 3)
    for suffix in (".jpg", ".png"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    jpeg, png = (read_image(tmp_path / f"a{suffix}", shrink).astype(int) for suffix in (".jpg", ".png"))
    assert jpeg.shape == png.shape == (-(-333 // shrink), -(-501 // shrink), 3)
    assert np.abs(jpeg - png)[:-1, :-1].mean() < 1.5
    expected = image[:shrink, :shrink].astype(float).mean((0, 1))
    np.testing.assert_allclose(png[0, 0], expected, atol=0.51)


def test_orientation_tag_does_not_turn_the_pixels(tmp_path: Path) -> None:
    """Annotations were made on the pixels as they are stored."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 200
    encoded = cv2.imencode(".jpg", image)[1].tobytes()
    # An EXIF block that says: turn by 90 degrees (orientation 6).
    tiff = b"II*\x00\x08\x00\x00\x00" + b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "a.jpg").write_bytes(encoded[:2] + segment + encoded[2:])
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (80, 40, 3), "the tag is not read at all: the test is void"
    assert read_image(tmp_path / "a.jpg").shape == (40, 80, 3)
    assert read_image(tmp_path / "a.jpg", 2).shape == (20, 40, 3)


def test_grey_transparent_and_deep_images_become_three_bytes_a_pixel(tmp_path: Path) -> None:
    for name, image in {
        "grey": np.full((20, 30), 77, np.uint8),
        "transparent": np.full((20, 30, 4), 77, np.uint8),
        "deep": np.full((20, 30, 3), 77 * 257, np.uint16),
    }.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        read = read_image(tmp_path / f"{name}.png")
        assert read.dtype == np.uint8, name
        np.testing.assert_array_equal(read, np.full((20, 30, 3), 77), err_msg=name)


@pytest.mark.parametrize("fault", ["missing", "text", "empty", "truncated.jpg", "truncated.png", "folder"])
def test_what_is_not_an_image_is_refused_by_name(tmp_path: Path, fault: str) -> None:
    path = tmp_path / fault
    image = np.random.default_rng(3).integers(0, 256, (100, 100, 3), np.uint8)
    if fault == "folder":
        path.mkdir()
    elif fault.startswith("truncated"):
        encoded = cv2.imencode(path.suffix, image)[1].tobytes()
        path.write_bytes(encoded[: len(encoded) // 2])
    elif fault != "missing":
        path.write_bytes({"text": b"<html>404</html>", "empty": b""}[fault])
    with pytest.raises(UserError, match=fault) as caught:
        read_image(path, 2)
    assert caught.value.remedy
