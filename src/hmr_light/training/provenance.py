"""Where a run's figures come from: code, machine, versions."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.run_config import FILE_NAME
from hmr_light.paths import checkpoint_file
from hmr_light.tracking.state import mlflow_run_id
from hmr_light.training.context import Lineage

PACKAGES = ("hmr-light", "torch", "torchvision", "numpy", "opencv-python", "smplx", "mlflow", "hydra-core")


def git_commit() -> str:
    """The checkout's commit, with `-dirty` if files differ from it; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    try:
        # An installed copy may lie within somebody else's repository.
        _git(root, "ls-files", "--error-unmatch", str(Path(__file__).resolve()))
        commit = _git(root, "rev-parse", "HEAD")
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty" if dirty else commit


def environment() -> str:
    """Python, system and package versions, a line each."""
    return "\n".join([f"system {platform.platform()}", *_versions()]) + "\n"


def versions() -> str:
    """Python and package versions in one line, for a row of the table."""
    return ", ".join(_versions())


def file_sha256(path: str | Path | None) -> str | None:
    """The SHA-256 of the content of a file, or of a model of the package by its name; None where there is no such."""
    if path is None or not (file := checkpoint_file(Path(path))).is_file():
        return None
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def lineage_of(checkpoint: Checkpoint, tracking_uri: str | None) -> Lineage:
    """What a run is tagged with whose model comes from `checkpoint`; the run's MLflow id is that in `tracking_uri`."""
    run_dir = checkpoint.run_dir
    name = run_dir.name if (run_dir / FILE_NAME).is_file() else checkpoint.path.stem
    return Lineage(mlflow_run_id(run_dir, tracking_uri) or name, file_sha256(checkpoint.path) or "")


def _versions() -> list[str]:
    found = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return found


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return result.stdout.strip()
