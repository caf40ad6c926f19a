"""The trials of a study: a worker takes one after the other, and trains it or measures it by a supernet."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from optuna.trial import TrialState

from hmr_light.config.schema import SearchConfig, TrainConfig
from hmr_light.cost.latency import measure_latency
from hmr_light.data.distributed import Distributed
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.search.candidates import Candidates
from hmr_light.search.genotype import Genotype
from hmr_light.search.known_networks import KnownNetworks
from hmr_light.search.sampling import Drawn, Judge, draw, find_within
from hmr_light.search.space import Space
from hmr_light.search.study import CONSTANT, ERRORS, RUN, Lost, Study, Trial
from hmr_light.tracking import continue_tracking
from hmr_light.tracking.records import is_constant, selection_error
from hmr_light.tracking.state import mlflow_run_id
from hmr_light.tracking.summary import best_checkpoint
from hmr_light.training.context import Lineage
from hmr_light.training.inputs import RunInputs, build_objective, initial_model, open_inputs
from hmr_light.training.loop import Diverged
from hmr_light.training.run import find_run, train_run

Say = Callable[[str], None]
WAIT_SECONDS = 2.0
"""Between two looks at whether other workers' trials have ended."""
SAID_EVERY = 50
"""Of a supernet, so many networks make a line."""


def judge_of(config: SearchConfig, space: Space) -> Judge:
    """What decides which networks may be trained."""
    budget = {**space.budget, **config.budget.limits()}
    wanted = "latency" in budget or "latency" in config.objectives
    return Judge(budget, latency_ratio if wanted else None)


def check_budget(space: Space, judge: Judge, seed: int) -> None:
    """Raise `UserError` if no network of `space` seems to be within the budget."""
    genotype, excess = find_within(space, judge, seed)
    if excess > 1:
        limits = ", ".join(f"{name} {most:,.0f}" for name, most in judge.budget.items() if name != "latency")
        raise UserError(
            f"no network of search_space={space.name} was found within the budget ({limits}): "
            f"the nearest is {excess:.2f} times over it",
            "Raise budget.macs or budget.parameters, or choose another space.",
        )
    most = judge.budget.get("latency", math.inf)
    if math.isfinite(most):
        ratios = []
        for number in range(12):
            one = find_within(space, judge, seed + number)[0] if number else genotype
            ratios.append(latency_ratio(one))
            if ratios[-1] <= most:
                return
        raise UserError(
            f"no network of search_space={space.name} was found within budget.latency={most:g}: "
            f"of {len(ratios)} within the other limits, the fastest takes {min(ratios):.3g} times the yardstick's time",
            "Raise budget.latency, lower budget.macs, or choose another space.",
        )


def latency_ratio(genotype: Genotype) -> float:
    """The time of one image on one CPU thread, as a ratio to the yardstick's, measured in turns with it."""
    state = torch.get_rng_state()
    model = build_model(genotype.nodes()).eval()
    torch.set_rng_state(state)
    image = torch.rand(1, 3, genotype.image_size, genotype.image_size)
    return measure_latency(lambda: model(image), device=torch.device("cpu")).ratio


Inputs = Callable[[int], RunInputs]
"""A side of images, pixels → what runs of that size read."""


def inputs_of(config: SearchConfig, distributed: Distributed) -> Inputs:
    """What opens the trials' data, once for each image size."""

    @functools.cache
    def open_size(image_size: int) -> RunInputs:
        nodes = {"backbone": {}, "regressor": {}, "image_size": image_size}
        return open_inputs(train_config(config, nodes), distributed)

    return open_size


Measure = Callable[[Study, Trial], None]
"""Finds a trial's figures, and finishes it. Raises `Lost` if it is another worker's now."""


def work(
    study: Study, space: Space, judge: Judge, measure: Measure, say: Say, networks: KnownNetworks | None = None
) -> None:
    """Take and `measure` trials until the study is done: of `networks`, or of those that the sampler draws.

    Where others are still at work, it waits for them: the trials of those who die are taken over. Raises `UserError`
    and `Interrupted` as training does; the trial is then taken over by the next command.
    """
    config = study.config
    if networks is not None and study.is_exhausted:
        study.keep("exhausted", False)  # the other study may have more networks by now

    def next_one(trials: Sequence[Trial]) -> Drawn | None:
        known = {str(one.attributes["network"]) for one in trials}
        if networks is not None:
            return networks.next(known, judge)
        past = [one.frozen for one in trials]
        count = len(config.objectives)
        return draw(space, judge, past, known, sampler=config.sampler, objectives=count, seed=config.seed)

    waiting = False
    while True:
        trial = study.take(next_one)
        if trial is not None:
            waiting = False
            try:
                measure(study, trial)
            except Lost:
                say(f"trial {trial.number} is another worker's now")
        elif study.is_done:
            return
        else:
            if not waiting:
                say("waiting for the trials of other workers")
            waiting = True
            time.sleep(WAIT_SECONDS)


def by_training(inputs: Inputs, say: Say) -> Measure:
    """The method `trials`."""

    def measure(study: Study, trial: Trial) -> None:
        say(f"trial {trial.number} ({trial.number + 1} of {study.config.trials}): {describe(trial)}")
        _train(study, trial, inputs(trial.nodes["image_size"]), say)

    return measure


