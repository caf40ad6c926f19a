"""The page on exported files: its Python and C++ run as printed (its JavaScript: tests/deployment/test_page.py)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.exported import SIZE

from hmr_light.model.openvino_predictor import open_openvino
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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_lines_of_cpp_are_compiled_and_run_as_printed(exported_openvino: Path, tmp_path: Path) -> None:
    for ending in (".xml", ".bin"):
        shutil.copy(exported_openvino.with_suffix(ending), tmp_path / f"mobile-float32{ending}")
    crop = np.random.default_rng().integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    (tmp_path / "crop.rgb").write_bytes(crop.tobytes())
    (program,) = re.findall(r"```cpp\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "person.cpp").write_text(program)
    (commands,) = re.findall(r"```bash\n(OPENVINO=.*?)```", PAGE.read_text(), re.DOTALL)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    camera = open_openvino(exported_openvino, threads=1)(torch.from_numpy(crop.transpose(2, 0, 1).copy())[None]).camera
    np.testing.assert_allclose([float(one) for one in done.stdout.split()], camera[0].numpy(), atol=1e-4)
