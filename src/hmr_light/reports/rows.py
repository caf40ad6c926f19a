"""The rows of the comparison table, read from the runs in MLflow alone."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmr_light.errors import UserError, did_you_mean
from hmr_light.reports.recipes import recipes
from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord
from hmr_light.tracking.search import read_experiment

METRICS = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm")


@dataclass(frozen=True)
class Row:
    """One checkpoint of one run. A figure that nobody measured is None."""

    model: str
    """The row's name: the experiment file's, else the backbone's."""
    pt: str
    """The checkpoint: `(epoch)YYMMDD-HHMMSS`."""
    epoch: int
    parameters: int | None
    mpjpe_mm: float | None
    reconstruction_error_mm: float | None
    pve_mm: float | None
    inference_time_s: float | None
    """Median of one image, batch 1."""
    evaluated_on: str
    """The set that the errors are of; the same for all rows of a table."""
    run_id: str
    checkpoint: str
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
    runs: int = 1
    """Over how many runs the figures are means; see `hmr_light.reports.groups`."""
    mpjpe_std_mm: float | None = None
    """Standard deviation over those runs; None for one run."""
    reconstruction_error_std_mm: float | None = None
    pve_std_mm: float | None = None
    inference_time_std_s: float | None = None

    @property
    def is_trained(self) -> bool:
        """False for the mean-pose baseline, which has no parameters."""
        return self.parameters != 0


@dataclass(frozen=True)
class _Candidate:
    run: RunRecord
    tags: dict[str, str]
    latest: dict[str, Point]
    """By name: the newest measurement."""
    validation_mm: float
    """The MPJPE that the run itself measured; infinite if it measured none."""

    @property
    def epoch(self) -> int:
        return int(self.tags.get("epoch", 0))

    @property
    def order(self) -> tuple[int, str, str]:
        return (self.epoch, self.tags.get("saved", ""), self.run.run_id)


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
    candidates: dict[str, list[_Candidate]] = {run.run_id: [] for run in runs}
    for checkpoint in checkpoints:
        if checkpoint.run_id in by_id:
            candidates[checkpoint.run_id].append(_candidate(by_id[checkpoint.run_id], checkpoint))
    models: dict[str, list[RunRecord]] = {}
    groups: dict[str, list[_Candidate]] = {}
    for run in runs:
        if found := candidates[run.run_id]:
            models.setdefault(_model(run), []).append(run)
            groups.setdefault(_model(run), []).extend(_choose(found, which))
    recipe = {run_id: text for same in models.values() for run_id, text in recipes(same).items()}
    ordered = [each for group in groups.values() for each in sorted(group, key=lambda one: one.order, reverse=True)]
    sets = _sets(ordered)
    if ordered and evaluated_on is not None and evaluated_on not in sets:
        remedy = did_you_mean(evaluated_on, sets) if sets else f"hmr-light evaluate data={evaluated_on} measures them."
        raise UserError(f"no checkpoint has errors on '{evaluated_on}'", remedy)
    return [_row(each, evaluated_on or next(iter(sets), ""), recipe[each.run.run_id]) for each in ordered]


def _candidate(run: RunRecord, checkpoint: CheckpointRecord) -> _Candidate:
    points = sorted(checkpoint.points, key=lambda point: (point.time_ms, point.name))
    latest = {point.name: point for point in points}
    measured = (point.value for point in points if point.name == "mpjpe_mm" and math.isfinite(point.value))
    return _Candidate(run, checkpoint.tags, latest, next(measured, math.inf))


def _choose(candidates: list[_Candidate], which: str) -> list[_Candidate]:
    if which == "all":
        return candidates
    if which == "last":
        return [max(candidates, key=lambda one: one.order)]
    # Of equals the later, as the evaluation chooses it.
    return [min(sorted(candidates, key=lambda one: one.order, reverse=True), key=lambda one: one.validation_mm)]


def _sets(candidates: Iterable[_Candidate]) -> list[str]:
    """The evaluation sets, first the one that most candidates have errors on; of several, the one measured last."""
    count: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for candidate in candidates:
        for name, point in candidate.latest.items():
            if name.endswith("/mpjpe_mm"):
                where = name.removesuffix("/mpjpe_mm")
                count[where] += 1
                newest[where] = max(newest.get(where, 0), point.time_ms)
    return sorted(count, key=lambda where: (count[where], newest[where], where), reverse=True)


def _model(run: RunRecord) -> str:
    return run.tags.get("hmr_light.row") or run.name


def _row(candidate: _Candidate, evaluated_on: str, recipe: str) -> Row:
    run, tags = candidate.run, candidate.tags
    prefix = f"{evaluated_on}/" if evaluated_on else ""

    def figure(name: str) -> float | None:
        point = candidate.latest.get(name)
        value = point.value if point else run.metrics.get(name)
        # The store keeps an infinite figure as the largest number there is.
        return value if value is not None and math.isfinite(value) and abs(value) < 1e300 else None

    def error(name: str) -> float | None:
        return figure(prefix + name) if prefix + name in candidate.latest else None

    parameters = figure("parameters")
    return Row(
        model=_model(run),
        pt=f"({candidate.epoch}){tags.get('saved', '')}",
        epoch=candidate.epoch,
        parameters=None if parameters is None else round(parameters),
        mpjpe_mm=error("mpjpe_mm"),
        reconstruction_error_mm=error("reconstruction_error_mm"),
        pve_mm=error("pve_mm"),
        inference_time_s=figure("inference_time_s"),
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
    )


def _evaluation_fingerprint(run: RunRecord, evaluated_on: str) -> str:
    """Of `hmr-light evaluate`, else of the training, which measures by the run's own protocol alone."""
    with contextlib.suppress(ValueError, AttributeError):  # a tag that somebody has changed
        if how := json.loads(run.tags.get(f"hmr_light.evaluation.{evaluated_on}", "{}")):
            return str(how.get("fingerprint", ""))
    return run.params.get(f"data.evaluation.{evaluated_on}.fingerprint", "")
