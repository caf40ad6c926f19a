"""COCO's files as they are, and with faults: entries that are no people are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hmr_light.data.boxes import read_boxes
from hmr_light.data.coco import load_json, read_coco, tight_box, why_no_person
from hmr_light.errors import UserError


def test_boxes_of_other_things_and_without_a_size_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 80], "iscrowd": 0}
    others = [person | {"category_id": 18}, person | {"bbox": [10, 10, 1.03, 0]}, person | {"iscrowd": 1}, {"id": 3}]
    path = tmp_path / "instances.json"
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": categories}
    path.write_text(json.dumps(document | {"annotations": [*others, person]}))
    boxes = read_boxes(path)
    assert list(boxes) == ["a.jpg"]
    (box,) = boxes["a.jpg"]
    np.testing.assert_allclose(box.center, [24.5, 44.5])
    said = capsys.readouterr().err
    assert "1 people; left out:" in said
    for reason in ("1 not a person but: dog", "1 no box, or one without a size", "1 a crowd", "1 of a category that"):
        assert reason in said
    path.write_text(json.dumps(document | {"annotations": others}))
    with pytest.raises(UserError, match="holds no box"):
        read_boxes(path)


def test_without_categories_every_entry_is_a_person() -> None:
    file = read_coco({"images": [{"id": "x", "file_name": "a.jpg"}], "annotations": []}, Path("a.json"), "COCO", "")
    assert why_no_person({"image_id": "x"}, file) == ""
    assert why_no_person({"image_id": ["x"]}, file) == "of an image that the file does not name"


@pytest.mark.parametrize(
    "box", [None, [], [1, 2, 3], [1, 2, 3, "a"], [0, 0, 0, 5], [0, 0, -4, 5], [float("nan")] * 4, {}]
)
def test_what_is_no_box_is_none(box: object) -> None:
    assert tight_box({"bbox": box}) is None


def test_other_documents_are_refused(tmp_path: Path) -> None:
    for text in ("[1]", "{}", '{"images": [], "annotations": {}}', '{"images": 3, "annotations": []}'):
        with pytest.raises(UserError, match="lacks the lists"):
            read_coco(json.loads(text), Path("a.json"), "COCO", "")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="is not JSON"):
        load_json(tmp_path / "a.json")
