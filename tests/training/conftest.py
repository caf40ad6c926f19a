"""What tests of distillation share: a teacher, and rendered people to teach on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small_run import write_data
from support.teachers import write_teacher

SEED = int(np.random.default_rng().integers(2**31))


@pytest.fixture(scope="package")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a small teacher."""
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.pt", SEED)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small dataset; the home is a new one."""
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path / "home"))
    return write_data(tmp_path / "data", SEED)
