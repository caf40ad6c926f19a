"""The Tab key, in a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hmr_light.config.completion import complete

COMPLETE = r"""
set -eu
eval "$(hmr-light --completion)"
COMP_LINE="$1"; COMP_POINT=${#1}
words="${COMP_LINE//=/ = }"; COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$(complete -p hmr-light | sed 's/.*-F \([^ ]*\).*/\1/')" hmr-light
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hmr-light pre", ["predict ", "prepare "]),
        ("hmr-light train backbone=mobilenet_v3", [f"mobilenet_v3_{one} " for one in ("large", "reference", "small")]),
        ("hmr-light train seed=1 trainer.dev", ["trainer.device="]),
        ("hmr-light train trainer.device=", ["auto ", "cpu ", "cuda "]),
        ("hmr-light train experiment=reference/squeezenet_2", ["reference/squeezenet_2 "]),
    ],
)
def test_bash_completes_commands_choices_and_options(line: str, expected: list[str], tmp_path: Path) -> None:
    command = tmp_path / "hmr-light"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hmr_light "$@"\n')
    command.chmod(0o755)
    shell = subprocess.run(
        ["bash", "--norc", "-c", f'PATH="{tmp_path}:$PATH"\n{COMPLETE}', "bash", line],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert shell.returncode == 0, shell.stderr
    assert shell.stdout.splitlines() == expected


def test_options_of_the_chosen_backbone_and_of_own_configs_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete("hmr-light train backbone=densenet121 backbone.gr") == ["backbone.growth_rate="]
    assert "backbone.adapter.dropout=" in complete("hmr-light train backbone/adapter=conv backbone.adapter.")
    own = tmp_path / "conf" / "backbone" / "narrow.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# A network of one's own.\nname: mobilenet_v1\nwidth: 0.1\n")
    monkeypatch.chdir(tmp_path)
    assert complete("hmr-light train backbone=nar") == ["narrow "]


def test_several_values_are_completed_one_by_one() -> None:
    assert complete("hmr-light profile backbones=[resnet18,resnet5") == ["[resnet18,resnet50"]
    assert complete("hmr-light train -m backbone=resnet18,resnet5") == ["resnet18,resnet50"]


def test_what_is_unknown_completes_to_nothing() -> None:
    for line in (
        "",
        "hmr-light trian seed=",
        "hmr-light train nothing=",
        "hmr-light train xyz",
        "hmr-light predict input=",
    ):
        assert complete(line) == []
