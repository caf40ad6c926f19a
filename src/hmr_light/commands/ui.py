"""`hmr-light ui`: MLflow's pages on the runs, on this machine only, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from hmr_light.commands.experiments import experiment_of
from hmr_light.config.schema import UiConfig
from hmr_light.errors import UserError
from hmr_light.tracking.server import mlflow_server, page_of, wait_until_it_answers


def run(config: UiConfig) -> None:
    """Start the server, print its address once it answers, and wait."""
    if not config.tracking.uri:
        raise UserError("tracking.uri is null: there is no store to show", "Choose tracking=local.")
    experiment = _experiment(config)
    # A plain `kill` must not leave the server behind.
    signal.signal(signal.SIGTERM, _stop)
    with mlflow_server(config.tracking.uri, config.port) as server:
        print("starting MLflow (about 20 seconds) ...", file=sys.stderr)
        wait_until_it_answers(server)
        print(f"MLflow is at {page_of(server, experiment)}   (Ctrl-C stops it)", flush=True)
        status = server.process.wait()
    raise UserError(f"MLflow's server ended by itself with status {status}", "Start it again: hmr-light ui")


def _experiment(config: UiConfig) -> str:
    """Whose page is shown first; where the user would have to choose, all experiments are."""
    try:
        return experiment_of(config.tracking, "ui")
    except UserError as error:  # a server that is not there is told about when it starts
        print(f"{error.message}\n  {error.remedy}", file=sys.stderr)
        return config.tracking.experiment


def _stop(signal_number: int, frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)
