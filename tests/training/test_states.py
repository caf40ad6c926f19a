"""The states that a run goes on from: two on disk, damage is seen, nothing else is left lying."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.checkpoints.format import FORMAT, read, read_last, remove_damaged, remove_unfinished, save_last
from hmr_light.errors import UserError
from hmr_light.tracking.summary import remove_old, summarize_run

SEED = int(np.random.default_rng().integers(2**31))


def content(number: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(SEED + number)
    return {
        "format": FORMAT,
        "number": number,
        "model": {f"weight{i}": torch.randn(40, 50, generator=generator) for i in range(4)},
        "bad_samples": {("train.a", 7): "is not an image"},
    }


def test_the_state_before_stays_and_is_used_when_the_last_one_is_gone_or_damaged(tmp_path: Path) -> None:
    for number in range(3):
        save_last(tmp_path, content(number))
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "previous.pt"}
    state, warning = read_last(tmp_path)
    assert (state["number"], warning) == (2, "")
    assert state["bad_samples"] == {("train.a", 7): "is not an image"}
    (tmp_path / "last.pt").write_bytes(b"")
    state, warning = read_last(tmp_path)
    assert state["number"] == 1
    assert "last.pt cannot be read as a checkpoint" in warning
    (tmp_path / "last.pt").unlink()
    state, warning = read_last(tmp_path)
    assert state["number"] == 1
    assert "there is no checkpoint" in warning
    (tmp_path / "previous.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"previous\.pt cannot be read"):
        read_last(tmp_path)


def test_the_state_that_is_whole_outlives_a_kill_at_the_next_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        save_last(tmp_path, content(number))
    (tmp_path / "last.pt").write_bytes(b"")
    assert read_last(tmp_path)[0]["number"] == 0
    remove_damaged(tmp_path)

    def kill(handle: int) -> None:
        raise KeyboardInterrupt

    # All is written by then, and the names are about to change.
    monkeypatch.setattr("os.fsync", kill)
    with pytest.raises(KeyboardInterrupt):
        save_last(tmp_path, content(2))
    assert read_last(tmp_path)[0]["number"] == 0


def test_no_change_of_a_file_goes_unseen(tmp_path: Path) -> None:
    save_last(tmp_path, content(0))
    path, rng = tmp_path / "last.pt", np.random.default_rng(SEED)
    sound = path.read_bytes()
    expected = read(path)["model"]
    for place in rng.integers(len(sound), size=200):
        spoilt = bytearray(sound)
        spoilt[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        try:
            found = read(path)["model"]
        except UserError:
            continue
        # The zip's padding and dates mean nothing.
        assert found.keys() == expected.keys(), place
        assert all(torch.equal(found[name], expected[name]) for name in expected), place
    for length in rng.integers(len(sound), size=20):
        path.write_bytes(sound[:length])
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            read(path)


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    save_last(tmp_path, content(0))
    (tmp_path / "epoch-001.pt").write_bytes(b"")
    for name in (".last.pt.ab12.pt", ".epoch-002.pt.cd34.pt"):
        (tmp_path / name).write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "epoch-001.pt"}


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
    assert summarize_run(tmp_path).best_mm == 70.0
    remove_old(tmp_path, 2)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        f"epoch-00{epoch}.pt" for epoch in (2, 4, 6, 7)
    ]
