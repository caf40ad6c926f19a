"""Images a second that one thread loads for training, from JPEG files and from a pack, beside a loader as SPIN's is.

    python scripts/benchmark_loading.py [--image photograph.jpg] [--samples 40] [--pillow]

All are measured in turns in one process, on the same people with the same augmentation. The yardstick decodes the whole
image, cuts the box out, turns and resizes it with scikit-image in float64, and normalises it on the CPU, keypoint by
keypoint; without scikit-image, scipy's linear interpolation stands in for it. With `--pillow` it turns and resizes with
Pillow, as SPIN's own code does by way of `scipy.misc`, which stretches the values to 0...255 before. `decoding` is
`cv2.imread` of the whole image and nothing else, `share` the part of our time that decoding takes. `agreement` is the
mean PSNR between our crops and the yardstick's of the boxes that it cuts: at whole pixels, as SPIN does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import torch
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.augment import Augmentation, draw_augmentation
from hmr_light.data.converters.pack import convert as pack
from hmr_light.data.crop import read_image
from hmr_light.data.dataset import MeshDataset
from hmr_light.deployment.runtime.crop import crop_image, crop_matrix, shrink_factor

try:
    from skimage.transform import resize, rotate
except ImportError:
    rotate = resize = None

pillow = False
SIZE = 224
# Width, height, side of the person's box.
IMAGES = ((256, 256, 200), (640, 480, 350), (1000, 1000, 700), (1920, 1080, 900), (2048, 2048, 1600))
PEOPLE = 16
SPIN = AugmentationConfig(
    flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.25, colour_gain=0.4
)
MEAN, STD = np.array([0.485, 0.456, 0.406])[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]


def yardstick(dataset: MeshDataset, index: int, change: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """One sample as SPIN's loader makes it: its image (3,S,S) float32, normalised, and its 49 keypoints."""
    labels = dataset.annotations
    image = read_image(dataset.image_root / str(labels.imgname[index]))[:, :, ::-1].astype(np.float32)
    (x, y), half = whole_box(dataset, index, change)
    pad = 0 if change.rotation_degrees == 0 else int(half * (np.sqrt(2) - 1))  # so that turning brings no corners in
    reach = half + pad
    crop = cut(image, x, y, reach)
    if change.rotation_degrees:
        crop = turn(crop, change.rotation_degrees * (1 if change.flip else -1))[
            pad : pad + 2 * half, pad : pad + 2 * half
        ]
    crop = shrink(crop)
    if change.flip:
        crop = np.fliplr(crop)
    crop = np.clip(crop * change.gain, 0, 255).transpose(2, 0, 1).astype(np.float32) / 255
    crop = (crop - MEAN) / STD
    matrix = crop_matrix(np.array([x, y]) - 0.5, half / 100, SIZE, change.rotation_degrees, change.flip)
    keypoints = np.array([matrix @ [*joint[:2], 1] for joint in (*labels.openpose[index], *labels.part[index])])
    return crop.astype(np.float32), keypoints


def whole_box(dataset: MeshDataset, index: int, change: Augmentation) -> tuple[np.ndarray, int]:
    """Centre, between two pixels, and half the side."""
    labels = dataset.annotations
    return labels.center[index].astype(int), int(100 * labels.scale[index] * change.scale)


def cut(image: np.ndarray, x: int, y: int, reach: int) -> np.ndarray:
    """The square (2R, 2R, 3) float64 around x, y, between two pixels, of reach R; black outside the image."""
    crop = np.zeros((2 * reach, 2 * reach, 3))
    top, left = max(0, y - reach), max(0, x - reach)
    part = image[top : y + reach, left : x + reach]
    crop[top - y + reach :, left - x + reach :][: part.shape[0], : part.shape[1]] = part
    return crop


def turn(image: np.ndarray, degrees: float) -> np.ndarray:
    """Counter-clockwise."""
    if pillow:
        return np.asarray(PIL.Image.fromarray(stretched(image)).rotate(degrees, PIL.Image.Resampling.BILINEAR))
    if rotate:
        return rotate(image, degrees, preserve_range=True)
    return ndimage.rotate(image, degrees, reshape=False, order=1)


def shrink(image: np.ndarray) -> np.ndarray:
    if pillow:
        size = (SIZE, SIZE)
        return np.asarray(PIL.Image.fromarray(stretched(image)).resize(size, PIL.Image.Resampling.BILINEAR))
    if resize:
        return resize(image, (SIZE, SIZE), preserve_range=True)
    return ndimage.zoom(image, (SIZE / image.shape[0], SIZE / image.shape[1], 1), order=1)


