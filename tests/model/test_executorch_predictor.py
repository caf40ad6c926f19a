"""A program for ExecuTorch is a predictor like another. Its package is no part of the development group."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import SIZE, export

from hmr_light.checkpoints.models import load_model
from hmr_light.errors import UserError
from hmr_light.model.executorch_predictor import open_executorch


def test_without_its_package_the_message_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch.runtime", None)
    with pytest.raises(UserError, match="executorch, which is not installed") as caught:
        open_executorch(tmp_path / "a.pte")
    assert caught.value.remedy == "pip install 'hmr-light[executorch]'"


def test_a_program_gives_what_its_model_gives(exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("executorch.runtime", reason="needs the extra executorch")
    checkpoint = exported.parent / "checkpoints" / "epoch-003.pt"
    file = export(f"checkpoint={checkpoint}", "format=executorch", f"out={tmp_path / 'a.pte'}")
    crops = torch.from_numpy(np.random.default_rng().integers(0, 256, (3, 3, SIZE, SIZE), np.uint8))
    for found, value in zip(load_model(file)(crops), load_model(exported.parent, "cpu")(crops), strict=True):
        assert (found - value).abs().max() < 1e-4
    with pytest.raises(UserError, match="float32 alone"):
        export(f"checkpoint={checkpoint}", "format=executorch", "precision=float16", f"out={tmp_path / 'b.pte'}")
    for content in (b"", b"not a program", file.read_bytes()[:1000]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as an ExecuTorch model"):
            open_executorch(file)
