"""Commands that are printed run as printed: through a real shell, and through the command line's own reading."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from support.cli import compose
from support.hints import arguments_of

from hmr_light.config.hints import command_line, evaluate_command, newest_run, table_command

LETTERS = "ab1 '\"\\$`{}[]()<>|&;,=~#!*?사é:.%@+-"


def test_any_text_comes_through_the_shell_and_hydra_as_itself(home: Path) -> None:
    draw = random.Random(23)
    texts = ["".join(draw.choice(LETTERS) for _ in range(draw.randint(1, 9))) for _ in range(40)]
    texts += [
        "123",
        "1e3",
        "1_0",
        "true",
        "null",
        "None",
        "-",
        "0x1",
        "${seed}",
        "small (v2)",
        "it's",
        "a,b",
        "nan",
        "1.5",
    ]
    for row, name, folder in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        options = {"row": row, "tracking.experiment": name, "outputs": f"/x/{folder}", "seed": 7}
        command, *overrides = arguments_of(command_line("train", options))
        config = compose(command, *overrides)
        assert (config.row, config.tracking.experiment, config.seed) == (row, name, 7)
        assert config.outputs == Path(f"/x/{folder}")


def test_values_of_other_types(home: Path) -> None:
    line = command_line("table", {"columns": ["a b", "c"], "verify": True, "group": None})
    assert line == """hmr-light table 'columns=["a b",c]' verify=true group=null"""
    config = compose(*arguments_of(line))
    assert (config.columns, config.verify, config.group) == (["a b", "c"], True, None)


def test_plain_text_stays_readable() -> None:
    assert command_line("sync", {"run_dir": Path("/a/260101-120000-x")}) == "hmr-light sync run_dir=/a/260101-120000-x"


@pytest.mark.parametrize("uri", [None, "sqlite:////tmp/my runs/x.db", "http://localhost:5000"])
def test_the_table_of_a_run_is_looked_for_where_the_run_was_written_to(uri: str | None, home: Path) -> None:
    line = table_command(uri, "my project (2)", home / "outputs" / "a b")
    config = compose(*arguments_of(line))
    if uri is None:
        assert config.run_dir == home / "outputs" / "a b"
    else:
        assert (config.tracking.uri, config.tracking.experiment) == (uri, "my project (2)")
    assert table_command(f"sqlite:///{home}/mlflow.db", "hmr_light") == "hmr-light table"


def test_a_run_is_scored_on_its_own_sets_or_the_test_split_and_in_its_own_store(home: Path, tmp_path: Path) -> None:
    run, root = tmp_path / "run [1]", tmp_path / "my labels (1)"
    config = compose("train", "data=custom", "tracking=journal", "tracking.experiment='a b'")
    line = evaluate_command(run, config)
    assert "data=" not in line  # the run knows its sets, its protocol and its body
    scored = compose(*arguments_of(line))
    assert (scored.run, scored.tracking.uri, scored.tracking.experiment) == (str(run), None, "a b")

    rendered = compose("train", f"data.root='{root}'")
    scored = compose(*arguments_of(evaluate_command(run, rendered)))
    assert [str(one.annotations) for one in scored.data.evaluation.values()] == [f"{root}/test.npz"]


def test_the_newest_run_is_found_by_the_shell(home: Path) -> None:
    runs = [home / "outputs" / "an experiment" / name for name in ("260101-000000-b", "260102-000000-a")]
    for number, run in enumerate(runs):
        (run / "checkpoints").mkdir(parents=True)
        subprocess.run(["touch", "-d", f"2026-01-0{number + 1}", run / "checkpoints"], check=True)
    line = command_line("evaluate", {"run": newest_run()})
    assert compose(*arguments_of(line)).run == str(runs[1])
