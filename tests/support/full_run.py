"""A run of every kind of entry, and everything that a store has of such runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from hmr_light.tracking import start_tracking
from hmr_light.tracking.store import connect


def write_run(run_dir: Path, seed: int, epochs: int = 3, points: int = 5) -> None:
    """A run with a journal and without MLflow."""
    draw = random.Random(seed)
    run_dir.mkdir(parents=True)
    with start_tracking(run_dir, experiment="e", uri=None, run_name=f"run {seed}") as tracker:
        tracker.params({f"group.key{number}": draw.random() for number in range(120)})
        tracker.tags({"hmr_light.row": "row", "hmr_light.git_commit": f"{seed:040x}"})
        for context in ("training", "evaluation"):
            tracker.dataset(f"{context} set", context=context, path=run_dir, people=3, fingerprint=f"{seed:064x}")
        for epoch in range(1, epochs + 1):
            for point in range(points):
                tracker.metrics({"loss/total": draw.random(), "이름": draw.random()}, step=epoch * points + point)
            path = run_dir / f"epoch-{epoch:03d}.pt"
            path.write_bytes(draw.randbytes(50))
            figures = {"mpjpe_mm": draw.random()}
            tracker.metrics(figures, step=epoch)
            tracker.checkpoint(path, epoch=epoch, saved="260101-000000", metrics=figures)
        tracker.artifact(path, "checkpoints")


def contents(uri: str) -> list[dict[str, Any]]:
    """Everything that the store has of experiment `e`, without its own ids."""
    client = connect(uri, create=False)
    ids = [client.get_experiment_by_name("e").experiment_id]
    found = []
    for run in client.search_runs(ids, order_by=["attributes.start_time ASC"]):
        run_id = run.info.run_id
        models = client.search_logged_models(ids, filter_string=f"source_run_id = '{run_id}'", max_results=100)
        history = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
        found.append(
            {
                "name": run.info.run_name,
                "times": (run.info.start_time, run.info.end_time),
                "status": run.info.status,
                "params": run.data.params,
                "tags": {key: value for key, value in run.data.tags.items() if key.startswith("hmr_light")},
                "metrics": {key: [(p.timestamp, p.step, p.value) for p in points] for key, points in history.items()},
                "models": sorted(
                    (model.name, model.tags["sha256"], [(m.key, m.value, m.step, m.timestamp) for m in model.metrics])
                    for model in models
                ),
                "outputs": len(client.get_run(run_id).outputs.model_outputs),
                "datasets": sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs),
                "artifacts": [each.path for each in client.list_artifacts(run_id, "checkpoints")],
            }
        )
    return found
