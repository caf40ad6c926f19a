"""Sends journals in the foreground: the same code as beside a run, with its errors shown."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hmr_light.errors import UserError
from hmr_light.tracking.journal import FILE_NAME
from hmr_light.tracking.mlflow_writer import MlflowWriter
from hmr_light.tracking.state import load_sent, sender_lock
from hmr_light.tracking.store import normal_uri
from hmr_light.tracking.uploader import close_if_killed


class Replay(NamedTuple):
    """What one journal's replay did."""

    run_dir: Path
    run_id: str
    entries: int
    """Sent now; 0 if MLflow had everything."""
    refused: list[str]
    """What MLflow did not take; it stays in the journal alone."""


def journals(folder: Path) -> list[Path]:
    """The run folders that `folder` is or has, oldest name first. Raises `UserError` if there is none."""
    if (folder / FILE_NAME).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    if not found:
        raise UserError(f"{folder} has no {FILE_NAME}", "Name a run's folder, or a folder of such folders.")
    return found


def replay(run_dir: Path, uri: str) -> Replay:
    """Send what `uri` lacks of a journal. Raises `UserError` if the store does not answer or the run is being sent."""
    uri = normal_uri(uri)
    refused: list[str] = []
    with sender_lock(run_dir) as mine:
        if not mine:
            raise UserError(f"another process is sending {run_dir}", "It will send everything; there is nothing to do.")
        close_if_killed(run_dir)
        entries = MlflowWriter(run_dir, uri, refused.append).send()
        return Replay(run_dir, load_sent(run_dir, uri).run_id, entries, refused)
