"""The networks of another study, once more: with another seed, for longer, or by another method."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from hmr_light.config.schema import SearchConfig
from hmr_light.errors import UserError
from hmr_light.search.front import front
from hmr_light.search.sampling import Drawn, Judge
from hmr_light.search.space import Space
from hmr_light.search.study import KEY, Trial, open_storage, study_folder, trials_of


@dataclass(frozen=True)
class KnownNetworks:
    """Networks of the study called `study`, in the order in which they are to be taken."""

    study: str
    trials: tuple[Trial, ...]
    space: Space
    place: int
    """Of the error among that study's objectives."""

    def next(self, known: set[str], judge: Judge) -> Drawn | None:
        """The next one that is not among `known`, and within the budget; None if there is no other."""
        for one in self.trials:
            genotype = self.space.decode(one.frozen.params)
            if genotype.key in known or (costs := judge.costs(genotype)) is None:
                continue
            params, distributions = one.frozen.params, one.frozen.distributions
            template = optuna.trial.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
            return Drawn(genotype, costs, template)
        return None

    def errors(self) -> dict[str, float]:
        """Their errors in that study, by network."""
        return {str(one.attributes[KEY]): one.values[self.place] for one in self.trials if one.values is not None}


def known_networks(config: SearchConfig, space: Space) -> KnownNetworks:
    """Those that `config.networks` names. Raises `UserError` for a study that is not there or is of another space."""
    name, _, part = str(config.networks).partition(":")
    if part not in ("", "front"):
        raise UserError(f"networks={config.networks} is not a choice", f"Give networks={name} or networks={name}:front")
    folder = study_folder(config, name)
    if config.storage in ("journal", "sqlite") and not folder.is_dir():
        raise UserError(f"networks={name}: there is no study in {folder}", "Name a study of the same outputs=.")
    storage, _ = open_storage(config, name, folder)
    try:
        trials = [one for one in trials_of(storage, name) if one.state == TrialState.COMPLETE]
    except KeyError:
        raise UserError(f"networks={name}: there is no such study in {folder}", "Give its name and storage=.") from None
    for one in trials:
        values = one.frozen.params
        choices = space.parameters
        if (
            values.keys() != choices.keys()
            or any(values[key] not in choices[key] for key in values)
            or space.decode(values).key != one.attributes[KEY]  # what is no choice may have changed, too
        ):
            raise UserError(
                f"networks={name}: its networks are not of search_space={space.name} as it is now",
                "Give the space that the study was begun with.",
            )
    if not trials:
        raise UserError(f"networks={name}: that study has no network with an error", "Let it go on first.")
    options = json.loads(storage.get_study_user_attrs(storage.get_study_id_from_name(name))["options"])
    place = list(options["objectives"]).index("error")
    return KnownNetworks(name, tuple(front(trials) if part else trials), space, place)


def rank_correlation(ours: dict[str, float], theirs: dict[str, float]) -> tuple[float, int]:
    """Spearman's rank correlation of the errors of the networks that both have, and how many these are.

    NaN where there are fewer than two, or where all errors of one side are equal.
    """
    from scipy.stats import spearmanr

    both = sorted(ours.keys() & theirs.keys())
    if len(both) < 2:
        return float("nan"), len(both)
    with warnings.catch_warnings(action="ignore"):
        return float(spearmanr([ours[key] for key in both], [theirs[key] for key in both]).statistic), len(both)
