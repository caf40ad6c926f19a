"""Boxes from every kind of file, and pictures from images, folders and videos."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.data.boxes import read_boxes, whole_image
from hmr_light.data.pictures import open_pictures, shrink_to
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
    boxes = read_boxes(write_boxes(tmp_path, kind))
    assert list(boxes) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        found = [(*box.center, box.scale) for box in boxes[name]]
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "is not a file of boxes"),
        ("a.json", "[1, 2]", "is not a file of boxes"),
        ("a.json", '{"a.jpg": [[1, 2, 3]]}', "is not a file of boxes"),
        ("a.json", '{"a.jpg": [[1, 2, 0, 5]]}', r"\[1.0, 2.0, 0.0, 5.0\] is not a box"),
        ("a.json", "{}", "holds no box"),
        ("a.csv", "image,x,y\na.jpg,1,2\n", "is not a file of boxes"),
        ("a.txt", "", "neither a json, nor a csv, nor an npz"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        read_boxes(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the boxes"):
        read_boxes(tmp_path / "none.json")


def test_the_whole_image_is_in_its_box() -> None:
    box = whole_image(640, 427)
    np.testing.assert_allclose(box.center, [319.5, 213])
    assert box.scale * 200 == 640


def test_a_folder_gives_its_images_by_name_or_those_that_are_asked_for(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "sub/c.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("")
        else:
            cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), (255, 0, 0), np.uint8))
    found = open_pictures(tmp_path, names=None, as_stored=False, every=1)
    pictures = list(found.pictures)
    assert [picture.name for picture in pictures] == ["a.PNG", "b.jpg"]
    assert found.total == 2
    np.testing.assert_array_equal(pictures[0].read()[0, 0], [0, 0, 255])  # RGB
    asked = list(open_pictures(tmp_path, names=["sub/c.jpg", "none.jpg"], as_stored=False, every=1).pictures)
    assert asked[0].read().shape == (4, 6, 3)
    with pytest.raises(UserError, match=r"cannot read .*none\.jpg"):
        asked[1].read()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        open_pictures(tmp_path / "empty", names=None, as_stored=False, every=1)


def test_photographs_stand_upright_unless_their_labels_are_for_the_stored_pixels(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((20, 40, 3), np.uint8))[1].tobytes()
    # An EXIF segment with one entry, orientation 6: turn a quarter clockwise.
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    for as_stored, shape in ((False, (40, 20, 3)), (True, (20, 40, 3))):
        (picture,) = open_pictures(tmp_path / "a.jpg", names=None, as_stored=as_stored, every=1).pictures
        assert picture.read().shape == shape


def test_a_video_gives_every_so_manieth_frame_in_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for grey in range(0, 200, 20):
        writer.write(np.full((48, 64, 3), (0, 0, grey), np.uint8))
    writer.release()
    found = open_pictures(path, names=None, as_stored=False, every=3)
    frames = [(picture.name, picture.source, picture.read()) for picture in found.pictures]
    assert [name for name, _, _ in frames] == ["clip-000000", "clip-000003", "clip-000006", "clip-000009"]
    assert {source for _, source, _ in frames} == {"clip.avi"}
    assert found.total == 4
    for (_, _, image), grey in zip(frames, (0, 60, 120, 180), strict=True):
        assert image.shape == (48, 64, 3)
        np.testing.assert_allclose(image.mean((0, 1)), [grey, 0, 0], atol=6)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(UserError, match="is not a video"):
        open_pictures(tmp_path / "bad.mp4", names=None, as_stored=False, every=1)


def test_large_photographs_are_drawn_small_and_small_ones_as_they_are() -> None:
    assert shrink_to(np.zeros((3000, 4000, 3), np.uint8), 1280).shape == (960, 1280, 3)
    assert shrink_to(np.zeros((40, 4000, 3), np.uint8), 100).shape == (1, 100, 3)
    small = np.zeros((30, 40, 3), np.uint8)
    assert shrink_to(small, 1280) is small
