"""What a study has found: the front of its networks, which choices mattered, and the winners as files for training."""

from __future__ import annotations

import contextlib
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState

from hmr_light.config.hints import Shell, command_line, tracking_options
from hmr_light.paths import atomic_write
from hmr_light.reports.cells import Table
from hmr_light.reports.pareto import Point, draw_panels
from hmr_light.reports.tabular import Column, Columns, deliver, tabulate, write
from hmr_light.search.candidates import Candidates
from hmr_light.search.front import front
from hmr_light.search.known_networks import KnownNetworks, rank_correlation
from hmr_light.search.study import KEY, RUN, Study, Trial, as_optuna
from hmr_light.search.trials import describe, run_config

TITLES = {
    "error": "error",
    "macs": "multiply-accumulates",
    "parameters": "parameters, regressor folded",
    "latency": "time, of the yardstick's",
}
_SHOW: dict[str, Callable[[Any], str]] = {
    "error": "{:.2f}".format,
    "macs": "{:,.0f}".format,
    "parameters": "{:,.0f}".format,
    "latency": "{:.3g}".format,
}


def report(study: Study, say: Callable[[str], None], networks: KnownNetworks | None = None) -> None:
    """Print the front of `study`; write it, its picture, the choices' importance and the winners to its folder.

    Where its `networks` are those of another study, the ranks of their errors there and here are compared.
    """
    trials = study.trials()
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    counts = {
        "trained" if study.config.method == "trials" else "measured": len(complete),
        "ended early": sum(one.state == TrialState.PRUNED for one in trials),
        "diverged": sum(one.state == TrialState.FAIL for one in trials),
        "running": sum(one.state == TrialState.RUNNING for one in trials),
    }
    where = f" of study {networks.study}" if networks else ""
    more = f", and no other network{where} within the budget was found" if study.is_exhausted else ""
    say(f"study {study.name}: {', '.join(f'{count} {what}' for what, count in counts.items())}{more}")
    if not complete:
        return
    errors = {str(one.attributes[KEY]): figures(study, one)["error"] for one in complete}
    if networks is not None:
        correlation, count = rank_correlation(errors, networks.errors())
        say(f"rank correlation (Spearman) of {count} errors with study {networks.study}: {correlation:.2f}")
    if len(complete) > 2:
        costs = {
            name: rank_correlation(errors, {str(one.attributes[KEY]): one.costs[name] for one in complete})[0]
            for name in complete[0].costs
        }
        said = ", ".join(f"{name} {correlation:.2f}" for name, correlation in costs.items())
        say(f"rank correlation (Spearman) of {len(complete)} errors with what the networks cost: {said}")
    best = front(complete)
    if constants := sum(one.is_constant for one in best):
        say(
            f"warning: {constants} of the {len(best)} networks below predict nearly the same for every image, so that "
            "their order says little. Train for longer, at another learning rate, or on an easier set."
        )
    table = _front_table(study, best, counts)
    deliver(table, "terminal", None)
    _write(study.folder / "front", table)
    _write(study.folder / "trials", _front_table(study, complete, counts))
    draw(study.folder / "front.png", study, complete, best)
    _write_page(study.folder / "front.html", table, study.folder / "front.svg")
    if rows := importances(study):
        _write(study.folder / "choices", tabulate(rows, _CHOICES, {"study": study.name}))
    rows_of = [write_winner(study, one) for one in best]
    say(f"{study.folder}: front.html, front.md, front.png, trials.csv" + (", choices.md" if rows else ""))
    options: dict[str, Any] = {"--config-dir": Shell(shlex.quote(str(study.folder / "conf"))), "experiment": rows_of[0]}
    if (weights := _weights(study, best[0])).is_file():
        options["init"] = weights
    tracking = tracking_options(study.config.tracking.uri, study.config.tracking.experiment)
    say(f"  train the first of them: {command_line('train', options | tracking)}")


def figures(study: Study, trial: Trial) -> dict[str, float]:
    """The error of a trial that has ended, and all its costs."""
    assert trial.values is not None
    return {**trial.costs, **dict(zip(study.config.objectives, trial.values, strict=True))}


def importances(study: Study) -> list[dict[str, Any]]:
    """For each choice how much it bears on the error (Optuna's PED-ANOVA), and the mean error with each of its values.

    Empty where there are too few trials for it.
    """
    complete = [one for one in study.trials() if one.state == TrialState.COMPLETE]
    place = list(study.config.objectives).index("error")
    found: Mapping[str, float] = {}
    # Fewer than two trials, or all of them alike, have none; that it is about low errors is what is wanted.
    with contextlib.suppress(ValueError, RuntimeError), warnings.catch_warnings(action="ignore"):
        found = optuna.importance.get_param_importances(as_optuna(study), target=lambda trial: trial.values[place])
    rows = []
    for name, importance in found.items():
        errors: dict[Any, list[float]] = {}
        for one in complete:
            assert one.values is not None
            errors.setdefault(one.frozen.params[name], []).append(one.values[place])
        by_mean = sorted(errors.items(), key=lambda item: mean(item[1]))
        means = "; ".join(f"{value}: {mean(some):.1f} ({len(some)})" for value, some in by_mean)
        rows.append({"choice": name, "importance": importance, "errors": means})
    return rows


