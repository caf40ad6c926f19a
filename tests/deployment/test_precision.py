"""Weights in fewer bytes: the file of a compressed model is that model, and what would be another one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from support.compression import change, rebuilt
from support.exported import NODES, SIZE, export, trained

from hmr_light.checkpoints.format import Checkpoint, save_model
from hmr_light.deployment.parity import parity_crops
from hmr_light.deployment.precision import choose_precision
from hmr_light.deployment.scoring import Scored
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, normalize
from hmr_light.model.onnx_predictor import open_onnx

CONFIG = {**NODES, "data": {"image_size": SIZE}, "body": {"name": "embedded"}}


def bytes_of(file: Path) -> dict[int, int]:
    """The bytes of a file's constants, by their type."""
    found: dict[int, int] = {}
    for one in onnx.load(file).graph.initializer:
        found[one.data_type] = found.get(one.data_type, 0) + len(one.raw_data)
    return found


def predictions(file: Path) -> torch.Tensor:
    return torch.cat([value.flatten(1) for value in open_onnx(file, threads=1)(parity_crops(SIZE))], dim=1)


@torch.no_grad()
def outputs(model: HMR) -> torch.Tensor:
    return torch.cat([value.flatten(1) for value in model(normalize(parity_crops(SIZE)))], dim=1)


@pytest.mark.parametrize(
    ("step", "options", "regressor", "precision"),
    [
        ("share", {"bits": 5, "scale": "channel"}, "spin", "codebook"),
        ("share", {"bits": 5}, "light", "codebook"),
        ("int8", {}, "spin", "int8"),
    ],
)
def test_a_compressed_model_is_stored_as_it_is(
    step: str,
    options: dict[str, Any],
    regressor: str,
    precision: str,
    rendered: Path,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = {**NODES, "regressor": {"name": regressor, "hidden": 24}}
    model = trained(build_model(nodes))
    small = rebuilt(model, change(model, step, **options))
    save_model(tmp_path / "a.pt", small, {**CONFIG, **nodes}, 1, {})
    file = export(f"checkpoint={tmp_path / 'a.pt'}", f"data.root={rendered}", "images=8")
    assert file.name == f"a-{precision}.onnx"
    assert "MPJPE on 8 people of synthetic: the file " in capsys.readouterr().out
    assert open_onnx(file).precision == precision

    held = bytes_of(file)
    network = model if regressor == "light" else model.backbone  # SPIN's becomes one map, with other weights
    layers = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d | torch.nn.Linear)]
    weights = sum(one.weight.numel() for one in layers)
    small_type = TensorProto.UINT8 if precision == "codebook" else TensorProto.INT8
    assert held[small_type] >= 0.95 * weights
    assert file.stat().st_size < 2 * weights + 40_000  # four bytes a weight otherwise

    found, expected, before = predictions(file), outputs(small), outputs(model)
    error, change_by_step = (found - expected).abs().mean(), (before - expected).abs().mean()
    assert error < 0.3 * change_by_step, "it is the compressed model, not the one before"


def test_half_of_the_bytes(tmp_path: Path, home: Path, exported: Path) -> None:
    file = export(
        f"checkpoint={exported.parent / 'checkpoints' / 'epoch-003.pt'}",
        "precision=float16",
        f"out={tmp_path / 'h.onnx'}",
    )
    held = bytes_of(file)
    assert held[TensorProto.FLOAT16] > 20 * held[TensorProto.FLOAT]
    difference = (predictions(file) - predictions(exported)).abs()
    assert 0 < difference.max() < 0.05


def checkpoint(*steps: str) -> Checkpoint:
    changes = tuple({"name": step, "options": {}} for step in steps)
    return Checkpoint(Path("a.pt"), CONFIG, 1, "260101-000000", {}, {}, changes)  # type: ignore[arg-type]


def test_the_precision_is_the_models_own_unless_another_is_the_same_model() -> None:
    assert choose_precision(checkpoint("prune"), None) == "float32"
    assert choose_precision(checkpoint("prune", "share"), None) == "codebook"
    assert choose_precision(checkpoint("fold", "int8"), None) == "int8"
    assert choose_precision(checkpoint("share"), "float32") == "float32"
    for steps, asked, remedy in (
        ((), "codebook", "hmr-light compress checkpoint=a.pt compression=share"),
        (("share",), "int8", "hmr-light compress checkpoint=a.pt compression=int8"),
        (("int8",), "float32", "Leave precision= out"),
    ):
        with pytest.raises(UserError) as caught:
            choose_precision(checkpoint(*steps), asked)
        assert remedy in caught.value.remedy


@pytest.mark.parametrize("worse", [1.01, np.nan])
def test_a_file_that_is_worse_by_a_millimetre_is_refused(worse: float) -> None:
    Scored("val", 500, 100.0, 100.9).check()
    Scored("val", 500, 100.0, 90.0).check()
    with pytest.raises(UserError, match="worse than the model"):
        Scored("val", 500, 100.0, 100.0 + worse).check()
