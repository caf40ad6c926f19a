"""Runs of one name that were trained with different options are no seeds of one another."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from support.cli import compose
from support.records import checkpoint, run

from hmr_light.config.strict import flatten
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.groups import combine_seeds
from hmr_light.reports.rows import make_rows

PLACES = ("seed", "resume", "outputs", "tracking.uri", "data.root", "data.train.synthetic.annotations", "body.path")
FASTER = ("trainer.threads", "trainer.compile", "trainer.checkpoint_steps", "data.workers")
RESULT = (
    "backbone.width",
    "regressor.iterations",
    "data.image_size",
    "data.augmentation.scale_std",
    "data.train.synthetic.ratio",
    "loss.keypoints_2d",
    "optimizer.learning_rate",
    "trainer.epochs",
    "trainer.precision",
    "init",
)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a training run with every default says of itself."""
    monkeypatch.setenv("HMR_LIGHT_HOME", "/home")
    return {name: str(value) for name, value in flatten(dataclasses.asdict(compose("train"))).items()}


def trained(run_id: str, options: dict[str, str], **changes: str) -> Any:
    return dataclasses.replace(run(run_id), params=options | changes)


@pytest.mark.parametrize("name", [*PLACES, *FASTER])
def test_where_and_how_fast_a_run_was_trained_does_not_matter(options: dict[str, str], name: str) -> None:
    assert name in options
    runs = [trained("a", options), trained("b", options | {name: "other", "seed": "1"})]
    rows = make_rows(runs, [checkpoint(one, 1, val=90.0) for one in "ab"], "best")
    assert [row.recipe for row in rows] == ["", ""]


@pytest.mark.parametrize("name", [*RESULT, "of.a.later.version"])
def test_what_the_result_depends_on_keeps_rows_apart(options: dict[str, str], name: str) -> None:
    assert name in options or name == "of.a.later.version"
    runs = [
        trained(f"{value}{seed}", options, **{name: value, "seed": seed})
        for value, seed in itertools.product(("1", "2"), ("0", "1"))
    ]
    figures = {"10": 50.0, "11": 52.0, "20": 90.0, "21": 94.0}
    rows = make_rows(runs, [checkpoint(one, 1, val=mm) for one, mm in figures.items()], "best")
    combined = {row.recipe: (row.runs, row["mpjpe_mm"]) for row in combine_seeds(rows)}
    assert combined == {f"{name}=1": (2, 51.0), f"{name}=2": (2, 92.0)}


def test_other_models_and_an_option_that_a_run_lacks(options: dict[str, str]) -> None:
    older = {name: value for name, value in options.items() if name != "trainer.clip_gradient_norm"}
    runs = [trained("a", options), trained("b", older), dataclasses.replace(run("c", "other"), params={"x": "1"})]
    rows = make_rows(runs, [checkpoint(one, 1, val=90.0) for one in "abc"], "best")
    assert {row.run_id: row.recipe for row in rows} == {
        "a": "trainer.clip_gradient_norm=None",
        "b": "trainer.clip_gradient_norm=?",
        "c": "",
    }


@pytest.mark.parametrize(("language", "says"), [("en", "columns=[recipe] shows"), ("ko", "columns=[recipe]로")])
def test_the_table_says_so(options: dict[str, str], language: str, says: str) -> None:
    runs = [trained("a", options), trained("b", options, **{"trainer.epochs": "2"})]
    rows = make_rows(runs, [checkpoint(one, 1, val=90.0) for one in "ab"], "best")
    assert says in " ".join(comparison_table(rows, language).notes)
    shown = comparison_table(rows, language, ["recipe"])
    assert says not in " ".join(shown.notes)
    epochs = options["trainer.epochs"]
    assert {cells[-1].text for cells in shown.rows} == {f"trainer.epochs={epochs}", "trainer.epochs=2"}
    alone = make_rows(runs[:1], [checkpoint("a", 1, val=90.0)], "best")
    assert says not in " ".join(comparison_table(alone, language).notes)
