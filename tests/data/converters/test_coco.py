"""The COCO converter: who is kept, where joints go, and files that are not COCO's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters import CONVERTERS
from hmr_light.data.converters.coco import convert
from hmr_light.errors import UserError

NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
# The 24 joints that COCO has, by their place in SPIN's order.
PLACES = {
    "right_ankle": 0, "right_knee": 1, "right_hip": 2, "left_hip": 3, "left_knee": 4, "left_ankle": 5,
    "right_wrist": 6, "right_elbow": 7, "right_shoulder": 8, "left_shoulder": 9, "left_elbow": 10, "left_wrist": 11,
    "nose": 19, "left_eye": 20, "right_eye": 21, "left_ear": 22, "right_ear": 23,
}  # fmt: skip


def person(rng: np.random.Generator, image: int, hidden: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    keypoints = np.concatenate([rng.integers(0, 90, (17, 2)), rng.integers(1, 3, (17, 1))], 1)
    keypoints[[NAMES.index(name) for name in hidden]] = 0
    box = [float(value) for value in rng.uniform(5, 60, 4)]
    return {"id": 1, "image_id": image, "keypoints": keypoints.ravel().tolist(), "bbox": box, "iscrowd": 0} | changes


def write(folder: Path, people: list[Any]) -> Path:
    cv2.imwrite(str(folder / "one.jpg"), np.zeros((100, 100, 3), np.uint8))
    images = [{"id": 7, "file_name": "one.jpg"}, {"id": 8, "file_name": "absent.jpg"}]
    (folder / "person_keypoints.json").write_text(json.dumps({"images": images, "annotations": people}))
    return folder / "person_keypoints.json"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_joints_box_and_confidence_are_where_spin_has_them(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [person(rng, 7), person(rng, 7, hidden=("nose", "left_ear"))]
    summary = convert(write(tmp_path, people), tmp_path, tmp_path / "coco.npz")
    assert (summary.kept, summary.dropped) == (2, {})
    labels = load_annotations(tmp_path / "coco.npz")
    for index, source in enumerate(people):
        keypoints = np.reshape(source["keypoints"], (17, 3))
        expected = np.zeros((24, 3))
        for name, (x, y, visibility) in zip(NAMES, keypoints, strict=True):
            if visibility:
                expected[PLACES[name]] = [x, y, 1]
        np.testing.assert_array_equal(labels.part[index], expected)
        x, y, width, height = source["bbox"]
        np.testing.assert_allclose(labels.center[index], [x + width / 2 - 0.5, y + height / 2 - 0.5], rtol=1e-6)
        assert labels.scale[index] == pytest.approx(1.2 * max(width, height) / 200)
    assert not labels.has_smpl.any()
    assert not labels.S.any()
    assert list(labels.imgname) == ["one.jpg", "one.jpg"]


def test_everyone_is_kept_or_counted_under_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    people = [
        person(rng, 7),
        person(rng, 7, hidden=("left_ankle",)),
        person(rng, 7, hidden=("left_ankle", "right_ankle", "left_knee")),
        person(rng, 8),
        person(rng, 7, iscrowd=1),
        person(rng, 7, bbox=[1, 2, 0, 0]),
    ]
    path = write(tmp_path, people)
    others = {"image missing": 1, "a crowd, not a person": 1, "no box, or one without a size": 1}
    strict = convert(path, tmp_path, tmp_path / "strict.npz")
    assert (strict.kept, strict.dropped) == (1, {"fewer than 12 body keypoints": 2} | others)
    loose = CONVERTERS["coco"](path, tmp_path, tmp_path / "loose.npz", min_keypoints=10)
    assert (loose.kept, loose.dropped) == (2, {"fewer than 10 body keypoints": 1} | others)
    assert "2 people kept, 4 left out" in str(loose)


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path, [person(np.random.default_rng(5), 7)])
    (tmp_path / "coco.npz").write_text("precious")
    with pytest.raises(UserError, match="exists already"):
        convert(path, tmp_path, tmp_path / "coco.npz")
    assert (tmp_path / "coco.npz").read_text() == "precious"


def test_nobody_kept_says_why(tmp_path: Path) -> None:
    path = write(tmp_path, [person(np.random.default_rng(6), 8)])
    with pytest.raises(UserError, match=r"(?s)nobody in .*1  image missing") as caught:
        convert(path, tmp_path, tmp_path / "coco.npz")
    assert str(tmp_path) in caught.value.remedy
    assert not (tmp_path / "coco.npz").exists()


GOOD = person(np.random.default_rng(7), 7)
MALFORMED = {
    "not JSON": "{",
    "another document": json.dumps([1, 2]),
    "no images": json.dumps({"annotations": []}),
    "an instances file": json.dumps({"images": [], "annotations": [{"image_id": 7, "bbox": [0, 0, 9, 9]}]}),
    "a skeleton of another size": json.dumps({"images": [], "annotations": [GOOD | {"keypoints": [1] * 42}]}),
    "an unknown image": json.dumps({"images": [], "annotations": [GOOD]}),
    "a box of text": json.dumps({"images": [], "annotations": [GOOD | {"bbox": "large"}]}),
    "a number for a person": json.dumps({"images": [], "annotations": [3]}),
    "an escaping path": json.dumps({"images": [{"id": 7, "file_name": "../one.jpg"}], "annotations": [GOOD]}),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_file_of_another_format_is_refused_and_nothing_is_written(tmp_path: Path, fault: str) -> None:
    root = tmp_path / "images"
    root.mkdir()
    write(tmp_path, [])
    (tmp_path / "labels.json").write_text(MALFORMED[fault])
    with pytest.raises(UserError, match=r"labels\.json") as caught:
        convert(tmp_path / "labels.json", root, tmp_path / "coco.npz")
    assert caught.value.remedy
    assert not (tmp_path / "coco.npz").exists()


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.json"):
        convert(tmp_path / "none.json", tmp_path, tmp_path / "coco.npz")


@pytest.mark.parametrize("min_keypoints", [-1, 13, "many", None])
def test_impossible_filter_is_refused(tmp_path: Path, min_keypoints: Any) -> None:
    path = write(tmp_path, [GOOD])
    with pytest.raises(UserError, match="min_keypoints"):
        convert(path, tmp_path, tmp_path / "coco.npz", min_keypoints=min_keypoints)


def test_one_bad_entry_never_refuses_a_file(tmp_path: Path) -> None:
    """Every kind of faulty entry beside two good people: each is counted under a reason of its own."""
    rng = np.random.default_rng()
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"name": "without an id"}, 5]
    nan = person(rng, 7, category_id=1)
    nan["keypoints"][:2] = [float("nan"), float("inf")]
    bad = [
        person(rng, 7, category_id=18), person(rng, 7, category_id=99), person(rng, 7), {}, 3, None,
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
        person(rng, 7, category_id=1, keypoints=[]), person(rng, 7, category_id=1, keypoints=[1, 2, 2] * 14),
        person(rng, 7, category_id=1, keypoints="text"), person(rng, 7, category_id=1, bbox=[1, 2, 3]),
        person(rng, 7, category_id=1, bbox=[10, 10, 1.03, 0]), person(rng, 7, category_id=1, bbox=[0, 0, 1e308, 1e308]),
        person(rng, 7, category_id=1, bbox=None), person(rng, 999, category_id=1), person(rng, 9, category_id=1),
        person(rng, 8, category_id=1),
    ]  # fmt: skip
    entries = [person(rng, 7, category_id=1), *bad, nan]
    rng.shuffle(entries)  # type: ignore[arg-type]
    path = write(tmp_path, entries)
    document = json.loads(path.read_text()) | {"categories": categories}
    document["images"] += [{"id": 9, "file_name": "../outside.jpg"}, {"id": 10}, "no image"]
    path.write_text(json.dumps(document))
    summary = convert(path, tmp_path, tmp_path / "coco.npz")
    assert summary.kept == 2
    assert summary.dropped == {
        "not a person but: dog": 1,
        "of a category that the file does not name": 3,
        "not an annotation": 2,
        "no keypoints": 2,
        "keypoints of another skeleton: 14, not COCO's 17": 1,
        "keypoints that are not x, y, visibility": 1,
        "no box, or one without a size": 4,
        "of an image that the file does not name": 1,
        "the image's path leads out of the folder of images": 1,
        "image missing": 1,
    }
    assert summary.notes == {"people with keypoints that are not finite: those are taken as not labelled": 1}
    part = load_annotations(tmp_path / "coco.npz").part
    assert np.isfinite(part).all()
    assert sorted((part[:, PLACES["nose"], 2] > 0).tolist()) == [False, True]


def test_a_category_of_another_name_is_people_where_the_user_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, [person(np.random.default_rng(), 7, category_id=1)])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"categories": [{"id": 1, "name": "Player"}]}))
    with pytest.raises(UserError, match="1  not a person but: Player") as caught:
        convert(path, tmp_path, tmp_path / "coco.npz")
    assert "source.category=; the file has: Player" in caught.value.remedy
    assert convert(path, tmp_path, tmp_path / "coco.npz", category="player").kept == 1


@pytest.mark.parametrize(("count", "told"), [(19, False), (20, True)])
def test_some_people_are_a_set_to_fine_tune_on(tmp_path: Path, count: int, told: bool) -> None:
    rng = np.random.default_rng()
    summary = convert(write(tmp_path, [person(rng, 7) for _ in range(count)]), tmp_path, tmp_path / "coco.npz")
    options = [f"data.train.custom.annotations={tmp_path}/coco.npz", f"data.train.custom.images={tmp_path}"]
    assert summary.or_step == (" ".join(["hmr-light train experiment=few_labels", *options]) if told else "")
