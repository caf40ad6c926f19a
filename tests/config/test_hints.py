"""Commands that are printed run as printed: through a real shell, and through the command line's own reading."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

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
    for text in texts:
        command, *overrides = arguments_of(command_line("train", {"row": text, "outputs": f"/x/{text}", "seed": 7}))
        config = compose(command, *overrides)
        assert (config.row, config.seed) == (text, 7)
        assert config.outputs == Path(f"/x/{text}")


def test_values_of_other_types(home: Path) -> None:
    line = command_line("table", {"columns": ["a b", "c"], "verify": True, "group": None})
    assert line == """hmr-light table 'columns=["a b",c]' verify=true group=null"""
    config = compose(*arguments_of(line))
    assert (config.columns, config.verify, config.group) == (["a b", "c"], True, None)


def test_plain_text_stays_readable() -> None:
    assert command_line("sync", {"run_dir": Path("/a/260101-120000-x")}) == "hmr-light sync run_dir=/a/260101-120000-x"


def trained(home: Path, *overrides: str) -> Any:
    return compose("train", *overrides)


@pytest.mark.parametrize("uri", [None, "sqlite:////tmp/my runs/x.db", "http://localhost:5000"])
def test_the_table_of_a_run_is_looked_for_where_the_run_was_written_to(uri: str | None, home: Path) -> None:
    line = table_command(uri, "my project (2)", home / "outputs" / "a b")
    config = compose(*arguments_of(line))
    if uri is None:
        assert config.run_dir == home / "outputs" / "a b"
    else:
        assert (config.tracking.uri, config.tracking.experiment) == (uri, "my project (2)")
    assert table_command(f"sqlite:///{home}/mlflow.db", "hmr_light") == "hmr-light table"


def test_a_run_is_scored_on_its_own_sets_by_its_own_body_and_in_its_own_store(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "my labels (1)"
    sets = [f"++data.evaluation.mine={{annotations: '{own}/a.npz', images: '{own}'}}", f"data.root='{own}'"]
    more = ["tracking=journal", "tracking.experiment='a b'", "body=smpl", "protocol=h36m_p1"]
    config = trained(home, "data=custom", *sets, *more)
    scored = compose(*arguments_of(evaluate_command(tmp_path / "run [1]", config)))
    assert scored.run == str(tmp_path / "run [1]")
    assert scored.data.evaluation == config.data.evaluation
    assert (scored.tracking.uri, scored.tracking.experiment) == (None, "a b")
    assert scored.body == config.body
    assert scored.protocol == config.protocol

    rendered = trained(home, f"data.root='{own}'")
    scored = compose(*arguments_of(evaluate_command(tmp_path, rendered)))
    assert [str(one.annotations) for one in scored.data.evaluation.values()] == [f"{own}/test.npz"]


def test_the_newest_run_is_found_by_the_shell(home: Path) -> None:
    runs = [home / "outputs" / "an experiment" / name for name in ("260101-000000-b", "260102-000000-a")]
    for number, run in enumerate(runs):
        (run / "checkpoints").mkdir(parents=True)
        subprocess.run(["touch", "-d", f"2026-01-0{number + 1}", run / "checkpoints"], check=True)
    line = command_line("evaluate", {"run": newest_run()})
    assert compose(*arguments_of(line)).run == str(runs[1])
