"""The look of a crop: each change alone against an independent computation, and draws that are independent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.look import PLAIN, Look, change_look, draw_look

OFF = AugmentationConfig(
    flip_probability=0.0, rotation_std_degrees=0.0, rotation_probability=0.0, scale_std=0.0, colour_gain=0.0
)
ALL = replace(
    OFF,
    contrast=0.4,
    grey_probability=0.3,
    blur_probability=0.2,
    low_resolution_probability=0.5,
    cutout_probability=0.6,
)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng().integers(0, 256, (64, 64, 3), np.uint8)


def draws(config: AugmentationConfig, count: int = 3000) -> list[Look]:
    return [draw_look(config, np.random.default_rng((7, seed))) for seed in range(count)]


def test_nothing_is_drawn_where_all_is_off(image: np.ndarray) -> None:
    assert set(draws(OFF, 50)) == {PLAIN}
    assert change_look(image, PLAIN) is image


def test_each_change_comes_as_often_as_asked() -> None:
    looks = draws(ALL)
    assert np.mean([look.grey for look in looks]) == pytest.approx(0.3, abs=0.03)
    assert np.mean([look.blur > 0 for look in looks]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([look.low_resolution > 1 for look in looks]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([look.cutout is not None for look in looks]) == pytest.approx(0.6, abs=0.03)
    contrast = np.array([look.contrast for look in looks])
    assert (contrast.min(), contrast.max()) == pytest.approx((0.6, 1.4), abs=2e-3)


def test_an_option_changes_only_what_it_names() -> None:
    for look, other in zip(draws(ALL, 40), draws(replace(ALL, grey_probability=0.0), 40), strict=True):
        assert other == look._replace(grey=False)


def test_contrast_is_about_the_middle(image: np.ndarray) -> None:
    expected = np.clip(np.floor(127.5 + 1.3 * (image.astype(float) - 127.5) + 0.5), 0, 255)
    np.testing.assert_array_equal(change_look(image, Look(contrast=1.3)), expected)


def test_grey_has_three_equal_channels_of_the_luma(image: np.ndarray) -> None:
    grey = change_look(image, Look(grey=True)).astype(float)
    assert (grey == grey[..., :1]).all()
    np.testing.assert_allclose(grey[..., 0], image @ [0.299, 0.587, 0.114], atol=1)


def test_low_resolution_keeps_what_is_smooth_and_loses_detail(image: np.ndarray) -> None:
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    slope = np.stack([2 * x + y, 3 * y, 180 - x - y], 2).astype(np.uint8)
    low = change_look(slope, Look(low_resolution=4.0)).astype(float)
    np.testing.assert_allclose(low[2:-2, 2:-2], slope[2:-2, 2:-2], atol=1)
    # Of noise, blocks of 4 x 4 become their means; enlarging them makes it smoother still.
    low = change_look(image, Look(low_resolution=4.0)).astype(float)
    assert low.std() < 1.1 * image.reshape(16, 4, 16, 4, 3).mean((1, 3)).std()
    assert abs(low.mean() - image.mean()) < 2
    assert change_look(image, Look(low_resolution=1000.0)).shape == image.shape


def test_blur_spreads_a_point_by_its_deviation() -> None:
    point = np.zeros((65, 65, 3), np.uint8)
    point[32, 32] = 255
    blurred = change_look(np.ascontiguousarray(point), Look(blur=2 / 65))[..., 0].astype(float)
    x = np.arange(65) - 32
    expected = 255 * np.outer(*[np.exp(-(x**2) / 8) / np.exp(-(x**2) / 8).sum()] * 2)
    np.testing.assert_allclose(blurred, expected, atol=1)


def test_a_cutout_covers_its_rectangle_alone(image: np.ndarray) -> None:
    before = image.copy()
    covered = change_look(image, Look(cutout=(-0.25, 0.5, 0.5, 0.25), colour=(1, 2, 3)))
    assert (covered[32:48, :16] == (1, 2, 3)).all()
    covered[32:48, :16] = image[32:48, :16]
    np.testing.assert_array_equal(covered, before)
    np.testing.assert_array_equal(image, before)
    outside = change_look(image, Look(cutout=(0.9, 0.9, 0.4, 0.4), colour=(1, 2, 3)))
    assert (outside[58:, 58:] == (1, 2, 3)).all()
