"""The page on exported files: its Python runs as printed (its JavaScript: tests/deployment/test_page.py)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr_light.paths import sample_photograph

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


def examples() -> list[str]:
    """What the page prints in Python."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_lines_of_python_run_as_printed(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(sample_photograph(), tmp_path / "photograph.png")
    shutil.copy(exported, tmp_path / "mobile-float32.onnx")
    monkeypatch.chdir(tmp_path)
    example, _ = examples()
    # A file without joints and mesh gives three values, this one five.
    example = example.replace("rotations, betas, camera =", "rotations, betas, camera, *_ =")
    variables: dict = {}
    exec(compile(example, str(PAGE), "exec"), variables)
    rotations = variables["rotations"]
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), np.eye(3) + np.zeros((1, 24, 1, 1)), atol=1e-5)


def test_the_lines_without_torch_run_as_printed(
    runtime_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sample_photograph(), tmp_path / "photograph.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(runtime_package)
    variables: dict = {}
    exec(compile(examples()[1], str(PAGE), "exec"), variables)
    assert variables["people"].vertices.shape == (1, 6890, 3)
    picture = cv2.imread("people.png")
    assert picture.shape == (512, 1024, 3)
