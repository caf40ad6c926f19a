"""Mixtures: exact shares, everybody in turn, and the same for the same seed."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError

PEOPLE = (50, 7, 23)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> list[MeshDataset]:
    root = tmp_path_factory.mktemp("mixture")
    cv2.imwrite(str(root / "a.png"), np.full((20, 20, 3), 128, np.uint8))
    opened = []
    for count in PEOPLE:
        path = root / f"{count}.npz"
        arrays = {
            "imgname": np.array(["a.png"] * count),
            "center": np.full((count, 2), 9.5),
            "scale": np.full(count, 0.1),
        }
        save_annotations(path, Annotations.from_arrays(arrays))
        opened.append(MeshDataset(path, root, image_size=64))
    return opened


def epoch_of(mixture: Mixture, epoch: int) -> list[tuple[int, int, int]]:
    return [mixture.locate(epoch, position) for position in range(len(mixture))]


@pytest.mark.parametrize(("ratios", "length"), [((0.5, 0.3, 0.2), 100), ((3, 0, 1), 83), ((1, 1, 1), 20)])
def test_every_epoch_has_each_set_by_its_ratio(
    datasets: list[MeshDataset], ratios: tuple[float, ...], length: int
) -> None:
    mixture = Mixture(datasets, ratios, length, seed=1)
    for epoch in range(5):
        counts = Counter(chosen for chosen, _, _ in epoch_of(mixture, epoch))
        for index, ratio in enumerate(ratios):
            assert counts[index] == pytest.approx(length * ratio / sum(ratios), abs=1)
            assert ratio or not counts[index]


def test_everybody_is_seen_once_before_anybody_is_seen_again(datasets: list[MeshDataset]) -> None:
    mixture = Mixture(datasets, (0.5, 0.3, 0.2), 40, seed=2)
    visits = [visit for epoch in range(30) for visit in epoch_of(mixture, epoch)]
    for chosen, people in enumerate(PEOPLE):
        indices = [index for set_, _, index in visits if set_ == chosen]
        for start in range(0, len(indices) - people + 1, people):
            assert sorted(indices[start : start + people]) == list(range(people))
    # The key of a sample's augmentation never repeats.
    assert len(set(visits)) == len(visits)


def test_one_set_alone_is_seen_whole_in_every_epoch(datasets: list[MeshDataset]) -> None:
    mixture = Mixture(datasets[:1], (1.0,), PEOPLE[0], seed=3)
    first, second = ([index for _, _, index in epoch_of(mixture, epoch)] for epoch in range(2))
    assert sorted(first) == sorted(second) == list(range(PEOPLE[0]))
    assert first != second


def test_order_depends_on_seed_and_epoch_alone(datasets: list[MeshDataset]) -> None:
    mixture, again = (Mixture(datasets, (1, 1, 1), 60, seed=4) for _ in range(2))
    expected = epoch_of(mixture, 9)
    assert [again.locate(9, position) for position in reversed(range(60))] == expected[::-1]
    assert epoch_of(Mixture(datasets, (1, 1, 1), 60, seed=5), 9) != expected


def test_sample_tells_its_set(datasets: list[MeshDataset]) -> None:
    mixture = Mixture(datasets, (0.5, 0.3, 0.2), 40, seed=6)
    for position in range(0, 40, 7):
        chosen, _, index = mixture.locate(2, position)
        sample = mixture[2, position]
        assert (int(sample["dataset_index"]), int(sample["index"])) == (chosen, index)


@pytest.mark.parametrize("ratios", [(0, 0, 0), (1, -1, 1), (1, 1), (1, float("nan"), 1), (1, float("inf"), 1)])
def test_ratios_that_share_nothing_are_refused(datasets: list[MeshDataset], ratios: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="ratios"):
        Mixture(datasets, ratios, 10)
