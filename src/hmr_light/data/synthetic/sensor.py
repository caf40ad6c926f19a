"""What lens, sensor and file make of a scene: blur, motion, white balance, gamma, noise and JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.special import ndtri

from hmr_light.data.synthetic.config import SensorConfig

_QUANTILES = ndtri((np.arange(256) + 0.5) / 256)


def expose(rng: np.random.Generator, image: np.ndarray, config: SensorConfig) -> np.ndarray:
    """The scene `image` (S, S, 3) as the sensor gives it."""
    size = image.shape[0]
    if rng.random() < config.motion_blur:
        length = int(rng.integers(3, 8) * size / 256) | 1
        angle = rng.uniform(0, 180)
        line = np.zeros((length, length), np.uint8)
        reach = (length // 2) * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        ends = np.round(length // 2 + np.outer((-1, 1), reach)).astype(int)
        cv2.line(line, ends[0].tolist(), ends[1].tolist(), 1)
        # Multiples of 1/256, with which sums of bytes are exact.
        kernel = np.floor(line * (256 / line.sum()))
        kernel[length // 2, length // 2] += 256 - kernel.sum()
        image = cv2.filter2D(image, -1, (kernel / 256).astype(np.float32))
    sigma = float(rng.uniform(*config.blur_px)) * size / 256
    if sigma > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    levels = np.arange(256, dtype=np.float64)[:, None] / 255
    gain = 1 + rng.uniform(-config.white_balance, config.white_balance, 3)
    curve = 255 * np.clip(levels * gain, 0, 1) ** rng.uniform(*config.gamma)
    image = cv2.LUT(image, curve.round().astype(np.uint8)[:, None])
    std = rng.uniform(*config.noise)
    if std > 0.3:
        # Normal deviates in 256 steps, by their quantiles: thrice as fast as drawing them, and no eye sees it.
        grain = (128.5 + std * _QUANTILES).clip(0, 255).astype(np.uint8)
        draw = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
        image = cv2.addWeighted(image, 1, cv2.LUT(draw, grain), 1, -128)
    return image


def encode(rng: np.random.Generator, image: np.ndarray, config: SensorConfig) -> bytes:
    """The image as JPEG, of random quality."""
    quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV did not encode a JPEG image")
    return content.tobytes()
