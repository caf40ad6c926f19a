"""People are where a file says, as far as that can be; what cannot is noted, and an image without people is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmr_light.data.boxes import BoxFile
from hmr_light.data.finders import MOVENET, WHOLE_IMAGE, finder_of_file
from hmr_light.deployment.runtime.boxes import box_of_corner
from hmr_light.deployment.runtime.pictures import Picture
from hmr_light.errors import UserError

IMAGE = np.zeros((120, 200, 3), np.uint8)


def picture(name: str) -> Picture:
    return Picture(name, name, lambda: IMAGE)


def test_boxes_that_cannot_be_of_their_image_are_left_out_and_noted() -> None:
    inside, outside = box_of_corner(10, 10, 50, 90), box_of_corner(5000, 10, 50, 90)
    # A scale that is the side, and not the side / 200.
    huge = inside._replace(scale=200 * inside.scale)
    notes: list[str] = []
    file = BoxFile({"a.png": [outside, inside, huge, outside], "b.png": [outside]}, {})
    finder = finder_of_file(file, Path("people.json"), notes)
    assert finder.find(picture("a.png"), IMAGE) == [inside]
    assert notes == [
        "a.png: 2 of 4 boxes: outside the image of 200 x 120; "
        "1 of 4 boxes: more than 10 times as large as the image of 200 x 120"
    ]
    with pytest.raises(UserError, match="1 of 1 boxes: outside the image of 200 x 120"):
        finder.find(picture("b.png"), IMAGE)
    assert "people.json" in finder.says


def test_an_image_is_found_by_its_name_alone_unless_several_have_it() -> None:
    box = box_of_corner(10, 10, 50, 90)
    file = BoxFile({"val/a.png": [box], "val/b.png": [box], "train/b.png": [box]}, {})
    finder = finder_of_file(file, Path("people.json"), [])
    assert finder.find(picture("a.png"), IMAGE) == [box]
    for name, says in (("b.png", "several images"), ("c.png", "no box")):
        with pytest.raises(UserError, match=says):
            finder.find(picture(name), IMAGE)


def test_finders_say_what_they_do_without_boxes() -> None:
    assert WHOLE_IMAGE.find(picture("a.png"), IMAGE) == "image"
    assert "whole image" in WHOLE_IMAGE.says
    assert MOVENET.find(picture("a.png"), IMAGE) is None
    assert "MoveNet" in MOVENET.says
