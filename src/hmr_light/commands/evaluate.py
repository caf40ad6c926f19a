"""`hmr-light evaluate`: a run's checkpoints → figures on every evaluation set → the run's journal and MLflow."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from hmr_light.checkpoints.exported import ExportedModel, open_model
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import DIVERGED
from hmr_light.checkpoints.models import run_checkpoints
from hmr_light.commands.exported_run import begin_run
from hmr_light.commands.robustness import report_robustness
from hmr_light.config.hints import command_line, table_command, tracking_options
from hmr_light.config.schema import EvaluateConfig
from hmr_light.data.annotations import fingerprint
from hmr_light.data.progress import ProgressBar
from hmr_light.errors import UserError
from hmr_light.evaluation.evaluate import MODEL, Scores, build_predictors, evaluate_checkpoint, figure_prefix
from hmr_light.evaluation.inputs import EvaluationInputs, open_inputs
from hmr_light.evaluation.keypoints import KeypointSums
from hmr_light.evaluation.metrics import TITLES
from hmr_light.evaluation.protocols import Protocol
from hmr_light.evaluation.record import evaluation_tags
from hmr_light.paths import home
from hmr_light.reports.cells import Table, text_table
from hmr_light.reports.keypoints import draw_joints, joint_table
from hmr_light.reports.overlay import overlay_sheet
from hmr_light.reports.terminal import show_table
from hmr_light.tracking import continue_tracking
from hmr_light.tracking.journal import has_journal
from hmr_light.tracking.records import SELECTION
from hmr_light.tracking.summary import summarize_run

_PIPE = 1000


def run(config: EvaluateConfig) -> list[dict[str, float]]:
    """Score the chosen checkpoints, print the figures beside the mean pose's, and write them to the run.

    An exported file has a run of its own. Returns each checkpoint's figures, by their MLflow names.
    """
    checkpoints: list[Checkpoint | ExportedModel]
    if config.checkpoint is not None:
        checkpoints = [open_model(config.checkpoint, config.checkpoint_allow)]
    else:
        checkpoints = [*run_checkpoints(str(config.run), config.tracking.uri, config.checkpoints)]
    # The network sees images of the size that it was trained with.
    with open_inputs(config, int(checkpoints[0].config["data"]["image_size"])) as inputs:
        # A pipe has no width.
        console = Console(quiet=not inputs.distributed.is_main, width=None if sys.stdout.isatty() else _PIPE)
        messages = Console(stderr=True, quiet=not inputs.distributed.is_main)
        for note in body_notes(checkpoints, config.body.name):
            messages.print(note, highlight=False, soft_wrap=True)
        for name, dataset in inputs.datasets.items():
            if dataset.limit is not None:
                note = f"note: {name} is a part of its set; the table marks its figures, and never as the best"
                messages.print(note, highlight=False, soft_wrap=True)
        for checkpoint in checkpoints:
            if isinstance(checkpoint, ExportedModel) and inputs.distributed.is_main:
                begin_run(checkpoint, config, inputs)
        for checkpoint in checkpoints:
            if has_journal(checkpoint.run_dir):
                _refuse_other_people(checkpoint, inputs)
        rows: list[list[str]] = []
        everything = []
        for checkpoint in checkpoints:
            everything.append(_evaluate(checkpoint, inputs, config, rows, console, messages))
            if config.robustness:
                report_robustness(checkpoint, inputs, config, console, messages)
        show_table(scores_table(inputs.scorer.protocol, rows), console)
        _refuse_without_errors(checkpoints, everything)
    messages.print(f"next: {next_step(checkpoints, config)}", highlight=False, markup=False, soft_wrap=True)
    return everything


def _refuse_other_people(checkpoint: Checkpoint | ExportedModel, inputs: EvaluationInputs) -> None:
    """Raise `UserError` where figures would take the place of those that the run has of other people."""
    params = summarize_run(checkpoint.run_dir).params
    for name, dataset in inputs.datasets.items():
        own = params.get(f"data.evaluation.{name}.fingerprint")
        same_name = figure_prefix(name, checkpoint, inputs.scorer.protocol.name) == name
        if same_name and own not in (None, fingerprint(dataset.annotations)):
            raise UserError(
                f"data.evaluation.{name} holds other people than while the run was trained",
                f"Give the set a name of its own: data.evaluation.NAME.annotations={dataset.path} "
                f"data.evaluation.NAME.images={dataset.image_root}, or bring the former people back.",
            )


def _refuse_without_errors(
    checkpoints: Sequence[Checkpoint | ExportedModel], everything: Sequence[Mapping[str, float]]
) -> None:
    """Raise `UserError` for a checkpoint without a finite error on a set, once all that was measured is shown."""
    for checkpoint, figures in zip(checkpoints, everything, strict=True):
        broken = {
            name.rpartition("/")[0]
            for name, value in figures.items()
            if name.rpartition("/")[2] in SELECTION and not math.isfinite(value)
        }
        if broken:
            raise UserError(f"{checkpoint.path} has no finite error on {', '.join(sorted(broken))}", DIVERGED)


def scores_table(protocol: Protocol, rows: Sequence[Sequence[str]]) -> Table:
    """The figures by `protocol`: in each row the checkpoint, the set, and texts of the figures."""
    headers = ["checkpoint", "set", "people", "dropped", *(TITLES[metric] for metric in protocol.metrics)]
    return text_table(headers, rows, texts=2, heading=protocol.describe())


def body_notes(checkpoints: Sequence[Checkpoint | ExportedModel], name: str) -> list[str]:
    """What to say where checkpoints were trained with another body than the one that scores them, `name`."""
    return [
        f"note: trained with body={trained}, scored with body={name}, on which its shapes mean other people; "
        f"for figures that can be compared add body={trained}"
        for trained in sorted({one.body for one in checkpoints if one.body} - {name})
    ]


def _evaluate(
    checkpoint: Checkpoint | ExportedModel,
    inputs: EvaluationInputs,
    config: EvaluateConfig,
    rows: list[list[str]],
    console: Console,
    messages: Console,
) -> dict[str, float]:
    """Score one checkpoint, add its figures to `rows`, and write its figures to the run that it is of.

    Errors in the image are printed joint by joint, too.
    """
    label = _label(checkpoint)
    by_joint: dict[str, dict[str, KeypointSums]] = {}

    def add_rows(name: str, scores: Scores) -> None:
        if of_joints := {who: sums for who, sums in scores.items() if isinstance(sums, KeypointSums)}:
            by_joint[name] = of_joints
        for who, sums in scores.items():
            figures = [f"{value:.1f}" for value in sums.means().values()]
            shown = label if who == MODEL else "mean pose"
            rows.append([shown, name, str(sums.count), str(sums.dropped), *figures])

    people = [inputs.scorer.protocol.people(dataset.annotations) for dataset in inputs.datasets.values()]
    with ProgressBar(sum(map(len, people)), label, console=messages) as bar:
        figures = evaluate_checkpoint(
            checkpoint,
            inputs.datasets,
            inputs.scorer,
            inputs.distributed,
            batch_size=config.batch_size,
            workers=config.data.workers,
            on_batch=lambda name, images: bar.advance(images, description=f"{label} on {name}"),
            on_set=add_rows,
        )
    for name, scores in by_joint.items():
        show_table(joint_table(f"{label} on {name}, joint by joint", scores), console)
        console.print()
    if inputs.distributed.is_main and has_journal(checkpoint.run_dir):
        predict = build_predictors(checkpoint, inputs.distributed.device)[MODEL]
        with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
            tracker.tags(evaluation_tags(config, checkpoint, inputs.datasets))
            tracker.metrics(figures, step=checkpoint.epoch)
            path = checkpoint.kept if isinstance(checkpoint, Checkpoint) else checkpoint.path
            tracker.checkpoint(path, epoch=checkpoint.epoch, saved=checkpoint.saved, metrics=figures)
            for name, dataset in inputs.datasets.items():
                title = f"{name}   epoch {checkpoint.epoch}"
                overlay_sheet(predict, dataset, inputs.scorer, checkpoint.run_dir / f"predictions-{name}.png", title)
                tracker.artifact(checkpoint.run_dir / f"predictions-{name}.png")
                if name in by_joint:
                    draw_joints(checkpoint.run_dir / f"keypoints-{name}.png", by_joint[name], title)
                    tracker.artifact(checkpoint.run_dir / f"keypoints-{name}.png")
    return figures


def _label(checkpoint: Checkpoint | ExportedModel) -> str:
    runtime = f" {checkpoint.runtime}" if isinstance(checkpoint, ExportedModel) else ""
    return f"({checkpoint.epoch}){checkpoint.saved}{runtime}"


def next_step(checkpoints: Sequence[Checkpoint | ExportedModel], config: EvaluateConfig) -> str:
    """What to type next: the command that shows the figures beside those of the experiment's other runs."""
    if any(has_journal(checkpoint.run_dir) for checkpoint in checkpoints):
        trained = checkpoints[0].config.get("tracking") or {}
        experiment = str(trained.get("experiment", config.tracking.experiment))
        return table_command(config.tracking.uri, experiment, checkpoints[0].run_dir)
    # A model of the package, another system's, or a file that was moved: there is no run to write the figures to.
    chosen = {}
    if config.data.name.startswith("synthetic") and config.data.root != home() / "data" / "synthetic":
        chosen["data.root"] = str(config.data.root)  # where the training sets are, too
    # Without a store there would be no row.
    store = tracking_options(config.tracking.uri, config.tracking.experiment) if config.tracking.uri else {}
    # Its own row's name; else the new run would be called as its backbone is.
    named = {"row": row} if (row := checkpoints[0].config.get("row")) else {}
    step = command_line("train", {"init": config.checkpoint, "trainer.epochs": 0} | named | chosen | store)
    return f"a row of the table: {step}"