def by_supernet(candidates: Candidates, say: Say) -> Measure:
    """The method `supernet`: with the weights that the networks share."""
    best = math.inf

    def measure(study: Study, trial: Trial) -> None:
        nonlocal best
        figures = candidates.figures(trial.frozen.params)
        error = selection_error(figures)
        finish(study, trial, error, "no error is finite", **{CONSTANT: is_constant(figures)})
        number, best = trial.number + 1, min(best, error)
        if number % SAID_EVERY == 0 or number == study.config.trials:
            say(f"{number} of {study.config.trials} networks, the best error of this worker {best:.2f}")

    return measure


def describe(trial: Trial) -> str:
    """A trial's network in a few words."""
    stages = " ".join(f"{one['block']}×{one['repeat']}→{one['out']}" for one in trial.nodes["backbone"]["stages"])
    costs = trial.costs
    return f"{stages}, {costs['parameters'] / 1e6:.3g} M parameters, {costs['macs'] / 1e6:.3g} M MACs"


def run_config(study: Study, trial: Trial) -> TrainConfig:
    """The configuration of a trial's run."""
    return replace(
        train_config(study.config, trial.nodes),
        row=f"{study.name}-{trial.number:04d}",
        resume="auto",
        searched={"study": study.identity, "trial": trial.number},
    )


def train_config(config: SearchConfig, nodes: Mapping[str, Any]) -> TrainConfig:
    """The configuration by which a network of `nodes` (see `Genotype.nodes`) is trained."""
    shared = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(config)}
    values: dict[str, Any] = {name: getattr(config, name) for name in shared}
    values |= {"backbone": nodes["backbone"], "regressor": nodes["regressor"]}
    return TrainConfig(**{**values, "data": replace(config.data, image_size=nodes["image_size"])})


def _train(study: Study, trial: Trial, inputs: RunInputs, say: Say) -> None:
    config = run_config(study, trial)
    found = find_run(config, inputs.distributed)
    model = initial_model(config, inputs.training, found)
    objective = build_objective(config, model, inputs)
    parent = mlflow_run_id(study.folder, config.tracking.uri) or study.attribute("mlflow_run") or study.folder.name
    stopped = False

    def ends_early(epoch: int, figures: Mapping[str, Any]) -> bool:
        nonlocal stopped
        found = selection_error(figures)
        if math.isfinite(found) and epoch < config.trainer.epochs:
            stopped = _is_among_the_worst(study, trial, epoch, found)
        return stopped

    try:
        result = train_run(config, model, objective, inputs, lineage=Lineage(str(parent)), ends_early=ends_early)
    except UserError as failure:
        if not isinstance(failure.__cause__, Diverged):
            raise
        study.finish(trial, TrialState.FAIL, None, reason=failure.message)
        say(f"trial {trial.number} has diverged: {failure.message}")
        return
    best = best_checkpoint(result.summary)
    error = selection_error(best["values"]) if best else math.inf
    run = {RUN: result.run_dir.name, CONSTANT: bool(best and is_constant(best["values"]))}
    if stopped:
        study.finish(trial, TrialState.PRUNED, None, **run)
        say(f"trial {trial.number}: ended early")
    else:
        finish(study, trial, error, "no error is finite", **run)
        if math.isfinite(error):
            say(f"trial {trial.number}: error {error:.2f}")


def finish(study: Study, trial: Trial, error: float, reason: str, **attributes: Any) -> None:
    """End a trial with its `error`; with `reason` where that is not finite. Raises `Lost`."""
    if not math.isfinite(error):
        study.finish(trial, TrialState.FAIL, None, reason=reason, **attributes)
        return
    figures = {**trial.costs, "error": error}
    study.finish(trial, TrialState.COMPLETE, [figures[name] for name in study.config.objectives], **attributes)
    _log(study, trial, figures)


def _is_among_the_worst(study: Study, trial: Trial, epoch: int, error: float) -> bool:
    """Whether a trial ends after `epoch`; what was decided once is decided so again after a restart."""
    stopping, now = study.config.stopping, next(one for one in study.trials() if one.number == trial.number)
    if epoch in now.errors:
        return bool(now.attributes.get(f"ends at {epoch}", False))
    others = [one.errors[epoch] for one in study.trials() if one.number != trial.number and epoch in one.errors]
    stopped = False
    if stopping.share > 0 and len(others) + 1 >= stopping.after:
        worse = sum(other > error for other in others)
        stopped = worse < int(stopping.share * (len(others) + 1))
    study.note(trial, f"ends at {epoch}", stopped)
    study.note(trial, ERRORS, {**{str(key): value for key, value in now.errors.items()}, str(epoch): error})
    return stopped


def _log(study: Study, trial: Trial, figures: Mapping[str, float]) -> None:
    """The figures of a trial in the study's own run; its step is the trial's number."""
    if (study.folder / "journal.jsonl").is_file():
        tracker = continue_tracking(study.folder, uri=None)
        tracker.metrics({f"trial_{name}": value for name, value in figures.items()}, step=trial.number + 1)
        tracker.finish()
