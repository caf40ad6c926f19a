"""Packs: the same samples as from the files, shards that WebDataset reads, and damage that is named."""

from __future__ import annotations

import json
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmr_light.config.schema import AugmentationConfig
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.data.augment import reach
from hmr_light.data.converters.pack import convert
from hmr_light.data.crop import CONTEXT
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError

SIZE = 96
SPIN = AugmentationConfig(
    flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.25, colour_gain=0.4
)
SEED = int(np.random.default_rng().integers(2**31))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs, the first with two people, one of whom is far off its edge; boxes of 60 to 900 pixels."""
    print("seed", SEED)
    root, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(SEED)
    names = ["a/one.jpg", "two.png", "a/one.jpg", "three.jpg"]
    for name, (width, height) in {"a/one.jpg": (701, 503), "two.png": (300, 402), "three.jpg": (1200, 1001)}.items():
        (root / name).parent.mkdir(exist_ok=True)
        detail = width // 30 if width > 1000 else 8
        noise = rng.integers(0, 256, (height // detail, width // detail, 3), np.uint8)
        cv2.imwrite(str(root / name), cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
    arrays = {
        "imgname": np.array(names),
        "center": np.array([[300.3, 250.9], [120, 200], [695, 499], [600.5, 480]]),
        "scale": np.array([1.3, 0.3, 0.9, 4.5]),
        "part": rng.uniform(1, 400, (4, 24, 3)),
        "pose": rng.normal(size=(4, 72)),
        "shape": rng.normal(size=(4, 10)),
        "clip": np.arange(4),
    }
    save_annotations(root / "labels.npz", Annotations.from_arrays(arrays))
    return root


def packed(folder: Path, out: Path, **options: int | bool | None) -> MeshDataset:
    convert(folder / "labels.npz", folder, out, **{"image_size": SIZE, **options})  # type: ignore[arg-type]
    return MeshDataset(out, out.parent, image_size=SIZE, augmentation=SPIN, seed=3)


def from_files(folder: Path) -> MeshDataset:
    return MeshDataset(folder / "labels.npz", folder, image_size=SIZE, augmentation=SPIN, seed=3)


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("shard_mb", [0, 1024])  # one sample a shard, and all in one
def test_samples_of_a_pack_are_those_of_the_files_bit_by_bit(
    folder: Path, tmp_path: Path, crops: bool, shard_mb: int
) -> None:
    files, pack = from_files(folder), packed(folder, tmp_path / "pack.npz", crops=crops, shard_mb=shard_mb)
    assert len(list(tmp_path.glob("pack-*.tar"))) == (1 if shard_mb else 4 if crops else 3)
    for key in [*range(4), *((epoch, index) for epoch in range(15) for index in range(4))]:
        expected, sample = files[key], pack[key]
        assert sample.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(sample[name], value), (key, name)
    assert load_annotations(tmp_path / "pack.npz").extras["clip"].tolist() == [0, 1, 2, 3]


def test_limited_crops_are_the_same_pictures_a_little_softer(folder: Path, tmp_path: Path) -> None:
    files, pack = from_files(folder), packed(folder, tmp_path / "pack.npz", max_side=2 * SIZE)
    assert pack.annotations.extras["packed_pixels"].max() <= 2 * SIZE
    for key in [(epoch, 3) for epoch in range(15)]:
        difference = files[key]["image"].float() - pack[key]["image"].float()
        assert 10 * torch.log10(255**2 / difference.square().mean()) > 30
    # A crop that is small enough is stored as it is.
    assert torch.equal(files[2, 1]["image"], pack[2, 1]["image"])


def test_a_shard_is_a_webdataset_of_pixels_and_labels(folder: Path, tmp_path: Path) -> None:
    pack = packed(folder, tmp_path / "pack.npz", crops=False)
    with tarfile.open(tmp_path / "pack-000000.tar") as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    keys = [Path(name).stem for name in content]
    assert [Path(name).suffix for name in content] == [".jpg", ".json", ".png", ".json", ".jpg", ".json"]
    assert keys[::2] == keys[1::2] == sorted(set(keys))
    assert content["000000000.jpg"] == (folder / "a/one.jpg").read_bytes()
    labels = json.loads(content["000000000.json"])
    assert labels["imgname"] == "a/one.jpg"
    assert [person["index"] for person in labels["people"]] == [0, 2]
    np.testing.assert_array_equal(np.float32(labels["people"][1]["part"]), pack.annotations.part[2])


def test_people_whose_image_cannot_be_read_are_left_out(folder: Path, tmp_path: Path) -> None:
    for name in ("labels.npz", "two.png"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.jpg").write_bytes((folder / "a/one.jpg").read_bytes())
    summary = convert(tmp_path / "labels.npz", tmp_path, tmp_path / "out" / "pack.npz", image_size=SIZE)
    assert (summary.kept, summary.dropped) == (3, {"image missing or damaged": 1})
    pack = MeshDataset(summary.out, summary.images, image_size=SIZE)  # type: ignore[arg-type]
    assert torch.equal(pack[2]["image"], from_files(folder)[2]["image"])
    with pytest.raises(UserError, match="exists already"):
        convert(tmp_path / "labels.npz", tmp_path, tmp_path / "out" / "pack.npz")


def test_a_shard_that_is_gone_or_cut_off_is_named(folder: Path, tmp_path: Path) -> None:
    pack = packed(folder, tmp_path / "pack.npz", shard_mb=0)
    shard = tmp_path / "pack-000003.tar"
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"does not fit its shards.*imgname\[3\]"):
        pack[3]
    shard.unlink()
    with pytest.raises(UserError, match=r"pack-000003\.tar.*No such file"):
        MeshDataset(tmp_path / "pack.npz", tmp_path, image_size=SIZE)[3]
    (tmp_path / "pack-000000.tar").unlink()
    with pytest.raises(UserError, match=r"pack-000000\.tar"):
        MeshDataset(tmp_path / "pack.npz", tmp_path, image_size=SIZE)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("packed_offset", [-1, 1 << 62, 1 << 40]),
        ("packed_bytes", [-1, 1 << 62, 1 << 40, 0]),
        ("packed_pixels", [(-1, -1), (1 << 30, 1 << 30), (0, 5)]),
        ("packed_window", [(0, 0, np.nan), (np.inf, 0, 1), (0, 0, 0)]),
    ],
)
def test_a_place_that_does_not_exist_is_told(folder: Path, tmp_path: Path, key: str, values: list[object]) -> None:
    packed(folder, tmp_path / "pack.npz")
    with np.load(tmp_path / "pack.npz") as file:
        arrays = dict(file)
    for number, value in enumerate(values):
        changed = arrays[key].copy()
        changed[2] = value
        np.savez(tmp_path / f"{number}.npz", **arrays | {key: changed})
        with pytest.raises(UserError, match=r"imgname\[2\]"):
            MeshDataset(tmp_path / f"{number}.npz", tmp_path, image_size=SIZE)[2]
    np.savez(tmp_path / "text.npz", **arrays | {key: np.full(len(changed), "text")})
    with pytest.raises(UserError, match=rf"'{key}' in .* is \(4,\) of <U4"):
        MeshDataset(tmp_path / "text.npz", tmp_path, image_size=SIZE)


def test_augmentation_beyond_what_crops_hold_is_refused(folder: Path, tmp_path: Path) -> None:
    wide = AugmentationConfig(
        flip_probability=0.5, rotation_std_degrees=30.0, rotation_probability=0.4, scale_std=0.5, colour_gain=0.4
    )
    assert reach(SPIN) <= CONTEXT < reach(wide)
    packed(folder, tmp_path / "pack.npz")
    with pytest.raises(UserError, match=r"shows 2\.12 sides of the box"):
        MeshDataset(tmp_path / "pack.npz", tmp_path, image_size=SIZE, augmentation=wide)
    MeshDataset(folder / "labels.npz", folder, image_size=SIZE, augmentation=wide)[0, 0]


def test_a_dataset_that_was_pickled_gives_the_same_samples(folder: Path, tmp_path: Path) -> None:
    for dataset in (from_files(folder), packed(folder, tmp_path / "pack.npz")):
        content = pickle.dumps(dataset)
        assert len(content) < 2000  # a loader process opens the files again
        assert torch.equal(pickle.loads(content)[4, 1]["image"], dataset[4, 1]["image"])
