"""What the tests share: a home of their own, so that no test touches the user's data, runs or store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest

from hmr_light.config import typed
from hmr_light.config.application import SCHEMAS
from hmr_light.paths import conf_dir

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


def compose(command: str, *overrides: str) -> Any:
    """The checked configuration of `hmr-light COMMAND OVERRIDES…`, without running it."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return typed(SCHEMAS[command], hydra.compose(command, list(overrides)))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rendered dataset: 48 training, 12 validation and 12 test images."""
    from hmr_light.commands.prepare import run

    out = tmp_path_factory.mktemp("data") / "synthetic"
    os.environ.setdefault("HMR_LIGHT_HOME", str(out.parent))
    counts = "dataset.counts={train: 48, val: 12, test: 12, test_ood: 0}"
    run(compose("prepare", f"dataset.out={out}", counts, "dataset.size=128", "dataset.workers=1"))
    return out


@pytest.fixture
def quick(home: Path, rendered: Path) -> list[str]:
    """Overrides of a training run of seconds: SqueezeNet (no batch norm), small images, the journal its only record."""
    return [
        "backbone=squeezenet1_1",
        "tracking=journal",
        f"data.root={rendered}",
        "data.image_size=64",
        "data.workers=0",
        "trainer.device=cpu",
        "trainer.threads=1",
        "trainer.epochs=2",
        "trainer.batch_size=16",
        "optimizer.warmup_steps=0",
    ]


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts real `hmr-light` processes in a moment; see tests/reliability/nursery.py."""
    from nursery import open_nursery

    with open_nursery(tmp_path_factory.mktemp("nursery")) as one:
        yield one
