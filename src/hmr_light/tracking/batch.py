"""Journal entries as MLflow takes them: names it allows, values it keeps, requests of a size it accepts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hmr_light.tracking.journal import Entry
from hmr_light.tracking.records import is_error

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

    Item = Metric | Param | RunTag

# MLflow accepts 1000 metrics, 100 parameters, 100 tags and 1 MB in one request.
METRICS, PARAMS, TAGS = 1000, 50, 25
PARAM_CHARACTERS, TAG_CHARACTERS, DIGEST_CHARACTERS = 6000, 5000, 36


def metrics(entry: Entry, primary: str = "", model_id: str | None = None) -> list[Metric]:
    """The figures of an entry, linked to a model if one is given; those on the set `primary` without its name.

    What is not finite stays in the journal alone: MLflow keeps infinity as the largest number there is, and the NaN of
    a logged model as 0.
    """
    from mlflow.entities import Metric

    time, step = int(entry.get("measured") or entry["time"]), int(entry["step"])
    values: dict[str, float] = {}
    for name, value in entry["values"].items():
        key = allowed_name(name)
        own = key.removeprefix(f"{primary}/") if primary else key
        values[own if is_error(own) else key] = float(value)
    finite = {key: value for key, value in values.items() if math.isfinite(value)}
    return [Metric(key, value, time, step, model_id=model_id) for key, value in finite.items()]


def primary_set(params: dict[str, str]) -> str:
    """The first evaluation set that a run's parameters name, as MLflow allows the name; empty if there is none.

    Fingerprints stand beside the name that the figures have, also where that is of a part of a set.
    """
    for kind in ("fingerprint", "(?:annotations|images|ratio)"):
        for key in params:
            if found := re.fullmatch(rf"data\.evaluation\.(.+)\.{kind}", key):
                return allowed_name(found[1])
    return ""


def dataset_input(entry: Entry) -> DatasetInput:
    """A set of annotations as an input of the run; its digest is the beginning of the annotations' fingerprint."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=str(entry["name"])[:500],
        digest=entry["fingerprint"][:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": entry["path"]}),
        profile=json.dumps({"people": entry["people"], "fingerprint": entry["fingerprint"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])


def params(values: dict[str, str]) -> dict[str, str]:
    """Parameters as MLflow keeps them; a value that is cut says so, where MLflow itself would cut it in silence."""
    return {allowed_name(key): _cut(value) for key, value in values.items()}


def tags(values: dict[str, str]) -> dict[str, str]:
    """Tags as MLflow keeps them."""
    return {allowed_name(key): value[:TAG_CHARACTERS] for key, value in values.items()}


def allowed_name(name: str) -> str:
    """`name` with the characters, and of the length, that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]


def requests(items: Sequence[Item]) -> Iterator[list[Item]]:
    """`items`, all of one kind, in parts of a size that MLflow accepts."""
    size = {"Metric": METRICS, "Param": PARAMS, "RunTag": TAGS}[type(items[0]).__name__] if items else 1
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _cut(value: str) -> str:
    if len(value) <= PARAM_CHARACTERS:
        return value
    note = f"… [cut: {len(value)} characters; the whole is in the run's journal]"
    return value[: PARAM_CHARACTERS - len(note)] + note
