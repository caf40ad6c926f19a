"""Which run `resume=` names, whatever lies among the runs, and what may differ from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.cli import compose

from hmr_light.config.strict import plain
from hmr_light.errors import UserError
from hmr_light.training import run_directory
from hmr_light.training.provenance import file_sha256


def finish(run_dir: Path, epochs: int) -> None:
    entries = [
        {"kind": "run"},
        *({"kind": "metrics", "step": e, "values": {"mpjpe_mm": 1.0}} for e in range(1, epochs + 1)),
    ]
    entries.append({"kind": "status", "status": "FINISHED"})
    lines = (json.dumps({"time": 0, **entry}) + "\n" for entry in entries)
    (run_dir / "journal.jsonl").write_text("".join(lines))


@pytest.mark.parametrize("content", [b"seed: [", b"\xff\xfe", b"- 1", b"", b"seed: ${nowhere}"])
def test_a_run_with_a_damaged_configuration_is_not_continued_and_keeps_no_other_from_it(
    home: Path, content: bytes
) -> None:
    config = compose("train", "resume=auto")
    whole = run_directory.create(config, plain(config))
    damaged = whole.with_name(f"9{whole.name[1:]}")
    damaged.mkdir()
    (damaged / "config.yaml").write_bytes(content)
    found = run_directory.find(config)
    assert found is not None
    assert found.run_dir == whole
    config.resume = str(damaged)
    with pytest.raises(UserError, match=r"damaged|another configuration"):
        run_directory.find(config)


def test_auto_prefers_an_unfinished_run_and_finds_a_finished_one(home: Path) -> None:
    config = compose("train", "resume=auto", "trainer.epochs=3")
    assert run_directory.find(config) is None
    first, second = (run_directory.create(config, plain(config)) for _ in range(2))
    for run_dir, epochs, expected, finished in ((second, 3, first, False), (first, 3, second, True)):
        finish(run_dir, epochs)
        found = run_directory.find(config)
        assert found is not None
        assert (found.run_dir, found.finished, found.changed) == (expected, finished, {})
    longer = run_directory.find(compose("train", "resume=auto", "trainer.epochs=4"))
    assert longer is not None
    assert (longer.run_dir, longer.finished, longer.changed) == (second, False, {"trainer.epochs": 4})
    assert run_directory.find(compose("train", "resume=auto", "seed=1")) is None


@pytest.mark.parametrize("option", run_directory.MAY_CHANGE)
def test_an_option_that_may_change_exists_and_is_in_the_manual(option: str, home: Path) -> None:
    node = compose("train")
    for name in option.split("."):
        node = getattr(node, name)
    assert f"`{option}`" in (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


def test_the_message_names_what_differs_and_what_may(home: Path) -> None:
    config = compose("train")
    run_dir = run_directory.create(config, plain(config))
    with pytest.raises(UserError) as told:
        run_directory.find(compose("train", f"resume={run_dir}", "loss.pose=2", "trainer.epochs=3"))
    assert "loss.pose was 5.0, is 2" in str(told.value)
    assert "trainer.epochs was" not in str(told.value)
    assert all(option in str(told.value) for option in run_directory.MAY_CHANGE)


def test_files_of_weights_are_compared_by_content(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng()
    files = [tmp_path / name for name in ("first.pt", "copy.pt", "other.pt")]
    content = rng.bytes(100)
    for file in files[:2]:
        file.write_bytes(content)
    files[2].write_bytes(rng.bytes(100))
    config = compose("train", f"init={files[0]}")
    run_dir = run_directory.create(config, plain(config))
    values = {"init.sha256": file_sha256(files[0])}
    (run_dir / "journal.jsonl").write_text(json.dumps({"kind": "params", "time": 0, "values": values}) + "\n")
    found = run_directory.find(compose("train", f"init={files[1]}", f"resume={run_dir}"))
    assert found is not None
    assert found.run_dir == run_dir
    with pytest.raises(UserError, match=r"init was .*first\.pt, is .*other\.pt"):
        run_directory.find(compose("train", f"init={files[2]}", f"resume={run_dir}"))
    with pytest.raises(UserError, match="init was"):
        run_directory.find(compose("train", f"resume={run_dir}"))


def test_auto_takes_other_data_for_another_run_unless_they_were_moved(home: Path, tmp_path: Path) -> None:
    data = [tmp_path / "one", tmp_path / "two"]
    for folder in data:
        folder.mkdir()
        for split in ("train", "val"):
            (folder / f"{split}.npz").write_bytes(b"")
    config = compose("train", f"data.root={data[0]}")
    run_dir = run_directory.create(config, plain(config))
    other = compose("train", f"data.root={data[1]}", "resume=auto")
    assert run_directory.find(other) is None
    data[0].rename(tmp_path / "elsewhere")
    found = run_directory.find(other)
    assert found is not None
    assert found.run_dir == run_dir
