"""A set is parted by its images: nobody is in both parts, and the parts are always the same."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.data.annotations import Annotations, fingerprint, load_annotations, save_annotations
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.split import split_people
from hmr_light.errors import UserError


def people(names: list[str]) -> Annotations:
    count = len(names)
    center = np.column_stack([np.arange(count), np.full(count, 30.0)])
    arrays = {"imgname": np.array(names), "center": center, "scale": np.full(count, 0.3)}
    return Annotations.from_arrays(arrays | {"dog": np.arange(count)})


def test_every_fifth_image_is_held_out_with_everybody_in_it() -> None:
    rng = np.random.default_rng()
    for images in (2, 3, 5, 6, 40, 101):
        names = [f"{rng.integers(10**9)}-{index}.jpg" for index in range(images)]
        labels = people(rng.permutation(names * 3).tolist())
        parts = {split: split_people(labels, split, Path("a.npz")) for split in ("train", "held_out")}
        assert sorted(np.concatenate([*parts.values()]).tolist()) == list(range(3 * images))
        held_out = set(labels.imgname[parts["held_out"]].tolist())
        assert held_out.isdisjoint(labels.imgname[parts["train"]].tolist())
        assert len(held_out) == int(np.ceil(images / 5))
        again = people(sorted(labels.imgname.tolist()))
        assert set(again.imgname[split_people(again, "held_out", Path("a.npz"))].tolist()) == held_out


def test_one_image_cannot_be_parted() -> None:
    with pytest.raises(UserError, match=r"split=train: a\.npz has people in one image alone"):
        split_people(people(["a.jpg", "a.jpg"]), "train", Path("a.npz"))


def test_a_dataset_of_a_part_gives_its_people_and_names_the_rows_of_the_file(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(11)]
    save_annotations(tmp_path / "a.npz", people(names))
    for index in range(11):
        cv2.imwrite(str(tmp_path / names[index]), np.full((60, 60, 3), 20 * index, np.uint8))
    whole = load_annotations(tmp_path / "a.npz")
    datasets = {
        split: MeshDataset(tmp_path / "a.npz", tmp_path, image_size=64, split=split)
        for split in (None, "train", "held_out")
    }
    assert {split: len(one) for split, one in datasets.items()} == {None: 11, "train": 8, "held_out": 3}
    for split in ("train", "held_out"):
        rows = split_people(whole, split, tmp_path / "a.npz")
        copied = pickle.loads(pickle.dumps(datasets[split]))
        for place, row in enumerate(rows.tolist()):
            sample = datasets[split][place]
            assert sample["center"][0] == row
            assert (sample["image"] == datasets[None][row]["image"]).all()
            assert (copied[place]["image"] == sample["image"]).all()
        assert datasets[split].annotations.extras["dog"].tolist() == rows.tolist()
    assert len({fingerprint(one.annotations) for one in datasets.values()}) == 3
    last = int(rows[-1])
    (tmp_path / names[last]).unlink()
    with pytest.raises(UserError, match=rf"imgname\[{last}\] of"):
        datasets["held_out"][len(rows) - 1]


def test_what_is_wrong_with_a_person_goes_with_the_person() -> None:
    labels = people([f"{index}.png" for index in range(10)])
    labels.faulty.update({3: "three", 7: "seven"})
    assert labels.take(np.array([7, 1, 0])).faulty == {0: "seven"}
