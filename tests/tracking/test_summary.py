"""What a journal says of a run: which checkpoint is the best, which may be removed, and whether the run diverged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hmr_light.tracking.summary import DIVERGED, RECOVERED, STATE, best_checkpoint, remove_old, summarize_run


def write(run_dir: Path, *entries: dict[str, Any]) -> None:
    (run_dir / "journal.jsonl").write_text("".join(json.dumps({"time": 0, **entry}) + "\n" for entry in entries))


@pytest.mark.parametrize(
    ("errors", "best"),
    [([80.0, "nan"], 1), (["nan", 90.0, 90.0], 3), (["inf", "nan"], None), ([None, None], 2), ([], None)],
)
def test_a_checkpoint_without_a_finite_error_is_never_the_best(
    errors: list[float | str | None], best: int | None, tmp_path: Path
) -> None:
    values = [{} if error is None else {"mpjpe_mm": error} for error in errors]
    write(tmp_path, *({"kind": "checkpoint", "step": e, "path": f"{e}", "values": v} for e, v in enumerate(values, 1)))
    found = best_checkpoint(summarize_run(tmp_path))
    assert (found and found["step"]) == best


def test_the_state_of_a_run_is_the_last_one_told(tmp_path: Path) -> None:
    for states, diverged in (([], False), ([DIVERGED], True), ([DIVERGED, RECOVERED], False)):
        write(tmp_path, *({"kind": "tags", "values": {STATE: state}} for state in states))
        assert summarize_run(tmp_path).diverged == diverged


def test_the_newest_the_best_and_the_evaluated_checkpoints_stay(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    errors = {1: 90.0, 2: 70.0, 3: 80.0, 4: 85.0, 5: float("nan"), 6: 88.0, 7: 87.0}
    entries = [{"kind": "run", "time": 0}]
    for epoch, error in errors.items():
        path = f"checkpoints/epoch-{epoch:03d}.pt"
        (tmp_path / path).write_bytes(b"")
        values = {"mpjpe_mm": error if error == error else "nan", "learning_rate": 1.0}
        entries.append({"kind": "metrics", "time": 0, "step": epoch, "values": values})
        entries.append({"kind": "checkpoint", "time": 0, "step": epoch, "path": path, "values": values})
    entries.append({**entries[8], "values": {"test/mpjpe_mm": 60.0}})  # the fourth was evaluated since
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert summarize_run(tmp_path).best_error == 70.0
    remove_old(tmp_path, 2)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        f"epoch-00{epoch}.pt" for epoch in (2, 4, 6, 7)
    ]
