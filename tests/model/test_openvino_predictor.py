"""A file for OpenVINO is a predictor like another; what is none, and weights of another file, are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from support.exported import SIZE

import hmr_light
from hmr_light.checkpoints.exported import open_model
from hmr_light.errors import UserError
from hmr_light.model.openvino_predictor import open_openvino


def test_files_are_models_from_python(exported: Path, exported_openvino: Path) -> None:
    crops = torch.from_numpy(np.random.default_rng().integers(0, 256, (3, 3, SIZE, SIZE), np.uint8))
    truth = hmr_light.load_model(exported.parent, "cpu")(crops)
    for file in (exported, exported_openvino):
        model = hmr_light.load_model(str(file))
        assert model.image_size == SIZE
        assert model.body_name == "embedded"
        for _ in range(2):
            for found, value in zip(model(crops), truth, strict=True):
                assert (found - value).abs().max() < 1e-4
        with pytest.raises(UserError, match="runs on the CPU"):
            hmr_light.load_model(file, "cuda")


def test_its_row_names_the_runtime_and_the_precision(exported_openvino: Path) -> None:
    model = open_model(exported_openvino)
    assert model.row == "small openvino float32"  # type: ignore[union-attr]
    assert model.run_dir.name == "model-float32.xml.run"


def test_what_it_gave_stays_as_it_was(exported_openvino: Path) -> None:
    model = open_openvino(exported_openvino, threads=1)
    pictures = torch.from_numpy(np.random.default_rng().integers(0, 256, (2, 1, 3, SIZE, SIZE), np.uint8))
    first = model(pictures[0])
    before = first.rotations.clone()
    model(pictures[1])
    assert torch.equal(first.rotations, before)


def copied(source: Path, folder: Path) -> Path:
    for ending in (".xml", ".bin"):
        shutil.copy(source.with_suffix(ending), folder / f"a{ending}")
    return folder / "a.xml"


def test_weights_of_another_file_are_refused(exported_openvino: Path, tmp_path: Path) -> None:
    file = copied(exported_openvino, tmp_path)
    weights = file.with_suffix(".bin")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="are not the weights of"):
        open_openvino(file)
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be read as an OpenVINO model"):
        open_openvino(file)
    weights.unlink()
    with pytest.raises(UserError, match=r"there is no file .*a\.bin"):
        open_openvino(file)


@pytest.mark.parametrize(
    "text", ["", "<net", "<html></html>", '<?xml version="1.0"?><net name="a" version="11"></net>']
)
def test_a_file_of_another_kind_is_refused(exported_openvino: Path, tmp_path: Path, text: str) -> None:
    file = copied(exported_openvino, tmp_path)
    file.write_text(text)
    with pytest.raises(UserError, match=r"cannot be read as an OpenVINO model|was not exported"):
        open_openvino(file)


def test_another_systems_file_is_refused(tmp_path: Path) -> None:
    value = openvino.opset8.parameter([1], np.float32, name="x")
    openvino.serialize(openvino.Model([openvino.opset8.relu(value)], [value]), str(tmp_path / "a.xml"))
    with pytest.raises(UserError, match=r"cannot be read|was not exported by hmr-light"):
        open_openvino(tmp_path / "a.xml")
