"""Gathering people: in blocks, and by the names of image files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from support.foreign_files import entry, picture, write_tar

from hmr_light.data.converters import builder
from hmr_light.data.converters.hmr2 import convert


def test_people_gathered_in_blocks_are_the_same(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard, names in enumerate((["a", "b"], ["a_longer_name", "d", "e"])):
        parts = {
            name: {".jpg": picture(rng, ".jpg"), ".data.pyd": pickle.dumps([entry(rng), entry(rng)])} for name in names
        }
        write_tar(tmp_path / f"{shard}.tar", parts)
    convert(tmp_path, tmp_path / "one.npz")
    monkeypatch.setattr(builder, "BLOCK", 3)  # ten people: three full blocks, and one more
    convert(tmp_path, tmp_path / "blocks.npz")
    one, blocks = (np.load(tmp_path / name, allow_pickle=False) for name in ("one.npz", "blocks.npz"))
    assert set(one.files) == set(blocks.files)
    assert len(blocks["imgname"]) == 10
    for key in one.files:
        np.testing.assert_array_equal(blocks[key], one[key], strict=True)
