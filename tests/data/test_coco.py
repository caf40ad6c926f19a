"""COCO's files as they are, and with faults: entries that are no people are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmr_light.data.coco import load_json, read_coco, tight_box, why_no_person
from hmr_light.errors import UserError


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
