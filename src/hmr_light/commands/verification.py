"""`hmr-light table verify=true`: are the figures of a row those of its checkpoint?"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track

from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands import evaluate
from hmr_light.config import typed
from hmr_light.config.choices import compose_defaults
from hmr_light.config.schema import EvaluateConfig
from hmr_light.errors import UserError
from hmr_light.reports.rows import METRICS, Row
from hmr_light.tracking.journal import FILE_NAME, Entry, Journal, read_journal

TOLERANCE_MM = 0.05
"""Half of the last digit shown: more than another processor's rounding, less than a reader would see."""


def verify_rows(rows: Sequence[Row]) -> None:
    """Evaluate each row's checkpoint again, and print a line for each. Raises `UserError` if a figure does not hold."""
    wrong = 0
    console = Console(file=sys.stderr)
    for row in track(rows, "measuring again", console=console, transient=True, disable=not console.is_terminal):
        name = f"{row.model} {row.pt}"
        try:
            measured, fingerprint = _measure(row)
        except UserError as error:
            wrong += 1
            print(f"{name}: cannot be verified: {error.message}")
            continue
        told = {metric: value for metric in METRICS if (value := row[metric]) is not None}
        differing = [
            f"{metric} is {measured[metric]:.3f}, the table says {value:.3f}"
            for metric, value in told.items()
            if not abs(measured[metric] - value) <= TOLERANCE_MM
        ]
        if row.evaluation_fingerprint not in ("", fingerprint):
            differing.insert(0, f"the annotations of {row.evaluated_on} have changed since")
        wrong += bool(differing)
        if differing:
            print(f"{name}: does NOT hold: {'; '.join(differing)} (run of commit {row.git_commit or 'unknown'})")
        else:
            largest = max((abs(measured[metric] - value) for metric, value in told.items()), default=0.0)
            print(f"{name}: holds (within {largest:.2g} mm)")
    if wrong:
        raise UserError(
            f"{wrong} of {len(rows)} rows could not be confirmed",
            "Did the code or the data change since? Evaluate them again (hmr-light evaluate run=…), or leave them out.",
        )


def _measure(row: Row) -> tuple[dict[str, float], str]:
    """The errors of the row's checkpoint on the row's set, now, and the set's fingerprint. The run stays as it is."""
    path = Path(row.checkpoint)
    if not path.is_file():
        raise UserError(f"its checkpoint is not here: {path}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != row.sha256:
            raise UserError(f"{path} is not the file that was measured: its hash differs")
    if row["mpjpe_mm"] is None:
        raise UserError("it has no figures")
    with tempfile.TemporaryDirectory() as folder:
        # A run of its own, which takes the figures: what `evaluate` measures, it writes to the run it finds.
        copy = Path(folder) / "checkpoints" / path.name
        copy.parent.mkdir()
        shutil.copyfile(path, copy)
        Journal(Path(folder)).close()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            evaluate.run(_configuration(row, path, copy))
        entries = [entry for entry, _ in read_journal(Path(folder))]
        how = _recorded(Path(folder), row.evaluated_on)
    figures: dict[str, Any] = {}
    for entry in entries:
        figures |= entry["values"] if entry["kind"] == "metrics" else {}
    return (
        {metric: float(figures.get(f"{row.evaluated_on}/{metric}", "nan")) for metric in METRICS},
        str(how.get("fingerprint", "")),
    )


def _configuration(row: Row, path: Path, copy: Path) -> EvaluateConfig:
    """How the row's set was evaluated: by `hmr-light evaluate`, else by the training itself."""
    config = compose_defaults("evaluate")
    name = row.evaluated_on.partition(":")[0]  # a protocol may follow
    known = _recorded(path.parent.parent, row.evaluated_on)
    known.pop("fingerprint", None)  # a fact of that time, no option
    if not known:
        trained = load_checkpoint(path).config
        known = {key: trained[key] for key in ("data", "body", "protocol") if key in trained}
    if name not in known["data"].get("evaluation", {}):
        raise UserError(f"the run does not say how it was evaluated on {row.evaluated_on}")
    for key, value in known.items():
        config[key] = OmegaConf.create(value) if isinstance(value, dict) else value
    config.data.evaluation = {name: config.data.evaluation[name]}
    config.checkpoint, config.run, config.tracking.uri = str(copy), None, None
    return typed(EvaluateConfig, config)


def _recorded(run_dir: Path, evaluated_on: str) -> dict[str, Any]:
    last: Entry | None = None
    key = f"hmr_light.evaluation.{evaluated_on}"
    if (run_dir / FILE_NAME).is_file():
        for entry, _ in read_journal(run_dir):
            last = entry if entry["kind"] == "tags" and key in entry["values"] else last
    with contextlib.suppress(ValueError):
        return json.loads(last["values"][key]) if last else {}
    return {}
