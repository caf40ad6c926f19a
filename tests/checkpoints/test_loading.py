"""`train init=PATH` starts from another model's weights, and refuses what does not fit before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.cli import compose

from hmr_light.checkpoints.loading import load_checkpoint, network_config, start_from
from hmr_light.commands.train import run
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.paths import zoo_file
from hmr_light.training.provenance import file_sha256


def test_a_run_starts_from_the_weights_that_it_is_given(quick: list[str], home: Path) -> None:
    untrained = [*quick, "trainer.epochs=0"]
    first = run(compose("train", *untrained, "seed=1")) / "checkpoints" / "epoch-000.pt"
    second = run(compose("train", *untrained, "seed=2", f"init={first}")) / "checkpoints" / "epoch-000.pt"
    one, two = load_checkpoint(first), load_checkpoint(second)
    assert all(torch.equal(one.state[name], value) for name, value in two.state.items())
    assert one.metrics == two.metrics
    assert two.config["init"] == str(first)

    other = [*untrained, "regressor=linear", f"init={first}"]
    runs = len(list((home / "outputs" / "hmr_light").iterdir()))
    with pytest.raises(UserError, match=r"2 missing: regressor\.correction\.bias.*unexpected: regressor\.deccam\.bias"):
        run(compose("train", *other))
    with pytest.raises(UserError, match="there is no checkpoint /nowhere"):
        run(compose("train", *untrained, "init=/nowhere/model_checkpoint.pt"))
    assert len(list((home / "outputs" / "hmr_light").iterdir())) == runs

    third = run(compose("train", *other, "init_allow=[regressor.*]")) / "checkpoints" / "epoch-000.pt"
    taken = load_checkpoint(third).state
    assert all(torch.equal(one.state[name], value) for name, value in taken.items() if name.startswith("backbone."))


def test_a_model_of_the_package_is_named_without_a_path_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_checkpoint(Path("mobile")).path == zoo_file("mobile")
    network = network_config(Path("mobile"))
    model = build_model({**network, "backbone": {**network["backbone"], "weights": None}})
    started = start_from(model, Path("mobile"))
    expected = load_checkpoint(Path("mobile")).build().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in started.state_dict().items())
    assert file_sha256("mobile") == file_sha256(zoo_file("mobile"))
    (tmp_path / "mobile").mkdir()
    with pytest.raises(UserError, match="mobile is a folder"):
        load_checkpoint(Path("mobile"))
    with pytest.raises(UserError, match="there is no checkpoint x/mobile"):
        load_checkpoint(Path("x/mobile"))
