"""An exported file gives what its model gives, says what it is, and is not there where it fails."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from support.exported import NODES, SIZE, export, write_run
from support.small_run import journal

from hmr_light.body import load_body
from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize


def checkpoint_of(exported: Path) -> Path:
    return exported.parent / "checkpoints" / "epoch-003.pt"


@pytest.mark.parametrize("batch", [1, 5])
def test_a_runtime_gives_what_the_model_gives_for_any_number_of_crops(exported: Path, batch: int) -> None:
    crops = np.random.default_rng().integers(0, 256, (batch, SIZE, SIZE, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"image": crops}), strict=True))
    with torch.no_grad():
        truth = load_checkpoint(checkpoint_of(exported)).build()(normalize(torch.from_numpy(crops).permute(0, 3, 1, 2)))
        posed = load_body()(truth.rotations, truth.betas)
    for name, value in {**truth._asdict(), **posed._asdict()}.items():
        np.testing.assert_allclose(found.pop(name), value.numpy(), atol=1e-4, err_msg=name)
    assert not found


@pytest.mark.parametrize("batch", [1, 5])
def test_openvino_gives_what_onnx_runtime_gives(exported: Path, exported_openvino: Path, batch: int) -> None:
    crops = np.random.default_rng().integers(0, 256, (batch, SIZE, SIZE, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    compiled = openvino.Core().compile_model(str(exported_openvino), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(crops)
    for name, value in zip(names, session.run(None, {"image": crops}), strict=True):
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)
    assert len(found) == len(names)


def test_the_file_says_what_it_is(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    (entry,) = model.metadata_props
    said = json.loads(entry.value)
    assert said["input"]["size"] == SIZE
    assert said["checkpoint"]["sha256"] == hashlib.sha256(checkpoint_of(exported).read_bytes()).hexdigest()
    assert said["figures"] == {"mpjpe_mm": 123.457}
    assert len(said["joints"]) == 49
    assert said["outputs"]["vertices"] == [load_body().num_vertices, 3]
    assert said["body"]["fingerprint"] == load_body().fingerprint
    assert "ANNY" in " ".join(said["licence"])
    assert str(exported.parent.parent) not in exported.read_bytes().decode("latin-1")
    # The batch norms are within the convolutions, and nothing has a long name.
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert max(len(one.name) for one in model.graph.initializer) < 5


def test_the_run_knows_of_the_file(exported: Path) -> None:
    values: dict = {}
    for entry in journal(exported.parent):
        values |= entry.get("values", {})
    assert values["export/onnx/float32/bytes"] == exported.stat().st_size
    assert 0 < values["export/onnx/float32/parameters_difference"] < 1e-4
    assert hashlib.sha256(exported.read_bytes()).hexdigest() in values["hmr_light.export.onnx.float32"]


def test_nothing_is_overwritten(exported: Path, exported_openvino: Path, tmp_path: Path) -> None:
    for form in ("onnx", "openvino"):
        with pytest.raises(UserError, match="is there already"):
            export(f"checkpoint={checkpoint_of(exported)}", f"format={form}")
    (tmp_path / "a.bin").write_text("something else")
    with pytest.raises(UserError, match=r"a\.bin is there already"):
        export(f"checkpoint={checkpoint_of(exported)}", "format=openvino", f"out={tmp_path / 'a.xml'}")


def test_a_file_is_named_as_its_format_asks(tmp_path: Path) -> None:
    for form, ending, wrong in (("onnx", ".onnx", "a.xml"), ("openvino", ".xml", "a.bin"), ("openvino", ".xml", "a")):
        with pytest.raises(UserError, match=rf"does not end in \{ending}"):
            export("model=pocket", f"format={form}", f"out={tmp_path / wrong}")


def test_a_model_that_is_none_leaves_no_file(tmp_path: Path) -> None:
    model = build_model(NODES)
    model.regressor.fc1.weight.data[0, 0] = torch.nan
    config = {**NODES, "data": {"image_size": SIZE}}
    save_model(tmp_path / "broken.pt", model, config, 1, {})
    with pytest.raises(UserError, match="not finite"):
        export(f"checkpoint={tmp_path / 'broken.pt'}")
    assert [file.name for file in tmp_path.iterdir()] == ["broken.pt"]


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="onnxscript, which is not installed") as caught:
        export("model=pocket", f"out={tmp_path / 'a.onnx'}")
    assert caught.value.remedy == "pip install 'hmr-light[onnx]'"
    with pytest.raises(UserError, match="onnxscript, which is not installed") as caught:
        export("model=pocket", "format=openvino", f"out={tmp_path / 'a.xml'}")
    assert caught.value.remedy == "pip install 'hmr-light[openvino]'"


def test_a_body_of_ones_own_is_written_only_on_demand(tmp_path: Path) -> None:
    options = ["model=pocket", "outputs=joints", "body=smpl", f"body.path={tmp_path}"]
    with pytest.raises(UserError, match="numbers of body=smpl") as caught:
        export(*options)
    assert "include_body=true" in caught.value.remedy


def test_what_is_exported_is_named_once(tmp_path: Path) -> None:
    for options in ([], ["model=pocket", "checkpoint=mobile"]):
        with pytest.raises(UserError, match="one of run=, checkpoint= and model="):
            export(*options)


def test_a_float_input_has_the_channels_first(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {**NODES, "regressor": {"name": "hmr", "hidden": 8}}
    checkpoint = write_run(tmp_path / "run", nodes)
    file = export(f"checkpoint={checkpoint.path}", "input=float32")
    assert capsys.readouterr().out.startswith(f"{file}: {file.stat().st_size:,} bytes")
    crops = np.random.default_rng().integers(0, 256, (2, 3, SIZE, SIZE), np.uint8)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(["rotations", "betas", "camera"], {"image": crops.astype(np.float32)})
    with torch.no_grad():
        truth = checkpoint.build()(normalize(torch.from_numpy(crops)))
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
