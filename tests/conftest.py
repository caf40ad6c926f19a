"""What the tests share: a home of their own, so that no test touches the user's data, runs or store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HMR_LIGHT_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HMR_LIGHT_HOME", str(folder))
    return folder


@pytest.fixture
def hmr_light(home: Path) -> Command:
    """Runs `hmr-light ARGUMENTS…` as a user would, in its own process, with `home` as its home."""

    def run(*arguments: str, cwd: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hmr_light", *arguments],
            capture_output=True,
            text=True,
            cwd=cwd or home,
            timeout=timeout,
            env={**os.environ, "HMR_LIGHT_HOME": str(home)},
        )

    return run
