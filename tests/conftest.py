"""What the tests share: a home of their own, so that no test touches the user's data, runs or store."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Command, compose
from support.hints import check_hints

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Fail a test during which a command was printed, for the user to run next, that does not run as printed."""
    report = yield
    if call.when == "call" and report.passed:
        try:
            check_hints(report.capstdout + report.capstderr)
        except Exception as error:
            report.outcome, report.longrepr = "failed", f"a command that was printed does not run: {error!r}"
    return report


@pytest.fixture(scope="session", autouse=True)
def few_rounds_and_patience() -> None:
    """See tests/support/few_rounds.py and tests/support/patience.py."""
    from support.few_rounds import take_few_rounds
    from support.patience import be_patient

    take_few_rounds()
    be_patient()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HMR_LIGHT_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HMR_LIGHT_HOME", str(folder))
    return folder


@pytest.fixture
def hmr_light(home: Path, child_processes: Any) -> Command:
    """Runs `hmr-light ARGUMENTS…` as a user would, in its own process, with `home` as its home."""

    def run(*arguments: str, cwd: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HMR_LIGHT_HOME": str(home)}
        done: subprocess.CompletedProcess[str]
        done = child_processes.run(*arguments, cwd=cwd or home, env=environment, timeout=timeout)
        check_hints(done.stdout + done.stderr)
        return done

    return run


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rendered dataset: 48 training, 12 validation and 12 test images."""
    from hmr_light.commands.prepare import run

    out = tmp_path_factory.mktemp("data") / "synthetic"
    os.environ.setdefault("HMR_LIGHT_HOME", str(out.parent))
    counts = "source.counts={train: 48, val: 12, test: 12, test_ood: 0}"
    run(compose("prepare", f"source.out={out}", counts, "source.size=128", "source.workers=1"))
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
def child_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts real `hmr-light` processes in a moment; see tests/support/child_processes.py."""
    from support.child_processes import open_child_processes

    with open_child_processes(tmp_path_factory.mktemp("child_processes")) as one:
        yield one


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model-float32.onnx`, with joints and mesh, in the folder of a run with one checkpoint."""
    from support.exported import export, write_run

    run_dir = tmp_path_factory.mktemp("exported") / "run"
    os.environ.setdefault("HMR_LIGHT_HOME", str(run_dir.parent))
    write_run(run_dir)
    return export(f"run={run_dir}", "outputs=mesh")


@pytest.fixture(scope="session")
def runtime_package(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import `hmr_light_runtime` from: what its wheel holds, with `exported` in the place of pocket."""
    from build_runtime import build

    folder = tmp_path_factory.mktemp("runtime")
    with zipfile.ZipFile(build(folder / "wheel", exported)) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture(scope="session")
def exported_openvino(exported: Path) -> Path:
    """`model-float32.xml` of the same checkpoint, in the same folder."""
    from support.exported import export

    return export(f"run={exported.parent}", "format=openvino", "outputs=mesh")
