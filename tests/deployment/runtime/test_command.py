"""`hmr-light-runtime`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light import sample_photograph
from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.deployment.runtime.__main__ import main


@pytest.fixture
def options(exported: Path, finder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shutil.copy(sample_photograph(), tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return ["--model", str(exported), "--finder", str(finder_file), "--body", str(EMBEDDED_BODY)]


def test_a_photograph_becomes_a_picture_and_numbers(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photo.png", *options]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("photo.png: 1 person, confidence 0.")
    assert "next: look at the pictures in people" in printed.err
    with np.load("people/photo.npz") as numbers:
        assert numbers["joints"].shape == (1, 49, 3)
        assert 0 < numbers["confidence"][0] < 1
    picture = cv2.imread("people/photo.png")
    assert picture.shape[1] == 2 * 512
    # A second time, the new folder has another name.
    assert main(["photo.png", *options]) == 0
    assert Path("people_2/photo.png").read_bytes() == Path("people/photo.png").read_bytes()


def test_lines_of_json_are_read_by_other_programs(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes.json").write_text('{"photo.png": [[0, 62, 330, 450], [0, 62, 330, 330]]}')
    assert main(["photo.png", "--json", "--boxes", "boxes.json", *options]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    content = json.loads(line)
    assert (content["image"], len(content["people"])) == ("photo.png", 2)
    person = content["people"][0]
    assert person["box"] == {"center": [164.5, 286.5], "scale": 2.7}
    assert np.shape(person["rotations"]) == (24, 3, 3)
    assert not Path("people").exists()
    assert main(["photo.png", "--json", "--boxes", "0,62,330,450", *options]) == 0
    (alone,) = json.loads(capsys.readouterr().out)["people"]
    assert alone.keys() == person.keys()
    assert alone["box"] == person["box"]
    np.testing.assert_allclose(alone["rotations"], person["rotations"], atol=1e-4)


def test_people_are_followed_through_a_video(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    image = cv2.imread("photo.png")
    video = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 25, (512, 512))
    for _ in range(5):
        video.write(image)
    video.release()
    assert main(["clip.avi", "--every", "2", "--out", "frames", *options]) == 0
    assert sorted(file.name for file in Path("frames").glob("*.npz")) == [
        "clip-000000.npz",
        "clip-000002.npz",
        "clip-000004.npz",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nothing.png"], "there is no image, folder or video nothing.png"),
        (["photo.png", "--boxes", "1,2,3"], "--boxes 1,2,3 is not a box"),
        (["photo.png", "--boxes", "nothing.json"], "cannot read the boxes nothing.json"),
        (["photo.png", "--boxes", "list.json"], "is not a file of boxes"),
        (["photo.png", "--boxes", "9000,9000,5,5"], "nobody was found"),
        (["photo.png", "--every", "0"], "at least 1"),
        (["photo.png", "--out", "."], "is there already, and not empty"),
        (["grey.png"], "nobody was found"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(
    options: list[str], given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.json").write_text("[1]")
    cv2.imwrite("grey.png", np.full((200, 300, 3), 127, np.uint8))
    before = sorted(Path().iterdir())
    assert main([*given, *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out in ("", "grey.png: nobody was found\n")
    assert sorted(Path().iterdir()) == before


def test_help_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for given, status in ((["--help"], 0), ([], 2)):
        with pytest.raises(SystemExit) as left:
            main(given)
        assert left.value.code == status
    assert "hmr-light-runtime photo.jpg" in capsys.readouterr().out
