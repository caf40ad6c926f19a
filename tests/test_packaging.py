"""The wheel carries its configs and its body, and works in another folder of another environment."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_finds_its_configs_in_an_empty_environment(tmp_path: Path) -> None:
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")

    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    # What `--cfg` needs is Hydra alone; torch and the rest would only make this test slow.
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--no-deps", wheel, cwd=tmp_path)
    _run(*pip, "hydra-core", "-c", ROOT / "constraints.txt", cwd=tmp_path)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = _run(environment / "bin" / "hmr-light", "train", "--cfg", "job", "backbone=resnet50", cwd=elsewhere)
    config = yaml.safe_load(printed)
    assert config["backbone"]["name"] == "resnet50"
    assert config["trainer"]["epochs"] > 0
    installed = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    assert (installed / "hmr_light" / "body" / "embedded.npz").is_file()
    assert (installed / "hmr_light" / "conf" / "train.yaml").is_file()
    zoo = {path.name for path in (installed / "hmr_light" / "zoo").iterdir()}
    assert zoo >= {"movenet.pth", "movenet_heads.pth", "mobile.pt"}
    where = "import hmr_light; print(hmr_light.sample_photograph())"
    photograph = Path(_run(python, "-c", where, cwd=elsewhere).strip())
    assert photograph.read_bytes() == (ROOT / "data" / "camera.png").read_bytes()
    assert wheel.stat().st_size < 15e6