def stretched(image: np.ndarray) -> np.ndarray:
    """As scipy.misc makes uint8 of other numbers."""
    if image.dtype == np.uint8:
        return image
    low, high = image.min(), image.max()
    return ((image - low) * (255 / ((high - low) or 1)) + 0.5).astype(np.uint8)


def change_of(dataset: MeshDataset, epoch: int, index: int) -> Augmentation:
    """What `dataset[epoch, index]` draws."""
    assert dataset.augmentation
    return draw_augmentation(dataset.augmentation, np.random.default_rng((dataset.seed, epoch, index)))


def agreement(dataset: MeshDataset) -> float:
    """Mean PSNR, dB, of our crops against the yardstick's."""
    values = []
    for index in range(PEOPLE):
        change = change_of(dataset, 1, index)._replace(gain=(1.0, 1.0, 1.0))
        theirs = yardstick(dataset, index, change)[0]
        center, half = whole_box(dataset, index, change)
        matrix = crop_matrix(center - 0.5, half / 100, SIZE, change.rotation_degrees, change.flip)
        labels = dataset.annotations
        reduced = shrink_factor(crop_matrix(labels.center[index], labels.scale[index], SIZE))
        pixels, window = dataset.images.read(index, reduced)
        ours = crop_image(pixels, matrix, SIZE, window)[:, :, ::-1].transpose(2, 0, 1)
        difference = ours - 255 * (theirs * STD + MEAN)
        values.append(10 * np.log10(255**2 / np.mean(difference**2)))
    return float(np.mean(values))


def measure_in_turns(works: dict[str, Callable[[int], object]], repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds of the thread for each work and repeat; in turns, so that a busy moment falls on all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats):
        for name, work in works.items():
            started = time.thread_time()
            work(repeat)
            times[name].append(1000 * (time.thread_time() - started))
    return {name: np.array(values) for name, values in times.items()}


def quartiles(ratios: np.ndarray) -> str:
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


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


def packed(dataset: MeshDataset) -> MeshDataset:
    out = dataset.path.with_name(f"packed-{dataset.path.name}")
    pack(dataset.path, dataset.image_root, out, image_size=SIZE)
    return MeshDataset(out, out.parent, image_size=SIZE, augmentation=SPIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a photograph to enlarge or shrink; smooth noise if not given")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--pillow", action="store_true", help="turn and resize as SPIN's own code does")
    arguments = parser.parse_args()
    global pillow
    pillow = arguments.pillow
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if arguments.image:
        photograph = read_image(arguments.image)
    else:
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        photograph = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]

    columns = (
        "image",
        "box",
        "SPIN-style (ms)",
        "files (ms)",
        "pack (ms)",
        "decoding (ms)",
        "share",
        "files/s",
        "pack/s",
    )
    table = Table(*columns, "SPIN-style / files", "files / decoding", "agreement")
    with tempfile.TemporaryDirectory() as folder:
        for width, height, box in IMAGES:
            files = write_people(Path(folder), photograph, width, height, box)
            pack_ = packed(files)
            image = files.image_root / str(files.annotations.imgname[0])
            reduced = shrink_factor(crop_matrix(files.annotations.center[0], box / 200, SIZE))
            works: dict[str, Callable[[int], object]] = {
                "spin": lambda i, d=files: yardstick(d, i % PEOPLE, change_of(d, i // PEOPLE, i % PEOPLE)),  # type: ignore[misc]
                "files": lambda i, d=files: d[i // PEOPLE, i % PEOPLE],  # type: ignore[misc]
                "pack": lambda i, d=pack_: d[i // PEOPLE, i % PEOPLE],  # type: ignore[misc]
                "decode": lambda i, p=image: cv2.imread(str(p)),  # type: ignore[misc]
                "reduced": lambda i, p=image, r=reduced: read_image(p, r),  # type: ignore[misc]
            }
            took = measure_in_turns(works, arguments.samples)
            mean = {name: float(values.mean()) for name, values in took.items()}
            times = [f"{mean[name]:.2f}" for name in ("spin", "files", "pack", "decode")]
            speeds = [
                f"{mean['reduced'] / mean['files']:.0%}",
                f"{1000 / mean['files']:.0f}",
                f"{1000 / mean['pack']:.0f}",
            ]
            faster = f"{mean['spin'] / mean['files']:.1f}"
            against = quartiles(took["files"] / took["decode"])
            # Stretched values are others than ours.
            agree = "-" if pillow else f"{agreement(files):.1f} dB"
            table.add_row(f"{width}x{height}", str(box), *times, *speeds, faster, against, agree)
    yardsticks = "Pillow" if pillow else "scikit-image" if rotate else "scipy, for want of scikit-image"
    Console(width=170).print(
        table, f"yardstick: {yardsticks}; milliseconds of one thread, means of {arguments.samples}"
    )


if __name__ == "__main__":
    main()
