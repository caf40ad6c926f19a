"""The dataset: its contract, labels on pixels, and randomness that depends on (seed, epoch, index) alone."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader

from hmr_light.body import load_body
from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.data.contact_sheet import contact_sheet
from hmr_light.data.converters.spin_npz import convert as convert_spin
from hmr_light.data.dataset import MeshDataset, worker_init
from hmr_light.deployment.runtime.boxes import MARGIN, Box
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.errors import UserError

PEOPLE, SIZE = 6, 96
SPIN = AugmentationConfig(
    flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.25, colour_gain=0.4
)
# The 24's wrists, OpenPose's wrists and nose: colours (RGB) that a wrong side or a wrong channel would betray.
RIGHT_WRIST, LEFT_WRIST = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people: a red blob at the right wrist and a blue one at the left, and random other labels."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    part, center = np.zeros((PEOPLE, 24, 3)), rng.uniform(150, 250, (PEOPLE, 2))
    scale = rng.uniform(0.5, 1.6, PEOPLE)
    names = [f"{index:03d}.png" for index in range(PEOPLE)]
    for index, name in enumerate(names):
        image = np.zeros((400, 420, 3), np.uint8)
        for joint, colour, side in ((6, RIGHT_WRIST, -1), (11, LEFT_WRIST, 1)):
            at = np.rint(center[index] + rng.uniform([8, -15], [20, 15]) * scale[index] * [side, 1])
            cv2.circle(image, at.astype(int).tolist(), round(9 * scale[index]), colour[::-1], -1)
            part[index, joint] = [*at, 1]
        cv2.imwrite(str(root / name), image)
    arrays = {
        "imgname": np.array(names),
        "center": center,
        "scale": scale,
        "part": part,
        "S": np.concatenate([rng.normal(size=(PEOPLE, 24, 3)), np.ones((PEOPLE, 24, 1))], 2),
        "pose": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 10)),
        "has_smpl": np.arange(PEOPLE) % 2,
    }
    arrays["S"][2] = 0
    save_annotations(root / "labels.npz", Annotations.from_arrays(arrays))
    return root


def open_dataset(folder: Path, augmentation: AugmentationConfig | None = SPIN, seed: int = 5) -> MeshDataset:
    return MeshDataset(folder / "labels.npz", folder, image_size=SIZE, augmentation=augmentation, seed=seed)


def assert_same(sample: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert sample.keys() == other.keys()
    for key, value in sample.items():
        assert torch.equal(value, other[key]), key


def test_shuffled_images_keep_their_own_crop_and_everybody_their_labels(folder: Path) -> None:
    plain = open_dataset(folder)
    shuffled = MeshDataset(
        folder / "labels.npz", folder, image_size=SIZE, augmentation=SPIN, seed=5, shuffle_images=True
    )
    for index in range(PEOPLE):
        another = plain[(index + PEOPLE // 2) % PEOPLE]
        assert torch.equal(shuffled[index]["image"], another["image"])
        for augmented in (index, (3, index)):
            for key, value in plain[augmented].items():
                assert torch.equal(value, shuffled[augmented][key]) == (key != "image"), key


def test_sample_has_the_shapes_and_types_of_the_contract(folder: Path) -> None:
    expected = {
        "image": ((3, SIZE, SIZE), torch.uint8),
        "keypoints_2d": ((49, 3), torch.float32),
        "joints_3d": ((24, 4), torch.float32),
        "pose": ((24, 3, 3), torch.float32),
        "betas": ((10,), torch.float32),
        "has_smpl": ((), torch.float32),
        "has_joints_3d": ((), torch.float32),
        "center": ((2,), torch.float32),
        "scale": ((), torch.float32),
        "index": ((), torch.int64),
    }
    for sample in (open_dataset(folder)[3], open_dataset(folder)[2, 3]):
        assert {key: (tuple(value.shape), value.dtype) for key, value in sample.items()} == expected


def test_plain_sample_is_the_labels_themselves(folder: Path) -> None:
    dataset = open_dataset(folder)
    labels = dataset.annotations
    for index in range(PEOPLE):
        sample = dataset[index]
        rotations = Rotation.from_rotvec(labels.pose[index].reshape(24, 3)).as_matrix()
        np.testing.assert_allclose(sample["pose"], rotations, atol=1e-6)
        np.testing.assert_array_equal(sample["betas"], labels.shape[index])
        np.testing.assert_allclose(sample["joints_3d"], labels.S[index], atol=1e-6)
        half = 100 * labels.scale[index]
        expected = (labels.part[index, 6, :2] - labels.center[index]) / half
        np.testing.assert_allclose(sample["keypoints_2d"][25 + 6, :2], expected, atol=1e-6)
        assert sample["has_smpl"] == index % 2
        assert sample["has_joints_3d"] == (index != 2)
        assert sample["index"] == index
        assert sample["scale"] == labels.scale[index]


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_wrists_are_on_their_pixels_whatever_the_augmentation(folder: Path, shift: float) -> None:
    dataset = open_dataset(folder, replace(SPIN, shift=shift))
    seen = 0
    for epoch in range(12):
        for index in range(PEOPLE):
            sample = dataset[epoch, index]
            image = sample["image"].permute(1, 2, 0).numpy()
            pixels = (sample["keypoints_2d"][25:, :2].numpy() + 1) * SIZE / 2 - 0.5
            flipped = sample["pose"].sub(dataset[index]["pose"])[1:].abs().max() > 1e-3
            # A mirrored person's right hand is where the left one was.
            colours = ((11, RIGHT_WRIST), (6, LEFT_WRIST)) if flipped else ((6, RIGHT_WRIST), (11, LEFT_WRIST))
            for joint, colour in colours:
                x, y = np.rint(pixels[joint]).astype(int)
                if 2 <= x < SIZE - 2 and 2 <= y < SIZE - 2:
                    seen += 1
                    assert image[y, x].argmax() == np.argmax(colour), f"epoch {epoch}, index {index}"
                    assert image[y, x].max() > 0.55 * 255
    assert seen > 100


def test_sample_depends_on_seed_epoch_and_index_alone(folder: Path) -> None:
    dataset, again = open_dataset(folder), open_dataset(folder)
    np.random.seed(1)  # noqa: NPY002 - the state that must not matter
    first = dataset[3, 1]
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(9)
    for index in (5, 0, 2):
        again[7, index]
    assert_same(first, again[3, 1])
    for other in (dataset[4, 1], open_dataset(folder, seed=6)[3, 1], dataset[1]):
        assert not torch.equal(first["image"], other["image"])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(folder: Path, workers: int) -> None:
    dataset = open_dataset(folder)
    batches = [[(epoch, index) for index in (4, 1, 3)] for epoch in range(3)]
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, worker_init_fn=worker_init)
    for batch, keys in zip(loader, batches, strict=True):
        for row, key in enumerate(keys):
            assert_same({name: value[row] for name, value in batch.items()}, dataset[key])


def test_workers_start_no_threads_of_opencv(folder: Path) -> None:
    threads = cv2.getNumThreads()
    try:
        worker_init(0)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(threads)


def test_options_of_zero_leave_the_sample_plain(folder: Path) -> None:
    off = AugmentationConfig(
        flip_probability=0.0, rotation_std_degrees=0.0, rotation_probability=0.0, scale_std=0.0, colour_gain=0.0
    )
    dataset = open_dataset(folder, off)
    assert_same(dataset[8, 2], dataset[2])
    assert_same(open_dataset(folder, None)[8, 2], dataset[2])


def test_missing_image_is_named_with_its_annotation(folder: Path, tmp_path: Path) -> None:
    for name in ("000.png", "004.png", "labels.npz"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    dataset = open_dataset(tmp_path)
    with pytest.raises(UserError, match=r"there is no image .*003\.png \(imgname\[3\] of .*labels\.npz\)"):
        dataset[0, 3]
    (tmp_path / "004.png").write_text("not an image")
    with pytest.raises(UserError, match=r"004\.png is not an image.*imgname\[4\]"):
        dataset[4]
    (tmp_path / "000.png").unlink()
    with pytest.raises(UserError, match="names images that are not in"):
        open_dataset(tmp_path)


def test_contact_sheet_draws_3d_labels_alone_in_the_middle_of_the_box(folder: Path, tmp_path: Path) -> None:
    arrays = {**load_annotations(folder / "labels.npz").to_arrays()}
    labels = {"smpl": ("pose", "shape", "has_smpl"), "joints": ("S",), "none": ()}
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    for name, kept in labels.items():
        one = {key: arrays[key] for key in ("imgname", "center", "scale", *kept)}
        save_annotations(folder / f"{name}.npz", Annotations.from_arrays(one))
        dataset = MeshDataset(folder / f"{name}.npz", folder, image_size=SIZE)
        out = tmp_path / f"{name}.png"
        contact_sheet(dataset, out, [1], draw=lambda image, sample, index: blank, body=load_body())
        sheet = cv2.imread(str(out))
        gap = (sheet.shape[0] - SIZE) // 2
        rows, columns = np.nonzero((sheet[gap:-gap, gap:-gap] > 60).any(-1))
        assert bool(len(rows)) == (name != "none")
        if len(rows):
            middle = [(axis.min() + axis.max()) / 2 for axis in (rows, columns)]
            np.testing.assert_allclose(middle, (SIZE - 1) / 2, atol=3)
            longer = max(int(np.ptp(rows)), int(np.ptp(columns)))
            assert SIZE / MARGIN - 4 < longer < SIZE / MARGIN + SIZE / 12  # and the dots of the joints


def test_contact_sheet_draws_the_joints_where_they_are(folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(folder, None)
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    keys = [0, (2, 1), 5]
    contact_sheet(dataset, tmp_path / "sheet.png", keys, columns=2, draw=lambda image, sample, index: blank)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    gap = (sheet.shape[1] - 2 * SIZE) // 3
    assert sheet.shape == (2 * SIZE + 3 * gap, 2 * SIZE + 3 * gap, 3)
    for position, key in enumerate(keys):
        corner = np.array([position % 2, position // 2]) * (SIZE + gap) + gap
        right, left = (
            sheet[
                tuple(
                    np.rint(
                        (dataset[key]["keypoints_2d"][25 + joint, :2].numpy() + 1) * SIZE / 2 - 0.5 + corner
                    ).astype(int)[::-1]
                )
            ]
            for joint in (6, 11)
        )
        # BGR: orange for the right, blue for the left.
        assert right[2] > right[0] + 100, position
        assert left[0] > left[2] + 100, position


def spin_crop(image: np.ndarray, center: np.ndarray, scale: float) -> np.ndarray:
    """SPIN's crop of an RGB image (H,W,3), unturned, from its equations.

    Whole pixels from `center - side / 2` on, black outside; stretched to 0…255 as `scipy.misc` makes a picture of
    floating point numbers; resized by Pillow.
    """
    first = [int(value) for value in center - 100 * scale]
    last = [int(value) for value in center + 100 * scale]
    cut = np.zeros((last[1] - first[1], last[0] - first[0], 3))
    for y in range(max(first[1], 0), min(last[1], image.shape[0])):
        for x in range(max(first[0], 0), min(last[0], image.shape[1])):
            cut[y - first[1], x - first[0]] = image[y, x]
    spread = cut.max() - cut.min()
    stretched = (cut - cut.min()) * (255 / (spread or 1)) + 0.5
    picture = PIL.Image.fromarray(stretched.astype(np.uint8))
    return np.asarray(picture.resize((224, 224), PIL.Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("center", "side", "within"),
    # A little beside whole pixels, for SPIN cuts the digits after the point off.
    [((112, 112), 224, 0), ((130.001, 127.001), 224, 1), ((112, 140), 448, 255), ((300.001, 300.001), 224, 1)],
    ids=["the image", "beyond the image", "twice as large", "a corner"],
)
def test_contrast_is_stretched_as_spin_stretches_it(
    tmp_path: Path, center: tuple[float, float], side: int, within: int
) -> None:
    rng = np.random.default_rng()
    # Of little contrast, and smooth, so that the ways of resizing differ little.
    coarse = rng.integers(60, 140, (9, 9, 3), np.uint8)
    image = cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    spin = {"imgname": np.array(["a.png"]), "center": np.array([center], float), "scale": np.array([side / 200])}
    np.savez(tmp_path / "spin.npz", **spin)
    convert_spin(tmp_path / "spin.npz", tmp_path, tmp_path / "a.npz")
    dataset = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=224, contrast="spin")
    crop = dataset[0]["image"].permute(1, 2, 0).numpy().astype(int)
    expected = spin_crop(image, np.array(center, float), side / 200).astype(int)
    difference = np.abs(crop - expected)
    assert difference.max() <= within
    assert difference.mean() < 2
    plain = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=224)[0]["image"].permute(1, 2, 0).numpy()
    assert plain.max() <= image.max() + 1, "off by default"


def test_boxes_in_pixels_are_noticed(folder: Path, tmp_path: Path) -> None:
    arrays = load_annotations(folder / "labels.npz").to_arrays()
    save_annotations(tmp_path / "pixels.npz", Annotations.from_arrays(arrays | {"scale": 200 * arrays["scale"]}))
    with pytest.raises(UserError, match="'scale' seems to be in pixels") as caught:
        MeshDataset(tmp_path / "pixels.npz", folder, image_size=64)
    assert "divided by 200" in caught.value.remedy


def test_centres_that_count_from_the_edge_of_a_pixel_give_the_same_samples(folder: Path) -> None:
    arrays = {**load_annotations(folder / "labels.npz").to_arrays()}
    arrays["center"] = arrays["center"] + np.float32(0.5)
    save_annotations(folder / "edge.npz", Annotations.from_arrays(arrays))
    edge = MeshDataset(folder / "edge.npz", folder, image_size=SIZE, pixel_origin="edge")
    again = pickle.loads(pickle.dumps(edge))
    ours = MeshDataset(folder / "labels.npz", folder, image_size=SIZE)
    for index in range(PEOPLE):
        for key, value in ours[index].items():
            np.testing.assert_allclose(edge[index][key], value, atol=1e-4)
            np.testing.assert_array_equal(again[index][key], edge[index][key])


def test_the_crop_of_a_predictor_is_that_of_a_dataset_with_its_contrast(folder: Path) -> None:
    for contrast in (None, "spin"):
        dataset = MeshDataset(folder / "labels.npz", folder, image_size=SIZE, contrast=contrast)
        labels = dataset.annotations
        for index in range(PEOPLE):
            image = cv2.imread(str(folder / str(labels.imgname[index])), cv2.IMREAD_COLOR_RGB)
            crop = crop_person(image, Box(labels.center[index], float(labels.scale[index])), SIZE, contrast)
            wanted = dataset[index]["image"].permute(1, 2, 0).numpy()
            np.testing.assert_allclose(crop.astype(int), wanted.astype(int), atol=1)