_CHOICES: Columns = {
    "choice": Column("Choice"),
    "importance": Column("Importance", "{:.3f}".format),
    "errors": Column("Mean error by value (trials), best first"),
}

_NAMED = 12  # more names cover one another


def draw(path: Path, study: Study, trials: Sequence[Trial], best: Sequence[Trial]) -> None:
    """The errors of `trials` against each cost, as PNG and SVG; a dozen of `best` have their numbers beside them."""
    count = min(len(best), _NAMED)
    numbers = {best[round(place * (len(best) - 1) / max(count - 1, 1))].number for place in range(count)}
    panels = []
    for cost in [name for name in ("macs", "parameters", "latency") if name in trials[0].costs]:
        points = []
        for one in trials:
            name = str(one.number) if one.number in numbers else ""
            points.append(Point(one.costs[cost], figures(study, one)["error"], name, False))
        panels.append((TITLES[cost], points))
    draw_panels(path, panels, "error")


def write_winner(study: Study, trial: Trial) -> str:
    """Write the trial's network and image size as a preset for `hmr-light train`; returns its name."""
    nodes = trial.nodes
    name = f"{study.name}-{trial.number:04d}"
    file = study.folder / "conf" / "experiment" / "searched" / f"{study.folder.name}-{trial.number:04d}.yaml"
    regressor = dict(nodes["regressor"])
    said = ", ".join(f"{TITLES[key]} {_SHOW[key](value)}" for key, value in figures(study, trial).items())
    content = {
        "defaults": [{"override /backbone": "stages"}, {"override /regressor": regressor.pop("name")}],
        "row": name,
        "data": {"image_size": nodes["image_size"]},
        "backbone": {key: nodes["backbone"][key] for key in ("stem", "stages", "head")},
        **({"regressor": regressor} if regressor else {}),
    }
    run, epochs = trial.attributes.get(RUN), study.config.trainer.epochs
    how = "By the supernet" if study.config.method == "supernet" else f"After {epochs} epoch{'s' if epochs > 1 else ''}"
    text = f"# @package _global_\n# Trial {trial.number} of the study {study.name}{f' ({run})' if run else ''}.\n"
    text += f"# {how}: {said}.\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        body = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
        temporary.write_text(text + body, encoding="utf-8")
    return f"searched/{file.stem}"


def write_weights(study: Study, candidates: Candidates) -> None:
    """Write the networks of the front of a study by a supernet as checkpoints, from which they can be trained on."""
    for one in front([one for one in study.trials() if one.state == TrialState.COMPLETE]):
        if not (path := _weights(study, one)).is_file():
            candidates.write(path, one.frozen.params, run_config(study, one))


def _weights(study: Study, trial: Trial) -> Path:
    """In a folder of its own: the study's is not that of a run of this network."""
    name = f"{study.folder.name}-{trial.number:04d}"
    return study.folder / "weights" / name / f"{name}.pt"


def _front_table(study: Study, trials: Sequence[Trial], counts: Mapping[str, int]) -> Table:
    costs = list(trials[0].costs)
    columns: dict[str, Column] = {"trial": Column("Trial")}
    columns |= {name: Column(TITLES[name], _SHOW[name]) for name in ("error", *costs)}
    columns |= {"network": Column("Network"), "image_size": Column("Image size"), "run": Column("Run")}
    rows = [
        {
            "trial": one.number,
            **figures(study, one),
            "network": describe(one).partition(",")[0],
            "image_size": one.nodes["image_size"],
            "run": str(one.attributes.get(RUN, "")),
        }
        for one in trials
    ]
    config = study.config
    facts = {
        "study": study.name,
        "objectives": list(config.objectives),
        "trials": dict(counts),
        "method": config.method,
        "epochs": config.trainer.epochs,
        "seed": config.seed,
    }
    return tabulate(rows, columns, facts)


def _write(path: Path, table: Table) -> None:
    for suffix, format in ((".md", "markdown"), (".csv", "csv")):
        with atomic_write(path.with_suffix(suffix)) as temporary:
            temporary.write_text(write(table, format), encoding="utf-8")


def _write_page(path: Path, table: Table, picture: Path) -> None:
    """The table as a page, with the SVG file `picture` below it."""
    drawn = picture.read_text(encoding="utf-8")
    page = write(table, "html").replace("</body>", f"{drawn[drawn.index('<svg') :]}\n</body>")
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
