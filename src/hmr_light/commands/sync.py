"""`hmr-light sync`: what a journal holds and MLflow lacks → MLflow."""

from __future__ import annotations

import sys
from pathlib import Path

from hmr_light.config.schema import SyncConfig
from hmr_light.errors import UserError
from hmr_light.tracking.replay import journals, replay
from hmr_light.tracking.store import Unreachable


def run(config: SyncConfig) -> None:
    """Send every journal under `config.run_dir`, one line each. Raises `UserError` if some could not be sent."""
    if not config.tracking.uri:
        raise UserError(
            "tracking.uri is null: there is no store to send to", "Choose tracking=local or tracking=server."
        )
    found = journals(Path(str(config.run_dir)).expanduser())
    failed: list[UserError] = []
    for run_dir in found:
        try:
            done = replay(run_dir, config.tracking.uri)
        except Unreachable:
            raise  # nor will it answer for the next
        except UserError as error:
            if len(found) == 1:
                raise
            # That one run is being sent, or was deleted in MLflow, is no reason to keep the others.
            failed.append(error)
            print(f"{run_dir}: not sent: {error.message}", file=sys.stderr)
            continue
        if not done.run_id:
            print(f"{run_dir}: its journal is empty")
            continue
        what = f"{done.entries} entries sent" if done.entries else "MLflow had everything"
        print(f"{run_dir}: {what} (MLflow run {done.run_id})")
        for line in done.refused:
            print(f"  {line}", file=sys.stderr)
    if failed:
        raise UserError(f"{len(failed)} of {len(found)} journals were not sent", failed[0].remedy)
