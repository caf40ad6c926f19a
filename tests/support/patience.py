"""Runs in tests wait for MLflow as long as it takes: on a busy machine, what sends figures imports it for minutes."""

from __future__ import annotations

from hmr_light.tracking import tracker

PATIENCE_SECONDS = 600.0
"""What counts as hanging, on a machine that may have much else to do."""


def be_patient() -> None:
    """Let a run of this process wait so long for MLflow at its end, not a minute."""
    assert tracker.FINISH_SECONDS == 60
    tracker.FINISH_SECONDS = PATIENCE_SECONDS
