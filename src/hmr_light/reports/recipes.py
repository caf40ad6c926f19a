"""What runs of one name were trained with: runs that differ in it are not seeds of one another."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hmr_light.tracking.records import RunRecord

# What the row itself says (seed, protocol, the fingerprints of data and body), where a run was made, what only makes it
# faster. Any other option counts, so that one that is new is never overlooked.
_NO_MATTER = re.compile(
    r"seed|row|resume|outputs|(tracking|body|protocol|data\.evaluation)\..*"
    r"|data\.(name|root|workers|fingerprint|.*\.(annotations|images))"
    r"|trainer\.(device|threads|compile|channels_last|save_every|checkpoint_steps|keep|on_bad\w*|max_bad_fraction)"
)
_UNKNOWN = "?"


def recipes(runs: Sequence[RunRecord]) -> dict[str, str]:
    """By the ids of these runs: `option=value, …` for the options in which they differ; empty where they agree."""
    of_each = {
        run.run_id: {name: value for name, value in run.params.items() if not _NO_MATTER.fullmatch(name)}
        for run in runs
    }
    names = sorted({name for options in of_each.values() for name in options})
    differ = [name for name in names if len({options.get(name) for options in of_each.values()}) > 1]
    return {
        run_id: ", ".join(f"{name}={options.get(name, _UNKNOWN)}" for name in differ)
        for run_id, options in of_each.items()
    }
