"""How a set's figures came about, as a tag of the run: what `hmr-light table verify=true` evaluates it by again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmr_light.checkpoints.exported import ExportedModel
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.schema import EvaluateConfig
from hmr_light.config.strict import plain
from hmr_light.data.annotations import fingerprint
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.evaluate import figure_prefix
from hmr_light.tracking.journal import FILE_NAME, read_journal

_TAG = "hmr_light.evaluation."
_UNRELATED = {"checkpoint", "checkpoint_allow", "run", "tracking", "robustness", "boxes", "out"}
"""Options of a call that the figures of a set do not depend on."""


def evaluation_tags(
    config: EvaluateConfig, checkpoint: Checkpoint | ExportedModel, datasets: Mapping[str, MeshDataset]
) -> dict[str, str]:
    """By tag, for each set: the options that it was evaluated with and its annotations' `fingerprint`, as JSON."""
    values = {key: value for key, value in plain(config).items() if key not in _UNRELATED}
    return {
        f"{_TAG}{figure_prefix(name, checkpoint, config.protocol['name'])}": json.dumps(
            values | {"fingerprint": fingerprint(dataset.annotations)}
        )
        for name, dataset in datasets.items()
    }


def recorded_options(run_dir: Path, evaluated_on: str) -> dict[str, Any]:
    """The options that the run was last evaluated with on the set `evaluated_on`; empty where it says nothing."""
    key, last = f"{_TAG}{evaluated_on}", "{}"
    if (run_dir / FILE_NAME).is_file():
        for entry, _ in read_journal(run_dir):
            if entry["kind"] == "tags" and key in entry["values"]:
                last = entry["values"][key]
    with contextlib.suppress(ValueError):
        options = json.loads(last)
        return {name: value for name, value in options.items() if name != "fingerprint"}
    return {}
