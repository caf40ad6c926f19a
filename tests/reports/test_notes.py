"""What is said above and below the table: the set and why it is that one; what makes rows hard to compare."""

from __future__ import annotations

import pytest
from support.records import checkpoint, run
from support.rows import table_row

from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import make_rows


def test_notes_say_what_makes_rows_hard_to_compare() -> None:
    same = [table_row(), table_row(epoch=2)]
    assert len(comparison_table(same).notes) == 1
    assert "on val (3dpw-j14)" in comparison_table(same).notes[0]
    mixed = [table_row(), table_row(device="another processor"), table_row(data_fingerprint="other")]
    notes = "\n".join(comparison_table(mixed).notes)
    assert "differ in device: cpu, another processor" in notes
    assert "differ in data: columns=[data_fingerprint] shows" in notes
    assert "other" not in notes.replace("another", "")
    assert "protocol:" not in notes
    assert "장치" in "\n".join(comparison_table(mixed, "ko").notes)


def test_the_set_is_named_first_with_the_reason_and_the_others() -> None:
    # As after a sweep beside a demo: the demo's runs are evaluated on the test split, the sweep's on validation alone.
    demo = [checkpoint(name, 1, val=90.0, test=95.0) for name in "abc"]
    runs = [run(name) for name in "abcde"]
    before = comparison_table(make_rows(runs, demo, "best"))
    assert before.heading == (
        "errors on test (3dpw-j14): 3 of 3 rows have them; no other set has more;"
        " evaluated_on=NAME shows another set: val (3)"
    )
    sweep = [checkpoint(name, 1, val=90.0) for name in "de"]
    after = comparison_table(make_rows(runs, demo + sweep, "best"))
    assert after.heading == (
        "errors on val (3dpw-j14): 5 of 5 rows have them; no other set has more;"
        " evaluated_on=NAME shows another set: test (3)"
    )
    chosen = comparison_table(make_rows(runs, demo + sweep, "best", "test"), is_set_chosen=True)
    assert chosen.heading == (
        "errors on test (3dpw-j14), as evaluated_on= says: 3 of 5 rows have them;"
        " evaluated_on=NAME shows another set: val (5)"
    )


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_heading_needs_a_set(language: str) -> None:
    assert comparison_table([table_row(evaluated_on="", evaluation_sets="")], language).heading == ""
    assert "val (3dpw-j14)" in comparison_table([table_row()], language).heading
