"""The run of an exported file: what is measured of the file is a row of its own, beside that of its model."""

from __future__ import annotations

import time

import torch

from hmr_light.checkpoints.exported import ExportedModel
from hmr_light.config.schema import EvaluateConfig
from hmr_light.cost.latency import cpu_name, measure_latency
from hmr_light.evaluation.inputs import EvaluationInputs
from hmr_light.model.exported import open_exported
from hmr_light.model.file_predictor import TITLES
from hmr_light.tracking import start_tracking
from hmr_light.tracking.description import run_name
from hmr_light.tracking.summary import summarize_run
from hmr_light.training.context import Lineage
from hmr_light.training.provenance import git_commit, versions


def begin_run(exported: ExportedModel, config: EvaluateConfig, inputs: EvaluationInputs) -> None:
    """Write what is known of the file before it is scored to the run in `exported.run_dir`, if it is not there yet."""
    run_dir, metadata = exported.run_dir, exported.predictor.metadata
    if summarize_run(run_dir).costs:
        return
    run_dir.mkdir(exist_ok=True)
    started = time.strftime("%y%m%d-%H%M%S")
    lineage = Lineage(metadata["checkpoint"]["run"], metadata["checkpoint"]["sha256"])
    body = inputs.scorer.body
    predictor = open_exported(exported.path, threads=1)
    crop = torch.randint(0, 256, (1, 3, predictor.image_size, predictor.image_size), dtype=torch.uint8)
    latency = measure_latency(lambda: predictor(crop), device=torch.device("cpu"))
    experiment, name = config.tracking.experiment, run_name(exported.row, 0, started)
    with start_tracking(run_dir, experiment=experiment, uri=config.tracking.uri, run_name=name) as tracker:
        tracker.params(
            {
                "compressed.parent": lineage.parent_checkpoint,
                "data.image_size": predictor.image_size,
                "export.format": predictor.runtime,
                "export.precision": predictor.precision,
            }
        )
        tracker.tags(
            {
                "hmr_light.row": exported.row,
                "hmr_light.started": started,
                "hmr_light.git_commit": git_commit(),
                "hmr_light.versions": f"{versions()}, {TITLES[predictor.runtime]} {predictor.version}",
                "hmr_light.protocol": inputs.scorer.protocol.name,
                "hmr_light.device": cpu_name(),
                "hmr_light.body": f"{body.name} {body.fingerprint[:16]}",
                "hmr_light.run_dir": str(run_dir),
            }
            | lineage.tags()
            | latency.tags()
        )
        costs = {"parameters": float(metadata["parameters"]), "disk_bytes": float(predictor.size)}
        tracker.metrics(costs | latency.figures(), step=0)
