"""What is known of a run before its first step: where its figures come from, and what its model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmr_light.body import SMPL
from hmr_light.config.schema import TrainConfig
from hmr_light.cost.latency import cpu_name, device_name
from hmr_light.cost.summary import cost_metrics
from hmr_light.data.annotations import fingerprint
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.paths import atomic_write
from hmr_light.tracking import Tracker
from hmr_light.tracking.summary import summarize_run
from hmr_light.training import run_directory
from hmr_light.training.datasets import data_fingerprint
from hmr_light.training.provenance import environment, git_commit, versions


def describe_run(
    tracker: Tracker,
    folder: Path,
    config: TrainConfig,
    plain_config: dict[str, Any],
    training: Mixture,
    evaluation: dict[str, MeshDataset],
    model: HMR,
    body: SMPL,
    distributed: Distributed,
) -> None:
    """Write to the journal: parameters, tags, costs (measured on the device), configuration and environment.

    What a run that was killed here has written already is not written twice. Raises `UserError` if the annotations are
    not the ones that the run began with.
    """
    said = summarize_run(folder)
    of_all = data_fingerprint([*training.datasets, *evaluation.values()])
    if said.fingerprint not in ("", of_all):
        raise UserError(
            f"the annotations have changed since {folder.name} began",
            "Bring the former ones back, or start a new run without resume=.",
        )
    if said.described:
        return
    of_each = {f"data.evaluation.{name}.fingerprint": fingerprint(one.annotations) for name, one in evaluation.items()}
    tracker.params(run_directory.flatten(plain_config) | {"data.fingerprint": of_all} | of_each)
    tracker.tags(
        {
            "hmr_light.row": run_directory.row_name(config),
            "hmr_light.started": folder.name[:13],
            "hmr_light.git_commit": git_commit(),
            "hmr_light.versions": versions(),
            "hmr_light.protocol": str(config.protocol["name"]),
            "hmr_light.device": device_name(distributed.device) if distributed.device.type == "cuda" else cpu_name(),
            "hmr_light.body": f"{body.name} {body.fingerprint[:16]}",
            "hmr_light.run_dir": str(folder),
        }
    )
    if not said.costs:
        costs, latency = cost_metrics(model, config.data.image_size, distributed.device)
        # Without these, an inference time means nothing.
        circumstances = {name: getattr(latency, name) for name in ("device", "cpu", "threads", "batch", "load_average")}
        tracker.tags({f"hmr_light.inference_{name}": str(value) for name, value in circumstances.items()})
        tracker.metrics(costs, step=0)
    with atomic_write(folder / "environment.txt") as temporary:
        temporary.write_text(environment())
    tracker.artifact(folder / "config.yaml")
    tracker.artifact(folder / "environment.txt")
