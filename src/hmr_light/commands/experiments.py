"""Which MLflow experiment a command means, where the user named none."""

from __future__ import annotations

import sys

from hmr_light.config.hints import command_line, tracking_options
from hmr_light.config.schema import TrackingConfig
from hmr_light.errors import UserError
from hmr_light.tracking.search import experiment_names

DEFAULT = "hmr_light"


def experiment_of(tracking: TrackingConfig, command: str) -> str:
    """The experiment of `tracking`; where the store has none of the default name, the only one that there is.

    Of several the user must choose: raises `UserError` with the commands to type. Where the default is taken beside
    others, these are named on standard error.
    """
    if tracking.experiment != DEFAULT or not tracking.uri:
        return tracking.experiment
    names = experiment_names(tracking.uri)
    others = [name for name in names if name != DEFAULT]
    choices = [command_line(command, tracking_options(tracking.uri, name)) for name in others]
    if DEFAULT in names or not others:
        if others:
            print(f"experiment {DEFAULT}; there are others: {', '.join(choices)}", file=sys.stderr)
        return DEFAULT
    if len(others) > 1:
        raise UserError(
            f"the tracking store has {len(others)} experiments, and none is called '{DEFAULT}'",
            "Type one of:\n" + "\n".join(f"    {choice}" for choice in choices),
        )
    print(f"experiment {others[0]}: the only one in the store", file=sys.stderr)
    return others[0]
