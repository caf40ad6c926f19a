"""The description of a run, as MLflow's page of the run shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DESCRIPTION = "mlflow.note.content"
"""MLflow's tag for it; Markdown."""


def describe(params: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """A table of a run's recipe, from its flat configuration, and of the `facts`, a line each."""

    def of(key: str) -> str:
        return str(params.get(key, "–"))

    def sets(kind: str) -> str:
        found = {}
        for key in params:
            if match := re.fullmatch(rf"data\.{kind}\.(.+)\.(?:annotations|images|ratio)", key):
                found[match[1]] = of(f"data.{kind}.{match[1]}.ratio")
        shares = [name if kind == "evaluation" or len(found) == 1 else f"{name} ({r})" for name, r in found.items()]
        return ", ".join(shares) or "nothing"

    lines = {
        "model": f"backbone {of('backbone.name')}, regressor {of('regressor.name')}",
        "trained on": f"{sets('train')}, images of {of('data.image_size')} pixels",
        "for": f"{of('trainer.epochs')} epochs in batches of {of('trainer.batch_size')}, seed {of('seed')}",
        "optimizer": f"{of('optimizer.name')} at {of('optimizer.learning_rate')}, {of('optimizer.schedule')}",
        "loss": of("loss.name"),
        "evaluated on": f"{sets('evaluation')} by the protocol {of('protocol.name')}",
    } | dict(facts)
    return "\n".join(
        ["| recipe | |", "|---|---|", *(f"| {key} | {_cell(text)} |" for key, text in lines.items() if text)]
    )


def run_name(row: str, seed: object, started: str) -> str:
    """The name of a run: the seed first, which MLflow's pages would otherwise cut off."""
    return f"s{seed} {row} {started}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
