"""What a continued run has changed counts, wherever MLflow keeps it."""

from __future__ import annotations

from hmr_light.tracking.records import RunRecord, with_changes


def test_a_changed_parameter_has_its_newest_value() -> None:
    tags = {"hmr_light.changed.trainer.epochs": "3", "hmr_light.row": "x"}
    run = RunRecord("id", "name", "FINISHED", 0, {"trainer.epochs": "2", "seed": "0"}, tags, {})
    assert with_changes(run).params == {"trainer.epochs": "3", "seed": "0"}
    assert with_changes(run).tags == tags
