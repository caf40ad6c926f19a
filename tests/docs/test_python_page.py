"""The examples of docs/python.md run as printed, one after another, in a folder that has what they name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmr_light.checkpoints.format import save_model
from hmr_light.deployment.runtime.predictions import write_parameters
from hmr_light.model.hmr import build_model

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
NODES = {
    "backbone": {"name": "squeezenet1_1", "weights": None, "adapter": {"name": "pooled"}},
    "regressor": {"name": "linear"},
}


@pytest.fixture
def page(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The variables after the last example."""
    config = {**NODES, "data": {"image_size": 64}, "body": {"name": "embedded"}}
    run = tmp_path / "outputs" / "hmr_light" / "RUN"
    save_model(run / "checkpoints" / "epoch-001.pt", build_model(NODES), config, 1, {"mpjpe_mm": 100.0})
    shutil.copy(exported, tmp_path / "person.onnx")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 5
    variables: dict = {}
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), variables)
    return variables


def rows(heading: str) -> dict[str, str]:
    """Of the table below a heading: what the first column names, and the shape in the second."""
    section = PAGE.read_text().split(heading)[1].split("\n## ")[0]
    found = re.findall(r"^\| (`[^|]+`) \| ([^|]*)\|", section, re.MULTILINE)
    return {name: shape.strip() for names, shape in found for name in re.findall(r"`(\w+)`", names)}


def test_the_examples_run_and_the_tables_say_what_there_is(page: dict, tmp_path: Path) -> None:
    people, sizes = page["people"], {"P": 1, "V": 6890}
    for name, shape in rows("## What comes back").items():
        value = getattr(people, name)
        if shape.startswith("("):
            assert value.shape == eval(shape, sizes), name
    write_parameters(people, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        named = rows("## The npz").keys() | {"crop_focal"}
        also = {"rotations", "pose", "betas", "camera", "joints", "joints_2d", "translation", "focal"}
        also |= {"keypoints", "agreement", "confidence"}
        assert set(file.files) == named | also
