"""The command line as a new user meets it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.cli import Command

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
