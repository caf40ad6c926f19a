"""Where a run's figures come from: code, machine, versions."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("hmr-light", "torch", "torchvision", "numpy", "opencv-python", "smplx", "mlflow", "hydra-core")


def git_commit() -> str:
    """The checkout's commit, with `-dirty` if files differ from it; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty" if dirty else commit


def environment() -> str:
    """Python, system and package versions, a line each."""
    lines = [f"python {platform.python_version()}", f"system {platform.platform()}"]
    for package in PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} absent")
    return "\n".join(lines) + "\n"


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return result.stdout.strip()
