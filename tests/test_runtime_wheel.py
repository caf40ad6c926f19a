"""The wheel of the runtime: it works alone, without torch, and beside the main package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from benchmark_runtime import answer, environment_bytes
from build_runtime import build

from hmr_light import sample_photograph

ROOT = Path(__file__).resolve().parents[1]
_RUN = """
import sys
from hmr_light_runtime.__main__ import main
status = main(sys.argv[1:])
assert not {"torch", "hydra", "mlflow", "hmr_light", "scipy"} & {*sys.modules}, "more than the runtime was imported"
sys.exit(status)
"""


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, timeout=900
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_is_whole_and_imports_nothing_of_the_main_package(runtime_package: Path, tmp_path: Path) -> None:
    names = {file.relative_to(runtime_package).as_posix() for file in runtime_package.rglob("*") if file.is_file()}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"hmr_light_runtime"}
    assert names >= {f"hmr_light_runtime/{file}" for file in ("data/finder.onnx", "data/pocket.onnx", "data/body.npz")}
    for file in ("LICENSE", "NOTICE"):
        assert any(name.endswith(f"licenses/{file}") for name in names)
    assert sum((runtime_package / name).stat().st_size for name in names) < 15e6
    # The other packages are those of this environment.
    printed = _run(
        sys.executable, "-c", _RUN, sample_photograph(), "--json", cwd=tmp_path, PYTHONPATH=str(runtime_package)
    )
    assert len(json.loads(printed)["people"]) == 1


@pytest.mark.slow
def test_it_works_alone_in_an_empty_environment_and_beside_the_main_package(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (main_wheel,) = tmp_path.glob("hmr_light-*.whl")
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(*pip, "install", wheel, "-c", ROOT / "constraints.txt", cwd=tmp_path)
    assert environment_bytes(python) < 300 * 2**20
    first = answer(python)
    assert (first["people"], first["foreign"]) == (1, [])
    assert first["mb"] < 200
    command = tmp_path / "environment" / "bin" / "hmr-light-runtime"
    assert "1 person" in _run(command, sample_photograph(), cwd=tmp_path)

    # Neither has a file of the other's.
    _run(*pip, "install", "--no-deps", main_wheel, cwd=tmp_path)
    _run(*pip, "uninstall", "--yes", "hmr-light-runtime", cwd=tmp_path)
    where = "import hmr_light; print(hmr_light.sample_photograph())"
    assert Path(_run(python, "-c", where, cwd=tmp_path).strip()).is_file()
    _run(*pip, "install", wheel, cwd=tmp_path)
    _run(*pip, "uninstall", "--yes", "hmr-light", cwd=tmp_path)
    assert answer(python)["people"] == 1
