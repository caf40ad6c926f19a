"""Pictures come from images, folders and videos, and what is left out of them is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.deployment.runtime.pictures import open_pictures, shrink_to
from hmr_light.errors import UserError


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
    assert len(found.notes) == 2
    assert "(notes.txt)" in found.notes[0]
    assert "(sub)" in found.notes[1]
    np.testing.assert_array_equal(pictures[0].read()[0, 0], [0, 0, 255])  # RGB
    some = open_pictures(tmp_path, names=["sub/c.jpg", "none.jpg"], as_stored=False, every=1)
    assert some.notes[-1] == f"without a box, and left out, in {tmp_path}: 2 images (a.PNG, b.jpg)"
    boxed = open_pictures(tmp_path, names=None, as_stored=True, every=1, boxes=tmp_path / "notes.txt")
    assert not any("notes.txt" in note for note in boxed.notes)  # for it was read
    asked = list(some.pictures)
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
        found = open_pictures(tmp_path / "a.jpg", names=None, as_stored=as_stored, every=1)
        (picture,) = found.pictures
        assert picture.read().shape == shape
        assert any("EXIF orientation" in note for note in found.notes) == as_stored


def test_of_a_file_with_several_images_the_first_is_read_and_that_is_noted(tmp_path: Path) -> None:
    images = [np.full((20, 30, 3), value, np.uint8) for value in (200, 100, 50)]
    for name, several in (("a.tiff", images), ("b.tiff", images[:1])):
        assert cv2.imwritemulti(str(tmp_path / name), several)
    found = open_pictures(tmp_path, names=None, as_stored=False, every=1)
    assert [int(picture.read().mean()) for picture in found.pictures] == [200, 200]
    assert found.notes == ["a.tiff holds 3 images, of which the first is read"]


def test_a_video_gives_every_nth_frame_in_order(tmp_path: Path) -> None:
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


def test_a_video_that_is_cut_says_how_many_frames_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    noise = np.random.default_rng().integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    for image in noise:
        writer.write(image)
    writer.release()
    whole = open_pictures(path, names=None, as_stored=False, every=1)
    assert len(list(whole.pictures)) == 20
    assert whole.notes == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = open_pictures(path, names=None, as_stored=False, every=1)
    count = len(list(cut.pictures))
    assert 5 < count < 15
    assert f"announces 20 frames, and {count} could be read" in cut.notes[0]


def test_an_image_that_is_cut_is_refused_rather_than_drawn_in_part(tmp_path: Path) -> None:
    image = np.random.default_rng().integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png", "a.webp", "a.avif"):
        content = cv2.imencode(name[1:], image)[1].tobytes()
        (tmp_path / name).write_bytes(content[: 9 * len(content) // 10])
        (picture,) = open_pictures(tmp_path / name, names=None, as_stored=False, every=1).pictures
        with pytest.raises(UserError, match="is not an image that can be read, or a damaged one"):
            picture.read()


def test_formats_that_are_not_read_are_named_with_the_remedy(tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.dng", "clip.mp4", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"2 files \(a\.HEIC, b\.dng\).*1 video \(clip\.mp4\)"):
        open_pictures(tmp_path, names=None, as_stored=False, every=1)
    (picture,) = open_pictures(tmp_path / "a.HEIC", names=None, as_stored=False, every=1).pictures
    with pytest.raises(UserError, match=r"Convert it to one of \.jpg"):
        picture.read()
