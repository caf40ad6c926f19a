"""An exported file is a predictor like another; what is none is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hmr_light.body import load_body
from hmr_light.checkpoints.models import load_model
from hmr_light.errors import UserError
from hmr_light.model.file_predictor import METADATA
from hmr_light.model.onnx_predictor import open_onnx
from hmr_light.model.predictor import Predictor
from hmr_light.paths import sample_photograph


def test_a_file_sees_the_people_that_its_model_sees(exported: Path) -> None:
    image = cv2.imread(str(sample_photograph()), cv2.IMREAD_COLOR_RGB)
    body = load_body()
    boxes = np.random.default_rng().uniform((50, 50, 150, 150), (200, 200, 300, 300), (3, 4))
    found = Predictor(open_onnx(exported), body)(image, boxes)
    truth = Predictor(load_model(exported.parent, "cpu"), body)(image, boxes)
    np.testing.assert_allclose(found.vertices, truth.vertices, atol=5e-5)
    np.testing.assert_allclose(found.joints_2d, truth.joints_2d, atol=0.1)


def write(path: Path, metadata: str | None, outputs: tuple[str, ...] = ("y",)) -> Path:
    """A sound ONNX file that hands on its input."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in outputs]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], [name]) for name in outputs], "g", [value], results)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    if metadata is not None:
        helper.set_model_props(model, {METADATA: metadata})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "was not exported by hmr-light"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 99}', "an export of format 99"),
        ('{"format": 1}', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, metadata: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_onnx(write(tmp_path / "other.onnx", metadata))


@pytest.mark.parametrize("outputs", [("y",), ("rotations", "camera", "y", "z")])
def test_a_file_without_an_output_is_refused(exported: Path, tmp_path: Path, outputs: tuple[str, ...]) -> None:
    metadata = onnx.load(exported).metadata_props[0].value
    with pytest.raises(UserError, match=r"gives no .*betas"):
        open_onnx(write(tmp_path / "other.onnx", metadata, outputs))


def test_a_damaged_file_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        open_onnx(tmp_path / "absent.onnx")
    content = exported.read_bytes()
    for name, part in {"cut": content[: len(content) // 2], "text": b"not a model", "empty": b""}.items():
        (tmp_path / name).write_bytes(part)
        with pytest.raises(UserError, match=r"cannot be read as an ONNX model|was not exported"):
            open_onnx(tmp_path / name)
