"""How long a training sample takes to load, beside a loader written as SPIN's is. One thread, interleaved.

    python scripts/benchmark_loading.py [--image photograph.jpg] [--samples 40]

The yardstick decodes the whole image, cuts the box out, turns and resizes it in float64, and normalises it on the CPU,
keypoint by keypoint. SPIN does so with scikit-image and scipy.misc; here scipy.ndimage with linear interpolation stands
in for both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import ndimage

from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.crop import read_image
from hmr_light.data.dataset import MeshDataset

SIZE = 224
# Width, height, side of the person's box.
IMAGES = ((256, 256, 200), (640, 480, 350), (1000, 1000, 700), (1920, 1080, 900), (2048, 2048, 1600))
PEOPLE = 16
SPIN = AugmentationConfig(
    flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.25, colour_gain=0.4
)


def yardstick(dataset: MeshDataset, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One sample as SPIN's loader makes it: its image (3,S,S) float32, normalised, and its 24 keypoints."""
    labels = dataset.annotations
    image = read_image(dataset.image_root / str(labels.imgname[index]))[:, :, ::-1].astype(np.float32)
    rotation = float(np.clip(rng.normal(0, 30), -60, 60)) if rng.random() < 0.4 else 0.0
    half = int(100 * labels.scale[index] * np.clip(rng.normal(1, 0.25), 0.75, 1.25))
    x, y = labels.center[index].astype(int)
    pad = 0 if rotation == 0 else int(half * (np.sqrt(2) - 1))  # so that turning brings no corners in
    reach = half + pad
    crop = np.zeros((2 * reach, 2 * reach, 3))
    top, left = max(0, y - reach), max(0, x - reach)
    part = image[top : y + reach, left : x + reach]
    crop[top - y + reach :, left - x + reach :][: part.shape[0], : part.shape[1]] = part
    if rotation:
        crop = ndimage.rotate(crop, rotation, reshape=False, order=1)[pad : pad + 2 * half, pad : pad + 2 * half]
    crop = ndimage.zoom(crop, (SIZE / crop.shape[0], SIZE / crop.shape[1], 1), order=1)
    if rng.random() < 0.5:
        crop = np.fliplr(crop)
    crop = np.clip(crop * rng.uniform(0.6, 1.4, 3), 0, 255).transpose(2, 0, 1).astype(np.float32) / 255
    crop = (crop - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[:, None, None]
    scale = SIZE / (2 * half)
    matrix = np.array([[scale, 0, SIZE / 2 - scale * x], [0, scale, SIZE / 2 - scale * y], [0, 0, 1]])
    keypoints = np.array([matrix @ [*joint[:2], 1] for joint in labels.part[index]])
    return crop.astype(np.float32), keypoints


def interleaved_means(works: dict[str, Callable[[int], object]], repeats: int) -> dict[str, float]:
    """Mean milliseconds of each work, since samples differ; in turns, so that a busy moment falls on all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats):
        for name, work in works.items():
            started = time.perf_counter()
            work(repeat)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: float(np.mean(values)) for name, values in times.items()}


def write_people(folder: Path, photograph: np.ndarray, width: int, height: int, box: int) -> MeshDataset:
    rng = np.random.default_rng(0)
    name = f"{width}x{height}.jpg"
    image = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    arrays = {
        "imgname": np.full(PEOPLE, name),
        "center": np.array([width / 2, height / 2]) + rng.uniform(-0.05, 0.05, (PEOPLE, 2)) * box,
        "scale": np.full(PEOPLE, box / 200),
        "part": rng.uniform(1, box, (PEOPLE, 24, 3)),
        "S": rng.uniform(0.1, 1, (PEOPLE, 24, 4)),
        "pose": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 10)),
    }
    save_annotations(folder / f"{name}.npz", Annotations.from_arrays(arrays))
    return MeshDataset(folder / f"{name}.npz", folder, image_size=SIZE, augmentation=SPIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a photograph to enlarge or shrink; smooth noise if not given")
    parser.add_argument("--samples", type=int, default=40)
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if arguments.image:
        photograph = read_image(arguments.image)
    else:
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        photograph = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]

    print(
        f"{'image':>11} {'box':>5} {'SPIN-style':>11} {'hmr_light':>10} {'decoding':>9} {'images/s':>9} {'faster':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for width, height, box in IMAGES:
            dataset = write_people(Path(folder), photograph, width, height, box)
            image = dataset.image_root / str(dataset.annotations.imgname[0])
            rng = np.random.default_rng(1)
            works: dict[str, Callable[[int], object]] = {
                "spin": lambda i, d=dataset, r=rng: yardstick(d, i % PEOPLE, r),  # type: ignore[misc]
                "ours": lambda i, d=dataset: d[i // PEOPLE, i % PEOPLE],  # type: ignore[misc]
                "decode": lambda i, p=image: read_image(p),  # type: ignore[misc]
            }
            took = interleaved_means(works, arguments.samples)
            cells = f"{width:>6}x{height:<4} {box:>5} {took['spin']:>8.1f} ms {took['ours']:>7.2f} ms"
            rates = f"{1000 / took['ours']:>9.0f} {took['spin'] / took['ours']:>6.1f}x"
            print(f"{cells} {took['decode']:>6.2f} ms {rates}")


if __name__ == "__main__":
    main()
