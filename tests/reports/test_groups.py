"""Rows of several seeds as one: the mean and the deviation are those of an independent reckoning."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest
from support.rows import table_row

from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.groups import combine_seeds
from hmr_light.reports.tabular import write


@pytest.mark.parametrize("seed", range(20))
def test_figures_are_mean_and_sample_deviation_over_all_seeds(seed: int) -> None:
    draw = random.Random(seed)
    errors = [draw.uniform(50, 60) for _ in range(draw.randrange(2, 9))]
    rows = [table_row(seed=str(n), mpjpe_mm=error, run_id=f"run{n}", epoch=n) for n, error in enumerate(errors)]
    draw.shuffle(rows)
    (combined,) = combine_seeds(rows)
    assert combined["mpjpe_mm"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert combined["mpjpe_std_mm"] == pytest.approx(np.std(errors, ddof=1), rel=1e-9)
    assert (combined["reconstruction_error_std_mm"], combined.runs) == (0, len(errors))
    assert combined.seed == ", ".join(map(str, range(len(errors)))), "every run can be found"
    assert combined.run_id == ", ".join(f"run{n}" for n in range(len(errors)))
    (cells,) = comparison_table([combined]).rows
    assert cells[1].text == f"{len(errors)} runs"
    assert cells[3].text == f"{np.mean(errors):.1f} ± {np.std(errors, ddof=1):.1f}"
    assert json.loads(write(comparison_table([combined]), "json"))["rows"][0]["runs"] == len(errors)


def test_what_is_not_comparable_stays_apart_and_in_order() -> None:
    rows = [
        table_row("b", seed="0"),
        table_row("a", seed="0"),
        table_row("b", seed="1"),
        table_row("b", seed="2", data_fingerprint="other"),
        table_row("b", seed="3", protocol="other"),
        table_row("b", seed="4", body="other"),
        table_row("b", seed="5", evaluation_fingerprint="other"),
    ]
    combined = combine_seeds(rows)
    assert [(each.model, each.runs) for each in combined] == [
        ("b", 2),
        ("a", 1),
        ("b", 1),
        ("b", 1),
        ("b", 1),
        ("b", 1),
    ]
    assert combined[1:] == [rows[1], *rows[3:]], "one run alone is shown as it is"
    epochs = [table_row(epoch=epoch, seed=seed) for epoch in (2, 1) for seed in "01"]
    assert [(each.epoch, each.runs) for each in combine_seeds(epochs, same_epoch=True)] == [(2, 2), (1, 2)]


def test_the_same_seed_twice_is_no_second_draw() -> None:
    old, new = (table_row(pt=f"(3)26010{day}-000000", mpjpe_mm=90.0 + day) for day in (1, 2))
    other = table_row(seed="1", mpjpe_mm=100.0)
    for rows in ([old, new, other], [new, old, other], [other, new, old]):
        (combined,) = combine_seeds(rows)
        assert (combined.runs, combined["mpjpe_mm"]) == (2, 96.0)


def test_a_figure_that_one_run_lacks_is_missing() -> None:
    rows = [table_row(seed="0", inference_time_s=None), table_row(seed="1")]
    (combined,) = combine_seeds(rows)
    assert (combined["inference_time_s"], combined["inference_time_std_s"]) == (None, None)
    assert combined["mpjpe_mm"] == 100.0


@pytest.mark.parametrize("language", ["en", "ko"])
def test_columns_of_choice_stand_behind_the_others(language: str) -> None:
    rows = [table_row(pve_mm=123.456, seed="7"), table_row(pve_mm=None)]
    columns = ["seed", "pve_mm", "git_commit"]
    table = comparison_table(rows, language, columns)
    assert table.headers[6:] == tuple(columns)
    assert [cell.text for cell in table.rows[0][6:]] == ["7", "123.5", "c"]
    assert table.rows[1][7].text == "–"
    assert table.is_number[6:] == (False, True, False)
    for format in ("markdown", "latex", "html"):
        text = write(table, format)
        assert "123.5" in text
    assert "±" not in "".join(table.notes)
    assert "±" in "".join(comparison_table(combine_seeds([table_row(seed="0"), table_row(seed="1")]), language).notes)
    assert dataclasses.replace(rows[0], seed="0") == table_row(pve_mm=123.456)


def test_a_run_that_diverged_is_counted_and_not_averaged() -> None:
    rows = [table_row(seed="0"), table_row(seed="1"), table_row(seed="2", mpjpe_mm=None, state="diverged")]
    (combined,) = combine_seeds(rows)
    assert (combined.state, combined["mpjpe_mm"], combined["mpjpe_std_mm"]) == ("1 of 3 diverged", None, None)
    assert not combined.can_be_best


def test_the_mean_of_times_is_marked_if_one_is() -> None:
    shares = {"0": 1.0, "1": 0.5}
    (combined,) = combine_seeds([table_row(seed=seed, inference_cpu_share=share) for seed, share in shares.items()])
    assert (combined.time_mark, combined["inference_cpu_share"]) == ("~", 0.5)
