"""Files of weights: what is of another kind is told by its kind, and differences are listed."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.backbones.state_dicts import compare, extract_state, read_torch_file, without
from hmr_light.errors import UserError


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_torch_file(path, "a checkpoint")
    assert str(path) in caught.value.message
    assert caught.value.remedy
    return caught.value.message


def test_a_sound_file_of_another_kind_is_told_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    contents = {
        "empty": b"",
        "a web page": b"\n<!DOCTYPE html><html></html>",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "an HDF5 file": b"\x89HDF\r\n\x1a\n",
        "a safetensors file": (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}',
        "compressed": gzip.compress(b"a"),
    }
    for kind, data in contents.items():
        path.write_bytes(data)
        assert f"it is {kind}" in message(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(1))
    assert "it is an npz file" in message(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/code/__torch__.py", "net/constants.pkl", "net/data.pkl", "net/version"):
            archive.writestr(name, b"1")
    assert "it is a TorchScript archive" in message(path)


def test_a_damaged_file_is_told_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:900])
    assert "cannot be read as a checkpoint: " in message(path)


def test_weights_are_found_however_they_are_wrapped() -> None:
    state = {"conv.weight": torch.ones(1), "module_list.0.bias": torch.zeros(2)}
    assert extract_state({"state_dict": state, "epoch": 1}).keys() == state.keys()
    average = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 1))
    assert extract_state({"model": average.state_dict()}).keys() == {"weight", "bias"}
    part = {"backbone._orig_mod.conv.weight": torch.ones(1)}
    assert extract_state(part).keys() == {"backbone.conv.weight"}
    assert extract_state({"epoch": 1, "state_dict": 2}) == {}
    endless: dict[str, object] = {}
    endless["model"] = endless
    assert extract_state(endless) == {}


def test_differences_are_listed_less_those_that_are_allowed() -> None:
    own = {"a": torch.ones(1), "b.c": torch.ones(2), "d": torch.ones(3)}
    found = compare(own, {"b.c": torch.ones(2, 1), "d": torch.ones(3), "e": torch.ones(1)})
    assert str(found) == "1 missing: a; 1 unexpected: e; 1 of another shape: b.c (2, 1) for (2,)"
    assert str(without(found, ["b.*", "e"])) == "1 missing: a"
    assert not any(without(found, ["*"]))
    many = compare({}, {f"w{number:02d}": torch.ones(1) for number in range(30)})
    assert str(many).startswith("30 unexpected: w00, ")
    assert str(many).endswith(" and 18 more")
