"""How a command takes its flags, its own configs, and names of an earlier version."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Command, compose

from hmr_light.config.run_config import write_run_config
from hmr_light.config.strict import plain


def test_flags_may_stand_anywhere(hmr_light: Command) -> None:
    for arguments in (
        ["--cfg", "job", "trainer.epochs=7", "seed=5"],
        ["trainer.epochs=7", "--cfg", "job", "seed=5"],
        ["trainer.epochs=7", "seed=5", "--cfg=job"],
    ):
        shown = hmr_light("train", *arguments)
        assert shown.returncode == 0, shown.stderr
        assert "  epochs: 7\n" in shown.stdout
        assert "seed: 5\n" in shown.stdout
    refused = hmr_light("train", "trainer.epochs=7", "-m", "seed=0,1", "optimizer.learning_rate=much")
    assert "optimizer.learning_rate" in refused.stderr


def write_own(folder: Path) -> None:
    (folder / "backbone").mkdir(parents=True)
    (folder / "backbone" / "narrow.yaml").write_text(
        "# A narrow MobileNet.\ndefaults:\n  - adapter: pooled\n  - _self_\nname: mobilenet_v1\nwidth: 0.125\n"
    )


def test_a_folder_conf_beside_ones_project_offers_choices_to_every_command(hmr_light: Command, tmp_path: Path) -> None:
    write_own(tmp_path / "my project" / "conf")
    project = tmp_path / "my project"
    shown = hmr_light("train", "--cfg", "job", "backbone=narrow", cwd=project)
    assert "  width: 0.125\n" in shown.stdout, shown.stderr
    assert "narrow" in hmr_light("train", "--help", "backbone=narrow", cwd=project).stdout
    profile = hmr_light("profile", "backbones=[narrow]", "format=csv", cwd=project)
    assert "narrow" in profile.stdout, profile.stderr
    assert "Did you mean 'narrow'?" in hmr_light("train", "backbone=narow", cwd=project).stderr


def test_a_folder_of_configs_may_be_named(hmr_light: Command, tmp_path: Path) -> None:
    write_own(tmp_path / "mine")
    for flag in (["--config-dir", str(tmp_path / "mine")], [f"--config-dir={tmp_path}/mine"]):
        assert "  width: 0.125\n" in hmr_light("train", "--cfg", "job", *flag, "backbone=narrow").stdout
    refused = hmr_light("train", "--config-dir", "nowhere", "backbone=narrow")
    assert refused.returncode == 2
    assert "there is no folder" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "now"),
    [
        (["prepare", "dataset=coco"], "source=coco"),
        (["prepare", "source=coco", "dataset.images=x"], "source.images=x"),
        (["train", "data=own"], "data=custom"),
        (["train", f"backbone=mobilenet_v2_{'seeds'}"], "backbone=mobilenet_v2_reference"),
        (["train", "experiment=hmr"], "'reference/hmr'"),
        (["benchmark", f"models=[shufflenet_v1_{'seeds'}]"], "'shufflenet_v1_reference'"),
        (["profile", f"backbones=[mobilenet_v3_{'seeds'}]"], "'mobilenet_v3_reference'"),
    ],
)
def test_a_name_of_an_earlier_version_is_refused_with_the_new_one(
    arguments: list[str], now: str, hmr_light: Command, home: Path
) -> None:
    result = hmr_light(*arguments)
    assert result.returncode == 2
    assert now in result.stderr
    assert list(home.iterdir()) == []


def test_a_choice_is_never_taken_for_a_folder_of_its_name(hmr_light: Command, tmp_path: Path) -> None:
    (tmp_path / "smpl").mkdir()
    (tmp_path / "embedded").mkdir()
    shown = hmr_light("doctor", "--cfg", "job", "body=smpl", cwd=tmp_path).stdout
    assert "/data/body_models\n" in shown
    assert "path: null" in hmr_light("doctor", "--cfg", "job", "body=embedded", cwd=tmp_path).stdout


def test_a_path_that_is_not_there_is_told_before_torch_is_imported(home: Path, tmp_path: Path) -> None:
    commands = [
        ["predict", "checkpoint=nope.pt", f"input={tmp_path}"],
        ["predict", "run=nope", f"input={tmp_path / 'nope'}"],
        ["evaluate", "checkpoint=nope.pt"],
        ["train", "init=nope.pt"],
        ["train", "resume=nope"],
        ["train", "data.root=nope"],
        ["evaluate", "run=nope"],
        ["evaluate", "run=outputs/nope"],
        ["benchmark", "models=[nope]"],
        ["profile", "backbones=[nope]"],
        ["train", "experiment=nope"],
        ["sync", "run_dir=nope"],
    ]
    code = (
        "import json, sys; from hmr_light.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    print(arguments, file=sys.stderr)\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: print(end.code, sorted({'torch', 'mlflow', 'cv2'} & sys.modules.keys()))"
    )
    arguments = [sys.executable, "-c", code, json.dumps(commands)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.stdout == len(commands) * "2 []\n", (done.stdout, done.stderr)
    for command, said in zip(commands, re.split(r"^\[.*\]\n", done.stderr, flags=re.MULTILINE)[1:], strict=True):
        assert "nope" in said, command


def test_the_configuration_that_is_shown_of_a_run_is_its_own(hmr_light: Command, home: Path) -> None:
    run_dir = home / "outputs" / "e" / "260101-000000-m"
    run_dir.mkdir(parents=True)
    write_run_config(run_dir, plain(compose("train", "trainer.epochs=7", "seed=5", "data.image_size=96")))
    whole = hmr_light("train", f"resume={run_dir}", "--cfg=job", "optimizer.learning_rate=0.25")
    assert whole.returncode == 0, whole.stderr
    for line in ("  epochs: 7\n", "seed: 5\n", "  image_size: 96\n", "  learning_rate: 0.25\n"):
        assert line in whole.stdout
    part = hmr_light("evaluate", f"run={run_dir}", "--cfg", "job", "-p", "data.image_size")
    assert part.stdout.strip() == "96", part.stderr
