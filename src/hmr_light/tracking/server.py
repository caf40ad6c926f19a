"""MLflow's pages on a store of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from hmr_light.errors import UserError
from hmr_light.paths import without_secret
from hmr_light.tracking.moved_store import follow_store
from hmr_light.tracking.schema import find_problem
from hmr_light.tracking.store import SETTINGS, normal_uri, sqlite_path

HOST = "127.0.0.1"
START_SECONDS = 180.0
# What the runs' page shows first: a view that is shared in MLflow's own way, as a tag of the experiment.
VIEW = "headline"
COLUMNS = ["best/mpjpe_mm", "best/reconstruction_error_mm", "parameters", "inference_time_s"]
CURVES = ["mpjpe_mm", "loss/total"]
# Loopback is never behind the proxy that the environment may name.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server(NamedTuple):
    """MLflow's server on loopback."""

    address: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]


@contextlib.contextmanager
def mlflow_server(uri: str, port: int) -> Iterator[Server]:
    """Start MLflow's server on loopback, which takes a while to answer; stop it at the end.

    Raises `UserError` if the port is taken, the store is missing or is a server itself.
    """
    uri = normal_uri(uri)
    if uri.startswith(("http:", "https:")):
        raise UserError(f"the store is a server already: {without_secret(uri)}", "Open that address in a browser.")
    if uri.startswith("sqlite:") and not sqlite_path(uri).is_file():
        raise UserError(f"there is no tracking store at {sqlite_path(uri)}", "Train a run first: hmr-light train")
    if uri.startswith("sqlite:"):
        if problem := find_problem(sqlite_path(uri), uri):
            raise problem
        follow_store(sqlite_path(uri))
    _check_free(port)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"],
            env={**SETTINGS, **os.environ, **_environment(uri)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Server(f"http://{HOST}:{port}", process, log)
        finally:
            _stop(process)


def wait_until_it_answers(server: Server) -> None:
    """Return when its pages can be opened. Raises `UserError` if it ends instead, or takes minutes."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            server.log.seek(0)
            lines = [line for line in server.log.read().decode(errors="replace").splitlines() if line.strip()]
            last = lines[-1].strip() if lines else f"exit status {server.process.returncode}"
            raise UserError(f"MLflow's server did not start: {last}", "Is the store one of this version of MLflow?")
        with contextlib.suppress(OSError), DIRECT.open(f"{server.address}/health", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise UserError(f"MLflow's server did not answer within {START_SECONDS:.0f} s", "Try again on a quieter machine.")


def page_of(server: Server, experiment: str) -> str:
    """The address of an experiment's runs, best first, or of all experiments if there is none of that name."""
    api = f"{server.address}/api/2.0/mlflow/experiments"
    try:
        with DIRECT.open(f"{api}/get-by-name?experiment_name={quote(experiment, safe='')}", timeout=10) as answer:
            found = json.load(answer)["experiment"]
    except OSError:
        return server.address
    if found["lifecycle_stage"] != "active":
        return server.address
    number = found["experiment_id"]
    # Without this part the page opens for language models.
    page = f"{server.address}/#/experiments/{number}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={VIEW}" if _share_view(api, number) else page


def _share_view(api: str, experiment_id: str) -> bool:
    """Make the view known to the experiment. A store that cannot be written to is shown without it."""
    columns = ["attributes.`Created`", *(f"metrics.`{name}`" for name in COLUMNS)]
    view = {"selectedColumns": columns, "orderByKey": f"metrics.`{COLUMNS[0]}`", "orderByAsc": True, **_charts()}
    tag = {"experiment_id": experiment_id, "key": f"mlflow.sharedViewState.{VIEW}", "value": json.dumps(view)}
    content = {"Content-Type": "application/json"}
    ask = urllib.request.Request(f"{api}/set-experiment-tag", json.dumps(tag).encode(), content)
    with contextlib.suppress(OSError), DIRECT.open(ask, timeout=10):
        return True
    return False


def _charts() -> dict[str, Any]:
    """The charts of the runs, before MLflow's own: the headline figures as axes and as bars, and training's curves."""
    section = {"uuid": "headline", "name": "Headline figures", "display": True, "isReordered": False}
    curves = section | {"uuid": "curves", "name": "Training"}
    axes = {"type": "PARALLEL", "selectedParams": ["backbone.name"], "selectedMetrics": COLUMNS}
    charts: list[dict[str, Any]] = [axes | {"metricSectionId": "headline", "showAllRuns": False}]
    charts += [{"type": "BAR", "metricKey": name, "metricSectionId": "headline"} for name in COLUMNS]
    line = {"type": "LINE", "metricSectionId": "curves", "xAxisKey": "step", "scaleType": "linear", "lineSmoothness": 0}
    charts += [line | {"metricKey": name, "selectedMetricKeys": [name]} for name in CURVES]
    common = {"deleted": False, "isGenerated": False, "runsCountToCompare": 10}
    named = [common | {"uuid": f"headline-{number}"} | chart for number, chart in enumerate(charts)]
    return {"compareRunCharts": named, "compareRunSections": [section, curves], "isAccordionReordered": True}


def _environment(uri: str) -> dict[str, str]:
    artifacts = sqlite_path(uri).parent / "mlartifacts" if uri.startswith("sqlite:") else Path("mlartifacts").absolute()
    return {
        # Not on the command line, which other users can read: it may hold a database's password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(artifacts),
        # Its job runner has a dozen processes and takes most of the start; nothing here needs it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"port {port} cannot be used: {reason}", "Choose another: port=5001") from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10.0)
            return
