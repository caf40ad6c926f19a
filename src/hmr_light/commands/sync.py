"""`hmr-light sync`: what a journal holds and MLflow lacks → MLflow."""

from __future__ import annotations

import sys
from pathlib import Path

from hmr_light.config.schema import SyncConfig
from hmr_light.errors import UserError
from hmr_light.tracking.replay import journals, replay


def run(config: SyncConfig) -> None:
    """Send every journal under `config.run_dir`, one line each."""
    if not config.tracking.uri:
        raise UserError(
            "tracking.uri is null: there is no store to send to", "Choose tracking=local or tracking=server."
        )
    for run_dir in journals(Path(str(config.run_dir)).expanduser()):
        done = replay(run_dir, config.tracking.uri)
        what = f"{done.entries} entries sent" if done.entries else "MLflow had everything"
        print(f"{run_dir}: {what} (MLflow run {done.run_id})")
        for line in done.refused:
            print(f"  {line}", file=sys.stderr)
