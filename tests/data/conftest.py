"""What the tests of data share."""

from __future__ import annotations

import numpy as np
import pytest

from hmr_light.data import sidecar


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator; its seed is printed where a test fails."""
    seed = int(np.random.default_rng().integers(2**31))
    print("seed", seed)
    return np.random.default_rng(seed)


@pytest.fixture
def with_sidecars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size get a sidecar."""
    monkeypatch.setattr(sidecar, "LEAST_BYTES", 0)
