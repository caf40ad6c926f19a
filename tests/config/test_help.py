"""The help of a command: only its own groups, and a sentence for every option."""

from __future__ import annotations

import re
from pathlib import Path

import hydra
import pytest
import yaml

from hmr_light.config.choices import choices, groups_of
from hmr_light.config.documentation import file_texts
from hmr_light.config.help import choice_texts, help_text
from hmr_light.config.schema import SCHEMAS
from hmr_light.paths import conf_dir

BUILDERS = (
    *("compression", "backbone", "backbone/adapter", "regressor", "loss", "distillation", "protocol", "source"),
)


def options(command: str, *overrides: str) -> dict[str, str]:
    """The options of the help with the text below each."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        text = help_text(command, hydra.compose(command, list(overrides), return_hydra_config=True))
    found: dict[str, str] = {}
    for line in text.splitlines():
        if option := re.match(r"  ([\w./]+)(=|$)", line):
            found[option[1]] = ""
        elif line.startswith("      ") and found:
            found[list(found)[-1]] += line
    return found


@pytest.mark.parametrize("command", SCHEMAS)
def test_each_option_and_group_of_a_command_has_a_sentence(command: str) -> None:
    for key, text in options(command).items():
        assert text.strip().partition("[")[0], f"{command}: {key}"


@pytest.mark.parametrize("source", choices("source"))
def test_each_option_of_each_source_has_a_sentence(source: str) -> None:
    for key, text in options("prepare", f"source={source}").items():
        assert text.strip(), key


def test_help_shows_the_groups_that_the_command_has_and_no_others() -> None:
    for command in SCHEMAS:
        shown = {key for key in options(command) if key in (*groups_of("train"), *groups_of("prepare"))}
        assert shown <= groups_of(command).keys()
    assert {"backbone/adapter", "data/augmentation", "experiment"} <= options("train").keys()
    assert options("ui").keys() == {
        "tracking",
        "port",
        "tracking.uri",
        "tracking.experiment",
        "tracking.upload_checkpoints",
    }


def test_help_shows_allowed_values_and_the_choice_that_was_made() -> None:
    assert "[auto | cpu | cuda]" in options("train")["trainer.device"]
    assert "[above 0]" in options("train")["trainer.clip_gradient_norm"]
    assert "reference/hmr" in options("train")["experiment"]
    assert "backbone.growth_rate" in options("train", "backbone=densenet121")


def test_help_lists_the_users_own_choices_with_what_they_mean(tmp_path: Path) -> None:
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").write_text(
        "# Half as wide.\n\ndefaults:\n  - mobilenet_v2\n  - _self_\n\nwidth: 0.5\n"
    )
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        search = f"hydra.searchpath=[file://{tmp_path}]"
        config = hydra.compose("train", ["backbone=mine", search], return_hydra_config=True)
    text = " ".join(help_text("train", config, tmp_path).split())
    assert "backbone=mine Half as wide. [blank, densenet121" in text
    assert "mine, mobilenet_fire" in text
    assert "backbone.width=0.5 The paper's width multiplier" in text


def test_what_an_option_means_stands_in_one_place() -> None:
    """Typed options are explained in their schema, a builder's in the yaml file of the choice."""
    for file in conf_dir().rglob("*.yaml"):
        group = file.parent.relative_to(conf_dir()).as_posix()
        texts = file_texts(file)
        assert texts[""], f"{file} does not say what it is"
        if group in BUILDERS:
            keys = yaml.safe_load(file.read_text(encoding="utf-8")).keys() - {"name", "defaults"}
            nested = {key.partition(".")[0] for key in choice_texts(group, file.stem)}
            assert keys <= nested, f"{file}: {keys - nested}"
        elif group == "." and file.stem != "common":
            assert {key for key in texts if key} == set(), file


def test_texts_of_a_file_are_the_comments_above_its_keys(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "# @package _global_\n# What it\n# is.\nname: x\n# One.\na: 1\nb:\n  # Two,\n  # lines.\n  c: [1]  # no\nd: 2\n"
    )
    assert file_texts(file) == {"": "What it is.", "a": "One.", "b.c": "Two, lines."}
