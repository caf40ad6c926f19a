"""Files that are no exports of hmr-light are told in one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmr_light.deployment.runtime.errors import UserError
from hmr_light.deployment.runtime.finder import PeopleFinder
from hmr_light.deployment.runtime.model import load_model


def test_a_model_says_what_it_is(exported: Path) -> None:
    model = load_model(exported)
    assert (model.image_size, model.contrast, model.body_name) == (64, None, "embedded")


def test_other_files_are_refused(exported: Path, finder_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"text")
    for source, message in (
        ("nothing", "there is no model nothing"),
        ("nothing.onnx", "there is no file nothing.onnx"),
        (tmp_path / "text.onnx", "cannot be read as an ONNX model"),
        (finder_file, "finds people, and is no model"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(source)
    with pytest.raises(UserError, match="is not the finder"):
        PeopleFinder(exported)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "was not exported by hmr-light"),
        ("no json", "cannot be read"),
        ('{"format": 99, "input": {}}', "of format 99"),
        ('{"format": 1, "input": {"size": 0, "type": "uint8", "name": "image"}}', "not those of an export"),
        ('{"format": 1, "input": {"size": 64, "type": "uint8", "name": "image"}}', "gives no rotations, betas, camera"),
    ],
)
def test_what_a_file_says_is_checked(finder_file: Path, tmp_path: Path, said: str | None, message: str) -> None:
    import onnx

    model = onnx.load(finder_file)
    del model.metadata_props[:]
    if said is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "hmr_light", said
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "other.onnx")
