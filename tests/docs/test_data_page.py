"""One's own data, as data/README.md shows it: every printed command runs, from nothing to a row of the table."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cli import Command

PAGE = (Path(__file__).parents[2] / "data" / "README.md").read_text()
SMALL = ["backbone=squeezenet1_1", "data.image_size=64", "data.workers=0", "trainer.epochs=1"]
SMALL += ["trainer.threads=1", "trainer.device=cpu", "optimizer.warmup_steps=0"]


def blocks(title: str) -> list[str]:
    """The contents of the code blocks below a title."""
    section = PAGE.partition(f"### {title}")[2].partition("\n##")[0]
    return re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs, a COCO file of them, and `people.npz` as the page's example writes it."""
    (tmp_path / "photographs").mkdir()
    rng = np.random.default_rng()
    for name in ("a.jpg", "b.jpg"):
        coarse = rng.integers(0, 256, (10, 10, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photographs" / name), cv2.resize(coarse, (100, 140)))
    keypoints = np.concatenate([rng.integers(10, 90, (17, 2)), np.full((17, 1), 2)], 1).ravel().tolist()
    person = {"category_id": 1, "bbox": [5, 5, 80, 110], "keypoints": keypoints, "iscrowd": 0}
    document = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(("a.jpg", "b.jpg"))],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [person | {"image_id": 0}, person | {"image_id": 1}, {"image_id": 1, "category_id": 2}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("Your own npz")[0], "data/README.md", "exec"), {})
    return tmp_path


@pytest.mark.parametrize(("title", "row"), [("Your own npz", "my_first"), ("Your own file in COCO's", "my_second")])
def test_every_command_runs_as_printed_and_a_row_comes_of_it(
    folder: Path, hmr_light: Command, title: str, row: str
) -> None:
    commands = blocks(title)[-1].strip().splitlines()
    assert len(commands) >= 3
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "hmr-light"
        done = hmr_light(*arguments, *(SMALL if arguments[0] == "train" else []), cwd=folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert f">>>{row}<<<" in done.stdout
    assert "on own" in done.stdout + done.stderr
