"""The command line as a new user meets it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Command

import hmr_light as package
from hmr_light.cli import COMMANDS
from hmr_light.paths import conf_dir


def test_help_names_every_command_and_imports_nothing_heavy(hmr_light: Command, home: Path) -> None:
    result = hmr_light("--help")
    assert result.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.stdout, re.MULTILINE)
    # Every command has its config, and every config its command.
    primaries = {file.stem for file in conf_dir().glob("*.yaml")} - {"common"}
    assert primaries == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_two_examples_and_a_config(command: str, hmr_light: Command) -> None:
    result = hmr_light(command, "--help")
    assert result.returncode == 0, result.stderr
    examples = re.findall(rf"^  hmr-light {command}\b.*", result.stdout, re.MULTILINE)
    assert len(examples) >= 2, result.stdout
    assert hmr_light(command, "--cfg", "job").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "trainer.epoch=3"], "Did you mean 'trainer.epochs'?"),
        (["train", "+trainer.epoch=3"], "Did you mean 'trainer.epochs'?"),
        (["train", "+sead=3"], "Did you mean 'seed'?"),
        (["train", "backbone=mobilnet_v2"], "Did you mean 'mobilenet_v2'?"),
        (["train", "backbon=mobilenet_v2"], "Did you mean 'backbone'?"),
        (["train", "experiment=mobilenet_v3x"], "Did you mean 'mobilenet_v2'?"),
        (["train", "trainer.epochs=many"], "trainer.epochs"),
        (["train", "trainer.precision=float8"], "Did you mean 'float32'?"),
        (["train", "trainer.batch_size=0"], "trainer.batch_size=0 is too small"),
        (["train", "data.image_size=[1,2"], "the bracket is not closed"),
        (["train", "trainer.epochs=a b!"], "trainer.epochs"),
        (["train", "mobilenet_v2"], "cannot read 'mobilenet_v2'\n  Options are key=value."),
        (["train", "--epochs=5"], "Did you mean 'trainer.epochs'?"),
        (["train", "seed=0,1"], "For a sweep over them add -m"),
        (["train", "-m", "seed=0,1", "--cfg", "job"], "--cfg job shows the configuration of a single run"),
        (["train", "-m", "hydra/launcher=slurm", "seed=0,1"], "pip install 'hmr-light[sweep]'"),
        (["table", "format=markdwon"], "Did you mean 'markdown'?"),
        (["evaluate"], "one of checkpoint= and run="),
        (["sync"], "run_dir="),
    ],
)
def test_a_mistake_gets_one_message_with_the_remedy(
    arguments: list[str], says: str, hmr_light: Command, home: Path
) -> None:
    result = hmr_light(*arguments)
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert result.stderr.startswith("hmr-light: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(home.iterdir()) == [], "nothing is left half written"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "euc-kr"},
        {"PYTHONIOENCODING": "ascii", "COLUMNS": "30"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "trainer.epoch=한글"]])
def test_output_goes_to_terminals_that_are_not_utf8_too(
    environment: dict[str, str], arguments: list[str], home: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hmr_light", *arguments],
        capture_output=True,
        env={**os.environ, "HMR_LIGHT_HOME": str(home), **environment},
        timeout=120,
    )
    assert done.returncode == (2 if "한글" in arguments[-1] else 0), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"hmr-light" in done.stdout + done.stderr
    if environment.get("PYTHONIOENCODING") == "ascii" and "--help" in arguments:
        assert max(map(len, done.stdout.splitlines())) < 140
        (done.stdout + done.stderr).decode("ascii")


def test_a_place_that_may_not_be_written_is_named_without_a_traceback(hmr_light: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    done = hmr_light("prepare", "source=synthetic", f"source.out={folder}", "source.workers=1")
    assert done.returncode == 2, done.stderr
    said, _, message = done.stderr.partition("hmr-light: ")
    assert re.search(r": \d+ images: train \d+, val \d+, test \d+, test-ood \d+ ", said)
    assert str(folder) in message
    assert "Traceback" not in done.stderr


def test_commands_that_are_printed_are_written_in_one_place() -> None:
    """Text of a user's in `hmr-light COMMAND key=…` needs quotes: `config/hints.py` alone puts it there."""
    for file in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                assert not re.search(r"hmr-light [a-z]+ [^()]*=[^ ]*\0", text), f"{file}: {text!r}"


def test_a_path_in_letters_that_the_locale_lacks_is_printed_as_it_was_given(home: Path) -> None:
    path = home / "없는 파일…"
    done = subprocess.run(
        [sys.executable, "-m", "hmr_light", "predict", f"input={path}"],
        capture_output=True,
        env={**os.environ, "HMR_LIGHT_HOME": str(home), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        timeout=120,
    )
    assert done.returncode == 2
    assert str(path).encode() in done.stderr


def test_nothing_is_printed_at_the_end_of_a_process_that_has_used_triton(home: Path) -> None:
    pytest.importorskip("triton")
    code = "import torch, triton; from hmr_light.cli import main; main(['table'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "HMR_LIGHT_HOME": str(home)},
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("hmr-light: there is no tracking store")
    assert "leaked" not in done.stderr + done.stdout
