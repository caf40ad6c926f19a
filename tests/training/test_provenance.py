"""The commit that a run names is that of the code it ran, or none."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.run_config import FILE_NAME
from hmr_light.training import provenance


def test_the_commit_is_the_codes_own_and_not_that_of_a_repository_around_it(tmp_path: Path) -> None:
    copy = tmp_path / "src" / "hmr_light" / "training" / "provenance.py"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(provenance.__file__, copy)
    spec = importlib.util.spec_from_file_location("provenance_copy", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.git_commit() == "unknown"

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    (tmp_path / "mine.txt").write_text("somebody's own repository, with an environment in it")
    git("init")
    git("add", "mine.txt")
    git("commit", "-m", "mine")
    assert module.git_commit() == "unknown"
    git("add", "src")
    git("commit", "-m", "the code")
    assert re.fullmatch("[0-9a-f]{40}", module.git_commit())
    copy.write_text(copy.read_text() + "\n")
    assert re.fullmatch("[0-9a-f]{40}-dirty", module.git_commit())


def test_the_parent_is_the_run_that_the_file_lies_in(tmp_path: Path) -> None:
    run_dir = tmp_path / "260101-000000-small"
    (run_dir / "checkpoints").mkdir(parents=True)
    (run_dir / FILE_NAME).touch()
    for name, run in (
        ("checkpoints/epoch-001.pt", run_dir.name),
        ("model.hmrz", run_dir.name),
        ("../alone.pt", "alone"),
    ):
        path = run_dir / name
        path.write_bytes(name.encode())
        found = provenance.lineage_of(Checkpoint(path, {}, 1, "260101-000000", {}, {}), None)
        assert found.parent_run == run
        assert found.parent_checkpoint == hashlib.sha256(name.encode()).hexdigest()
