"""The rows of the comparison table, read from the runs in MLflow alone."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from hmr_light.cost.share import time_mark
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import where_now
from hmr_light.reports.candidates import Candidate, best_candidate, evaluation_sets, finite, make_candidate
from hmr_light.reports.recipes import recipes
from hmr_light.tracking.mlflow_writer import RUN_DIR
from hmr_light.tracking.records import (
    SELECTION,
    SPREADS,
    CheckpointRecord,
    RunRecord,
    is_constant,
    is_part,
    was_evaluated,
)
from hmr_light.tracking.search import read_experiment

METRICS = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm", "error_2d_percent")
"""The errors of a row that can be measured again to the same digits."""

DIVERGED, CONSTANT, PART = "diverged", "constant", "part"
COUNTS = (
    "parameters",
    "parameters_backbone",
    "parameters_regressor",
    "parameters_folded",
    "parameters_effective",
    "macs",
    "disk_bytes",
    "coded_bytes",
)


@dataclass(frozen=True)
class Row:
    """One checkpoint of one run. `row[name]` is a field or a figure by its name; None for one that nobody measured."""

    model: str
    """The row's name: the experiment file's, else the backbone's."""
    pt: str
    """The checkpoint: `(epoch)YYMMDD-HHMMSS`, the time at which it was written."""
    epoch: int
    evaluated_on: str
    """The set that the errors are of; the same for all rows of a table."""
    run_id: str
    checkpoint: str
    """The file."""
    sha256: str
    data_fingerprint: str
    git_commit: str
    """Ends in `-dirty` if files differed from it."""
    protocol: str
    seed: str
    device: str
    body: str
    evaluation_fingerprint: str = ""
    """Of the annotations of `evaluated_on`; empty where the run does not say."""
    versions: str = ""
    """Of the packages that the figures depend on."""
    recipe: str = ""
    """`option=value, …` for the training options in which runs of this model differ; see `reports.recipes`."""
    start: str = ""
    """What training began with: `random`, the name of pretrained weights, or a checkpoint; empty for the baseline."""
    state: str = ""
    """`diverged`: the checkpoint has no finite error. `constant`: its predictions hardly depend on the image.
    `part`: its errors are of the first people of a set."""
    evaluation_sets: str = ""
    """All the sets that it has errors on, joined by commas."""
    run_dir: str = ""
    """The run's folder, whose name has the time at which the run began."""
    parent_run: str = ""
    """Of a model that was made from another: the run that this one is of."""
    parent_checkpoint: str = ""
    """And the SHA-256 of its checkpoint."""
    runs: int = 1
    """Over how many runs the figures are means; see `hmr_light.reports.groups`."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Every metric that the store has of the checkpoint, those of `evaluated_on` without its name; all are finite."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name) if name in FIELDS else self.figures.get(name)

    @property
    def is_trained(self) -> bool:
        """False for the mean-pose baseline, which has no parameters."""
        return self["parameters"] != 0

    @property
    def can_be_best(self) -> bool:
        """Whether its figures may be marked as the best ones."""
        return self.is_trained and not self.state

    @property
    def time_mark(self) -> str:
        """`~` for a time that other processes made longer, so that only its ratio to the yardstick can be compared."""
        return time_mark(self.figures.get("inference_cpu_share"))


FIELDS = frozenset(each.name for each in fields(Row)) - {"figures"}


def read_rows(uri: str, experiment: str, which: str = "all", evaluated_on: str | None = None) -> list[Row]:
    """The rows of an experiment: of each run the `best` checkpoint, the `last`, or `all`.

    The best one is chosen by the error that the run measured while it trained, on its validation set. The errors
    shown are of one set for all rows: `evaluated_on`, else the one that most of them were evaluated on, of several the
    latest. Rows are grouped by model in the order in which the models began; inside a group the latest epoch comes
    first. Raises `UserError` if the store cannot be read, lacks the experiment, or has no checkpoint yet, or none that
    was evaluated on that set.
    """
    runs, checkpoints = read_experiment(uri, experiment)
    rows = make_rows(runs, checkpoints, which, evaluated_on)
    if not rows:
        raise UserError(
            f"the experiment '{experiment}' has no checkpoint yet",
            "Wait for the first epoch to end; hmr-light sync sends what an unreachable MLflow missed.",
        )
    return rows


def make_rows(
    runs: Sequence[RunRecord], checkpoints: Iterable[CheckpointRecord], which: str, evaluated_on: str | None = None
) -> list[Row]:
    """`read_rows` for what was read; `runs` oldest first."""
    by_id = {run.run_id: run for run in runs}
    candidates: dict[str, list[Candidate]] = {run.run_id: [] for run in runs}
    for checkpoint in checkpoints:
        if checkpoint.run_id in by_id:
            candidates[checkpoint.run_id].append(make_candidate(by_id[checkpoint.run_id], checkpoint))
    models: dict[str, list[RunRecord]] = {}
    groups: dict[str, list[Candidate]] = {}
    for run in runs:
        if found := candidates[run.run_id]:
            models.setdefault(_model(run), []).append(run)
            groups.setdefault(_model(run), []).extend(_chosen(found, which))
    recipe = {run_id: text for same in models.values() for run_id, text in recipes(same).items()}
    ordered = [each for group in groups.values() for each in sorted(group, key=lambda one: one.order, reverse=True)]
    sets = evaluation_sets(ordered)
    if ordered and evaluated_on is not None and evaluated_on not in sets:
        remedy = did_you_mean(evaluated_on, list(sets)) if sets else "See hmr-light evaluate --help."
        raise UserError(f"no checkpoint has errors on '{evaluated_on}'", remedy)
    chosen = evaluated_on or next(iter(sets), "")
    validated = {run_id for run_id, each in candidates.items() if any(map(_was_validated, each))}
    return [_row(each, chosen, list(sets), recipe[each.run.run_id], each.run.run_id in validated) for each in ordered]


def _chosen(candidates: list[Candidate], which: str) -> list[Candidate]:
    if which == "all":
        return candidates
    if which == "last":
        return [max(candidates, key=lambda one: one.order)]
    return [best_candidate(candidates)]


def _was_validated(candidate: Candidate) -> bool:
    """Whether the run measured errors while it trained, or should have, having a set to do it on."""
    return was_evaluated(candidate.latest) or any(name.startswith("data.evaluation.") for name in candidate.run.params)


def _model(run: RunRecord) -> str:
    return run.tags.get("hmr_light.row") or run.name


def _row(candidate: Candidate, evaluated_on: str, sets: Sequence[str], recipe: str, validated: bool) -> Row:
    run, tags = candidate.run, candidate.tags
    figures = _figures(candidate, evaluated_on, sets)
    is_trained = figures.get("parameters") != 0
    state = ""
    if validated and math.isinf(candidate.validation_mm):
        state = DIVERGED
    elif is_trained and _is_constant(candidate, evaluated_on, sets):
        state = CONSTANT
    elif is_part(evaluated_on) and _has_errors(candidate, evaluated_on):
        state = PART
    return Row(
        model=_model(run),
        pt=f"({candidate.epoch}){tags.get('saved', '')}",
        epoch=candidate.epoch,
        evaluated_on=evaluated_on,
        run_id=run.run_id,
        checkpoint=tags.get("path", ""),
        sha256=tags.get("sha256", ""),
        data_fingerprint=run.params.get("data.fingerprint", ""),
        git_commit=run.tags.get("hmr_light.git_commit", ""),
        # Figures by another protocol than the run's own say so in their name: `set:protocol/…`.
        protocol=evaluated_on.partition(":")[2] or run.tags.get("hmr_light.protocol", ""),
        seed=run.params.get("seed", ""),
        device=run.tags.get("hmr_light.device", ""),
        body=run.tags.get("hmr_light.body", ""),
        evaluation_fingerprint=_evaluation_fingerprint(run, evaluated_on),
        versions=run.tags.get("hmr_light.versions", ""),
        recipe=recipe,
        start=_start(run) if is_trained else "",
        state=state,
        evaluation_sets=",".join(place for place in sets if _has_errors(candidate, place)),
        run_dir=_run_dir(run, tags),
        parent_run=run.tags.get("hmr_light.parent_run", ""),
        parent_checkpoint=run.tags.get("hmr_light.parent_checkpoint", ""),
        figures=figures,
    )


def _has_errors(candidate: Candidate, place: str) -> bool:
    return any(f"{place}/{metric}" in candidate.latest for metric in SELECTION)


def _run_dir(run: RunRecord, tags: Mapping[str, str]) -> str:
    """As it was written down, and where it is now if the home has moved since."""
    path = PurePath(tags.get("path", ""))
    written = run.tags.get(RUN_DIR, "") or (str(path.parents[1]) if len(path.parents) > 2 else "")
    return str(where_now(written)) if written else ""


def _figures(candidate: Candidate, evaluated_on: str, sets: Sequence[str]) -> dict[str, float]:
    """Errors are those of `evaluated_on` alone; what a run says once, such as its costs, holds for its checkpoints."""
    own = {name: value for name, point in candidate.latest.items() if (value := finite(point.value)) is not None}
    of_sets: dict[str, dict[str, float]] = {place: {} for place in sets}
    others: dict[str, float] = {}
    for name, value in own.items():
        place, _, metric = name.rpartition("/")
        of_sets.get(place, others)[metric if place in of_sets else name] = value
    measured_on_sets = {metric for values in of_sets.values() for metric in values} | set(METRICS)
    once = {
        name: value
        for name, stored in candidate.run.metrics.items()
        if (value := finite(stored)) is not None and (name in COUNTS or name.startswith(("inference_", "benchmark/")))
    }
    if "inference_time_s" in own:  # a time and its circumstances are of one measurement
        once = {name: value for name, value in once.items() if not name.startswith("inference_")}
    if evaluated_on:
        others = {name: value for name, value in others.items() if name not in measured_on_sets}
    if (coded := candidate.run.tags.get("hmr_light.coded_bytes", "")).isdecimal():
        once["coded_bytes"] = float(coded)
    figures = once | others | of_sets.get(evaluated_on, {})
    return {name: round(value) if name in COUNTS else value for name, value in figures.items()}


def _is_constant(candidate: Candidate, evaluated_on: str, sets: Sequence[str]) -> bool:
    """Judged on `evaluated_on`, else on a set that the spread was measured on."""
    for prefix in (f"{evaluated_on}/", "", *(f"{place}/" for place in sets)):
        points = {name: candidate.latest.get(f"{prefix}{name}") for name in SPREADS}
        values = {name: finite(point.value) if point else None for name, point in points.items()}
        if None not in values.values():
            return is_constant(values)
    return False


def _start(run: RunRecord) -> str:
    """Checkpoints by the beginning of their hash; where the run has none, by the file's name."""
    if parent := run.params.get("compressed.parent", ""):
        return parent[:12]
    for name, recorded in (("init", "init.sha256"), ("backbone.weights", "backbone.weights.sha256")):
        value = run.params.get(name, "")
        if value not in ("", "None", "null"):
            digest = run.params.get(recorded, "") or run.tags.get(f"hmr_light.{recorded}", "")
            if name == "init" and not {"/", "."} & set(value):  # a model of the package, of which there are versions
                return f"{value} {digest[:12]}".strip()
            return digest[:12] or value.replace("\\", "/").rpartition("/")[2]
    return "random" if "backbone.weights" in run.params or "init" in run.params else ""


def _evaluation_fingerprint(run: RunRecord, evaluated_on: str) -> str:
    """Of `hmr-light evaluate`, else of the training, which measures by the run's own protocol alone."""
    with contextlib.suppress(ValueError, AttributeError):  # a tag that somebody has changed
        if how := json.loads(run.tags.get(f"hmr_light.evaluation.{evaluated_on}", "{}")):
            return str(how.get("fingerprint", ""))
    return run.params.get(f"data.evaluation.{evaluated_on}.fingerprint", "")
