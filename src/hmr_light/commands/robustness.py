"""`hmr-light evaluate robustness=boxes`: how a checkpoint's errors grow with boxes that are not tight."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hmr_light.checkpoints.exported import ExportedModel
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.schema import EvaluateConfig
from hmr_light.data.progress import ProgressBar
from hmr_light.evaluation.evaluate import MODEL, best_batch_size, build_predictors
from hmr_light.evaluation.inputs import EvaluationInputs
from hmr_light.evaluation.robustness import box_changes, measure_robustness
from hmr_light.reports.robustness import draw_curves, robustness_table, write_csv
from hmr_light.reports.terminal import show_table
from hmr_light.tracking import continue_tracking
from hmr_light.tracking.journal import has_journal


def report_robustness(
    checkpoint: Checkpoint | ExportedModel,
    inputs: EvaluationInputs,
    config: EvaluateConfig,
    console: Console,
    messages: Console,
) -> None:
    """Measure with changed boxes, print the errors, and write them and their picture to files, set by set."""
    scorer, distributed = inputs.scorer, inputs.distributed
    predictor = build_predictors(checkpoint, distributed.device)[MODEL]
    changes = box_changes(config.boxes.scales, config.boxes.shifts)
    label, protocol = f"({checkpoint.epoch}){checkpoint.saved}", scorer.protocol
    for name, dataset in inputs.datasets.items():
        total = len(changes) * len(protocol.people(dataset.annotations))
        with ProgressBar(total, f"{label} with {len(changes)} boxes on {name}", console=messages) as bar:
            measured = measure_robustness(
                predictor,
                dataset,
                changes,
                scorer,
                distributed,
                batch_size=config.batch_size or best_batch_size(distributed.device),
                workers=config.data.workers,
                on_batch=bar.advance,
            )
        if not distributed.is_main:
            continue
        title = f"{label} on {name}: how errors grow with the box ({protocol.name})"
        show_table(robustness_table(title, measured), console)
        folder = config.out or (checkpoint.run_dir if has_journal(checkpoint.run_dir) else checkpoint.path.parent)
        stem = f"robustness-{name}-{checkpoint.epoch:03d}"
        files = [Path(folder).expanduser() / f"{stem}.{suffix}" for suffix in ("csv", "png")]
        write_csv(files[0], measured)
        draw_curves(files[1], measured, f"{checkpoint.path.name} on {name}, protocol {protocol.name}")
        if has_journal(checkpoint.run_dir):
            with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
                for file in files:
                    tracker.artifact(file, "robustness")
        messages.print(f"wrote {files[0]} and {files[1].name}", highlight=False, soft_wrap=True)
