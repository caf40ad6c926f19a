"""What is known of a run before its first step: where its figures come from, and what its model costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmr_light.config.run_config import FILE_NAME, write_run_config
from hmr_light.config.schema import TrainConfig
from hmr_light.config.strict import flatten
from hmr_light.cost.latency import cpu_name, device_name
from hmr_light.cost.summary import cost_metrics
from hmr_light.data.annotations import fingerprint
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.paths import atomic_write
from hmr_light.tracking.description import DESCRIPTION, describe
from hmr_light.tracking.summary import summarize_run
from hmr_light.training import run_directory
from hmr_light.training.context import Lineage, RunContext
from hmr_light.training.datasets import data_fingerprint
from hmr_light.training.inputs import RunInputs
from hmr_light.training.provenance import environment, file_sha256, git_commit, versions


def describe_run(context: RunContext, inputs: RunInputs, model: HMR, lineage: Lineage | None = None) -> None:
    """Write to the journal: parameters, tags, costs (measured on the device), configuration and environment.

    Does nothing on processes without a tracker. What a run that was killed here has written already is not written
    twice. Raises `UserError` if the annotations are not the ones that the run began with.
    """
    if context.tracker is None:
        return
    run_dir, config, tracker = context.run_dir, context.config, context.tracker
    device = context.distributed.device
    summary = summarize_run(run_dir)
    of_all = data_fingerprint([*inputs.training.datasets, *inputs.evaluation.values()])
    body = f"{inputs.body.name} {inputs.body.fingerprint[:16]}"
    for what, before, now in (
        ("annotations have", summary.params.get("data.fingerprint", ""), of_all),
        ("body model has", summary.tags.get("hmr_light.body", ""), body),
    ):
        if before not in ("", now):
            raise UserError(
                f"the {what} changed since {run_dir.name} began",
                "Bring the former content back, or start a new run without resume=.",
            )
    if summary.described:
        return
    training = dict(zip(config.data.train, inputs.training.datasets, strict=True))
    params = flatten(context.plain_config)
    tracker.params(params | {"data.fingerprint": of_all} | _fingerprints(config, inputs))
    tracker.tags(
        {
            "hmr_light.row": run_directory.run_row(config),
            "hmr_light.started": run_dir.name[:13],
            "hmr_light.git_commit": git_commit(),
            "hmr_light.versions": versions(),
            "hmr_light.protocol": str(config.protocol["name"]),
            "hmr_light.device": device_name(device) if device.type == "cuda" else cpu_name(),
            "hmr_light.body": body,
            "hmr_light.run_dir": str(run_dir),
            DESCRIPTION: describe(
                params, {"body": inputs.body.name, "commit": git_commit(), "directory": str(run_dir)}
            ),
        }
        | (lineage.tags() if lineage else {})
    )
    for context_name, sets in (("training", training), ("evaluation", inputs.evaluation)):
        for name, one in sets.items():
            digest = fingerprint(one.annotations)
            tracker.dataset(name, context=context_name, path=one.path, people=len(one), fingerprint=digest)
    if not summary.costs:
        costs, latency = cost_metrics(model, config.data.image_size, device)
        tracker.tags(latency.tags())
        tracker.metrics(costs, step=0)
    with atomic_write(run_dir / "environment.txt") as temporary:
        temporary.write_text(environment(), encoding="utf-8")
    tracker.artifact(run_dir / FILE_NAME)
    tracker.artifact(run_dir / "environment.txt")


def record_changes(context: RunContext, changed: Mapping[str, Any]) -> None:
    """Record what a continued run has other than before: in the journal and MLflow first, then in `config.yaml`."""
    if context.tracker is None:
        return
    if summarize_run(context.run_dir).tags.get("hmr_light.run_dir", str(context.run_dir)) != str(context.run_dir):
        context.tracker.tags({"hmr_light.run_dir": str(context.run_dir)})
    if changed:
        context.tracker.params(changed)
        write_run_config(context.run_dir, context.plain_config)
        context.tracker.artifact(context.run_dir / FILE_NAME)


def _fingerprints(config: TrainConfig, inputs: RunInputs) -> dict[str, str]:
    """Of each evaluation set, and of the files of weights that training starts from."""
    found = {
        f"data.evaluation.{name}.fingerprint": fingerprint(one.annotations) for name, one in inputs.evaluation.items()
    }
    files = {"init": config.init, "backbone.weights": config.backbone.get("weights")}
    return found | {f"{key}.sha256": sha256 for key, path in files.items() if (sha256 := file_sha256(path))}
