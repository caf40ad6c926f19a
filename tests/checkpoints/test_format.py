"""Our own files: today's format, the format before it, and files of another kind, each told by what it is; the states
that a run goes on from: two on disk, and damage is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hmr_light.checkpoints.format import (
    FORMAT,
    read,
    read_last,
    remove_damaged,
    remove_unfinished,
    save,
    save_last,
    save_model,
)
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize

DATA = Path(__file__).parent / "data"
CONFIG: dict[str, Any] = {
    "backbone": {"name": "mobilenet_v1", "width": 0.1, "form": "shallow", "adapter": {"name": "pooled"}},
    "regressor": {"name": "spin", "hidden": 8, "iterations": 3, "dropout": 0.5},
    "data": {"image_size": 64},
}


def content(**changes: Any) -> dict[str, Any]:
    whole = {"format": 2, "config": CONFIG, "transforms": [], "epoch": 1, "saved": "260101-000000", "metrics": {}}
    return whole | {"model": build_model(CONFIG).state_dict()} | changes


@torch.no_grad()
def test_a_file_of_format_1_predicts_what_the_code_that_wrote_it_predicted() -> None:
    checkpoint = load_checkpoint(DATA / "format_1.pt")
    assert (checkpoint.epoch, checkpoint.saved, checkpoint.body) == (1, "261126-120345", "embedded")
    assert checkpoint.transforms == ()
    numbers = np.arange(2 * 3 * 64 * 64)
    images = torch.from_numpy((numbers * numbers // 7 % 256).astype(np.uint8).reshape(2, 3, 64, 64))
    predicted = checkpoint.build()(normalize(images))
    with np.load(DATA / "format_1_expected.npz") as expected:
        for name, value in predicted._asdict().items():
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-4, atol=1e-5)


def test_a_model_that_was_written_is_read_back_the_same(tmp_path: Path) -> None:
    model = build_model(CONFIG)
    save_model(tmp_path / "epoch-003.pt", model, CONFIG, 3, {"mpjpe_mm": 90.5})
    checkpoint = load_checkpoint(tmp_path / "epoch-003.pt")
    assert (checkpoint.config, checkpoint.epoch, checkpoint.metrics) == (CONFIG, 3, {"mpjpe_mm": 90.5})
    built = checkpoint.build()
    assert not built.training
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in model.state_dict().items())
    assert torch.load(tmp_path / "epoch-003.pt", weights_only=True)["format"] == 2


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    assert caught.value.remedy
    return str(caught.value)


def test_a_training_state_is_told_as_such_and_the_models_beside_it_are_named(tmp_path: Path) -> None:
    save(tmp_path / "last.pt", content(optimizer={}, step=2, sums={}))
    said = message(tmp_path / "last.pt")
    assert "the state of a training run" in said
    assert "at the end of an epoch" in said
    assert "damaged" not in said
    for epoch in (9, 10):
        save(tmp_path / f"epoch-{epoch:03d}.pt", content())
    assert f"take {tmp_path / 'epoch-010.pt'}." in message(tmp_path / "last.pt")


def test_a_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    assert "is a folder" in message(tmp_path)
    assert f"there is no checkpoint {tmp_path / 'absent.pt'}" in message(tmp_path / "absent.pt")


def test_a_file_of_a_newer_format_asks_for_a_newer_version(tmp_path: Path) -> None:
    save(tmp_path / "new.pt", content(format=3))
    assert "format 3; this version of hmr_light reads up to 2" in message(tmp_path / "new.pt")


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"format": value}, "is not a checkpoint of hmr_light") for value in (None, 0, True, "2", [2])]
    + [({key: None}, f"lacks '{key}'") for key in ("config", "epoch", "saved", "model", "metrics")]
    + [({"model": {"a": 1}}, "weights are no tensors")],
)
def test_what_is_not_there_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    save(tmp_path / "other.pt", content(**changes))
    assert says in message(tmp_path / "other.pt")


def test_weights_of_another_network_are_listed(tmp_path: Path) -> None:
    state = build_model(CONFIG).state_dict()
    state["regressor.fc1.bias"] = torch.zeros(3)
    state["more"] = state.pop("regressor.fc2.bias")
    save(tmp_path / "other.pt", content(model=state))
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path / "other.pt").build()
    for said in (
        "1 missing: regressor.fc2.bias",
        "1 unexpected: more",
        "1 of another shape: regressor.fc1.bias (3,) for (8,)",
    ):
        assert said in caught.value.message


SEED = int(np.random.default_rng().integers(2**31))


def numbered_content(number: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(SEED + number)
    return {
        "format": FORMAT,
        "number": number,
        "model": {f"weight{i}": torch.randn(40, 50, generator=generator) for i in range(4)},
        "bad_samples": {("train.a", 7): "is not an image"},
    }


def test_the_state_before_stays_and_is_used_when_the_last_one_is_gone_or_damaged(tmp_path: Path) -> None:
    for number in range(3):
        save_last(tmp_path, numbered_content(number))
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
        save_last(tmp_path, numbered_content(number))
    (tmp_path / "last.pt").write_bytes(b"")
    assert read_last(tmp_path)[0]["number"] == 0
    remove_damaged(tmp_path)

    def kill(handle: int) -> None:
        raise KeyboardInterrupt

    # All is written by then, and the names are about to change.
    monkeypatch.setattr("os.fsync", kill)
    with pytest.raises(KeyboardInterrupt):
        save_last(tmp_path, numbered_content(2))
    assert read_last(tmp_path)[0]["number"] == 0


def test_no_change_of_a_file_goes_unseen(tmp_path: Path) -> None:
    save_last(tmp_path, numbered_content(0))
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
    save_last(tmp_path, numbered_content(0))
    (tmp_path / "epoch-001.pt").write_bytes(b"")
    for name in (".last.pt.ab12.pt", ".epoch-002.pt.cd34.pt"):
        (tmp_path / name).write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "epoch-001.pt"}
