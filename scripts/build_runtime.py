"""Build the wheel of the runtime without torch: `python scripts/build_runtime.py OUT [--model FILE]`.

`hmr_light_runtime` is src/hmr_light/deployment/runtime under its own name, with the zoo's pocket as codebook ONNX (or
the exported FILE), the finder and the embedded body.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hmr_light import __version__
from hmr_light.body import load_body
from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.deployment import runtime
from hmr_light.deployment.export import export_file
from hmr_light.deployment.finder import export_finder

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(runtime.__file__).parent
PACKAGE, MODEL = "hmr_light_runtime", "pocket_shared"
BODY = ("v_template", "f", "shapedirs", "J_regressor", "J_regressor_extra", "kintree_table", "weights")
# The headless build of OpenCV: the runtime opens no windows, their libraries would take 35 MB, and servers lack what
# these need.
PROJECT = f"""
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "hmr-light-runtime"
version = "{__version__}"
description = "3D human meshes from photographs: models of hmr_light without torch"
readme = "README.md"
license = "Apache-2.0"
license-files = ["LICENSE", "NOTICE"]
requires-python = ">=3.11"
dependencies = ["numpy>=2.0", "onnxruntime>=1.22", "opencv-python-headless>=5.0"]

[project.scripts]
hmr-light-runtime = "{PACKAGE}.__main__:main"

[tool.hatch.build.targets.wheel]
packages = ["{PACKAGE}"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    wheel = build(options.out, options.model)
    print(f"{wheel}: {wheel.stat().st_size:,} bytes")


def build(out: Path, model: Path | None = None) -> Path:
    """Build the wheel in the folder `out` and return it; `model` is an exported file to put in pocket's place."""
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        package, files = project / PACKAGE, project / PACKAGE / "data"
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
        files.mkdir()
        (package / "py.typed").touch()
        export_finder(files / "finder.onnx")
        if model is None:
            checkpoint = load_checkpoint(Path(MODEL))
            export_file(checkpoint, load_body(), files / "pocket.onnx", precision="codebook")
        else:
            shutil.copy(model, files / "pocket.onnx")
        with np.load(EMBEDDED_BODY) as body:
            np.savez_compressed(files / "body.npz", **{key: body[key] for key in BODY})
        for file in (ROOT / "LICENSE", ROOT / "NOTICE", SOURCE / "README.md"):
            shutil.copy(file, project)
        (project / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out.resolve())]
        subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
    return out / f"{PACKAGE}-{__version__}-py3-none-any.whl"


if __name__ == "__main__":
    main()
