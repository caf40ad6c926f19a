"""Boxes from every kind of file; an entry that is no box is left out and counted, and never refuses the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hmr_light.data.boxes import read_boxes
from hmr_light.deployment.runtime.boxes import whole_image
from hmr_light.errors import UserError

TIGHT = {"a.jpg": [[10.0, 20, 30, 60], [5, 5, 40, 10]], "sub/b.png": [[0, 0, 100, 50]]}
# By hand: the centre of pixels 0…99 is 49.5; the longer side, a fifth larger, over 200.
EXPECTED = {"a.jpg": [(24.5, 49.5, 0.36), (24.5, 9.5, 0.24)], "sub/b.png": [(49.5, 24.5, 0.6)]}


def write_boxes(folder: Path, kind: str) -> Path:
    lines = [(name, box) for name, boxes in TIGHT.items() for box in boxes]
    if kind == "json":
        (folder / "boxes.json").write_text(json.dumps(TIGHT))
        return folder / "boxes.json"
    if kind == "coco":
        people = [{"image_id": list(TIGHT).index(name), "bbox": box, "iscrowd": 0} for name, box in lines]
        people.append({"image_id": 0, "bbox": [0, 0, 9, 9], "iscrowd": 1})
        images = [{"id": index, "file_name": name} for index, name in enumerate(TIGHT)]
        (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": people}))
        return folder / "coco.json"
    if kind == "csv":
        text = "\n".join(f"{name}, {', '.join(map(str, box))}" for name, box in lines)
        (folder / "boxes.csv").write_text(f"image, x, y, width, height\n{text}\n", encoding="utf-8-sig")
        return folder / "boxes.csv"
    rows = [(name, *box) for name, boxes in EXPECTED.items() for box in boxes]
    names, *numbers = (np.array(column) for column in zip(*rows, strict=True))
    np.savez(folder / "boxes.npz", imgname=names, center=np.column_stack(numbers[:2]), scale=numbers[2])
    return folder / "boxes.npz"


@pytest.mark.parametrize("kind", ["json", "coco", "csv", "npz"])
def test_boxes_of_every_kind_of_file_are_the_same(tmp_path: Path, kind: str) -> None:
    boxes, left_out = read_boxes(write_boxes(tmp_path, kind))
    assert left_out == ({"a crowd, not a person": ["annotation 4"]} if kind == "coco" else {})
    assert list(boxes) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        found = [(*box.center, box.scale) for box in boxes[name]]
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "is not a file of boxes"),
        ("a.json", "[1, 2]", "it holds a list"),
        ("a.json", "null", "it holds `null`"),
        ("a.json", "7", "it holds `7`"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}]', "a list of COCO's results"),
        ("a.json", '{"images": {}, "annotations": []}', "it lacks the lists 'images'"),
        ("a.json", '{"a.jpg": [[1, 2, 3]]}', r"left out are 1 not four numbers with a width and a height \(a\.jpg\)"),
        ("a.json", '{"a.jpg": [[1, 2, 0, 5]]}', "not four numbers with a width and a height"),
        ("a.json", '{"a.jpg": [[0.4, 0.3, 0.2, 0.5]]}', r"shares of the image \(0…1\) are not pixels"),
        ("a.json", "{}", "holds no box"),
        ("a.csv", "image,x,y\na.jpg,1,2\n", "its first line names no column width, height"),
        ("a.csv", "image,x,y,width,height\na.jpg,1,1,50\n", r"with a width and a height \(line 2\)"),
        ("a.csv", "", "its first line names no column image"),
        ("a.txt", "", "neither a json, nor a csv, nor an npz"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says) as refused:
        read_boxes(tmp_path / name)
    assert not any(word in refused.value.message for word in ("TypeError", "KeyError", "AttributeError"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the boxes"):
        read_boxes(tmp_path / "none.json")


def test_the_whole_image_is_in_its_box() -> None:
    box = whole_image(640, 427)
    np.testing.assert_allclose(box.center, [319.5, 213])
    assert box.scale * 200 == 640


def test_an_entry_that_is_no_box_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [[1, 2, 3], [1, 2, -3, 4], ["x", 2, 3, 4], [None] * 4, {"bbox": [1, 2, 3, 4]}, [0, 0, float("nan"), 9], 5]
    document = {"a.jpg": [[10.0, 20, 30, 60], *bad], "b.jpg": 7, "sub/b.png": [0, 0, 100, 50], "c.jpg": []}
    (tmp_path / "a.json").write_text(json.dumps(document))
    boxes, left_out = read_boxes(tmp_path / "a.json")
    found = {name: [(*box.center, box.scale) for box in own] for name, own in boxes.items()}
    assert found.keys() == EXPECTED.keys()  # one person need not stand in a list of its own
    np.testing.assert_allclose(found["a.jpg"], EXPECTED["a.jpg"][:1])
    np.testing.assert_allclose(found["sub/b.png"], EXPECTED["sub/b.png"])
    assert sorted(map(len, left_out.values())) == [1, len(bad)]


def test_of_a_coco_file_people_alone_are_read_and_the_others_counted(tmp_path: Path) -> None:
    entries = [
        {"image_id": 1, "bbox": [10, 20, 30, 60], "category_id": 1},
        {"image_id": 1, "bbox": [10, 20, 30, 60], "category_id": 3},
        {"image_id": 1, "bbox": [0, 0, 0, 0], "category_id": 1},
        {"image_id": 9, "bbox": [10, 20, 30, 60], "category_id": 1},
        {"image_id": 1, "category_id": 1},
        {"image_id": [1], "category_id": 1},
        "no entry",
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "dog"}]
    document = {"images": [{"id": 1, "file_name": "a.jpg"}, {}], "annotations": entries, "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(document))
    file = read_boxes(tmp_path / "a.json")
    assert list(file.boxes) == ["a.jpg"]
    assert len(file.boxes["a.jpg"]) == 1
    assert {reason: len(places) for reason, places in file.left_out.items()} == {
        "not a person but: dog": 1,
        "not four numbers with a width and a height": 2,
        "of an image that the file does not name": 2,
        "not an annotation": 1,
    }
    assert "1 not a person but: dog (annotation 2)" in file.describe_left_out()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_may_have_any_usual_delimiter_and_faulty_lines(tmp_path: Path, delimiter: str) -> None:
    lines = ["x,image,y,height,width,score", "10,a.jpg,20,60,30,1", "1,b.jpg", "1,,2,3,4,1", "1,c.jpg,2,?,4,1"]
    (tmp_path / "a.csv").write_text("\r\n".join(lines).replace(",", delimiter), encoding="utf-8-sig")
    boxes, left_out = read_boxes(tmp_path / "a.csv")
    np.testing.assert_allclose([(*box.center, box.scale) for box in boxes["a.jpg"]], EXPECTED["a.jpg"][:1])
    assert left_out == {
        "not four numbers with a width and a height": ["line 3", "line 5"],
        "without an image": ["line 4"],
    }
