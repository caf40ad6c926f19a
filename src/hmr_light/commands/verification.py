"""`hmr-light table verify=true`: are the figures of a row those of its checkpoint?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from omegaconf import OmegaConf

from hmr_light.checkpoints.exported import ExportedModel, open_model
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config import typed
from hmr_light.config.choices import compose_defaults
from hmr_light.config.run_config import follow_run
from hmr_light.config.schema import EvaluateConfig
from hmr_light.data.annotations import fingerprint
from hmr_light.data.progress import track
from hmr_light.errors import UserError
from hmr_light.evaluation.evaluate import evaluate_checkpoint
from hmr_light.evaluation.inputs import open_inputs
from hmr_light.evaluation.record import recorded_options
from hmr_light.paths import where_now
from hmr_light.reports.rows import METRICS, Row
from hmr_light.tracking.records import SELECTION, whole_set

TOLERANCE_MM = 0.05
"""Half of the last digit shown: more than another processor's rounding, less than a reader would see."""


def verify_rows(rows: Sequence[Row]) -> None:
    """Evaluate each row's checkpoint again, and print a line for each. Raises `UserError` if a figure does not hold."""
    wrong = 0
    for row in track(rows, "measuring again"):
        name = f"{row.model} {row.pt}"
        try:
            measured, found = _measure(row)
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
        if row.evaluation_fingerprint not in ("", found):
            differing.insert(0, f"the annotations of {row.evaluated_on} have changed since")
        wrong += bool(differing)
        if differing:
            print(f"{name}: does NOT hold: {'; '.join(differing)} (run of commit {row.git_commit or 'unknown'})")
        else:
            largest = max((abs(measured[metric] - value) for metric, value in told.items()), default=0.0)
            unit = "mm" if row["mpjpe_mm"] is not None else "points"
            print(f"{name}: holds (within {largest:.2g} {unit})")
    if wrong:
        raise UserError(
            f"{wrong} of {len(rows)} rows could not be confirmed",
            "Did the code or the data change since? Evaluate them again (hmr-light evaluate run=…), or leave them out.",
        )


def _measure(row: Row) -> tuple[dict[str, float], str]:
    """The errors of the row's checkpoint on the row's set, now, and the set's fingerprint. The run stays as it is."""
    path = where_now(row.checkpoint)
    if not path.is_file():
        raise UserError(f"its checkpoint is not here: {path}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != row.sha256:
            raise UserError(f"{path} is not the file that was measured: its hash differs")
    if all(row[metric] is None for metric in SELECTION):
        raise UserError("it has no figures")
    checkpoint = open_model(path)
    config = _configuration(row, checkpoint)
    with open_inputs(config, int(checkpoint.config["data"]["image_size"])) as inputs:
        figures = evaluate_checkpoint(
            checkpoint,
            inputs.datasets,
            inputs.scorer,
            inputs.distributed,
            batch_size=config.batch_size,
            workers=config.data.workers,
        )
        (dataset,) = inputs.datasets.values()
    return (
        {metric: figures.get(f"{row.evaluated_on}/{metric}", math.nan) for metric in METRICS},
        fingerprint(dataset.annotations),
    )


def _configuration(row: Row, checkpoint: Checkpoint | ExportedModel) -> EvaluateConfig:
    """How the row's set was evaluated: by `hmr-light evaluate`, else by the training itself."""
    name = row.evaluated_on.partition(":")[0]  # a protocol may follow
    known = recorded_options(checkpoint.run_dir, row.evaluated_on)
    if not known:
        known = {key: checkpoint.config[key] for key in ("data", "body", "protocol") if key in checkpoint.config}
    known = follow_run(known, checkpoint.config, checkpoint.run_dir)
    if name not in known["data"].get("evaluation", {}):
        name = whole_set(name)
    if name not in known["data"].get("evaluation", {}):
        raise UserError(f"the run does not say how it was evaluated on {row.evaluated_on}")
    config = compose_defaults("evaluate")
    for key, value in known.items():
        config[key] = OmegaConf.create(value) if isinstance(value, dict) else value
    config.data.evaluation = {name: config.data.evaluation[name]}
    config.checkpoint, config.run, config.tracking.uri = str(checkpoint.path), None, None
    return typed(EvaluateConfig, config)
