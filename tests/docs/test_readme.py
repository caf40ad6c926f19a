"""The commands that the pages print are commands; those of the README run as printed, on a small set."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cli import compose
from support.figures import put

from hmr_light.cli import COMMANDS
from hmr_light.config.overrides import name_experiment, read_arguments
from hmr_light.config.schema import SCHEMAS
from hmr_light.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "data" / "README.md",
]

# What makes each command small; `ui` would not end.
SMALL = {
    "prepare": ["source.counts={train: 32, val: 8, test: 8, test_ood: 0}", "source.size=96", "source.workers=1"],
    "train": [
        "data.image_size=64",
        "data.workers=0",
        "trainer.device=cpu",
        "trainer.threads=1",
        "trainer.epochs=1",
        "trainer.batch_size=16",
    ],
    "compress": ["calibration.images=8", "trainer.device=cpu", "trainer.threads=1"],
    "evaluate": ["data.workers=0", "threads=1", "device=cpu"],
    "predict": ["threads=1", "device=cpu", "picture_size=100"],
    "benchmark": ["rounds=2", "warmup=0", "image_size=64", "device=cpu"],
    "profile": ["backbones=[squeezenet1_1]", "image_size=64"],
    "ui": ["--cfg", "job"],
}


def printed_commands(page: Path) -> list[list[str]]:
    """The arguments of every `hmr-light COMMAND …` of a page, in blocks of code and in the text."""
    text = re.sub(r"\\\n\s*", "", page.read_text())
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(hmr-light [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [shlex.split(" ".join(one.split())) for one in [*lines, *inline] if one.startswith("hmr-light ")]
    return [one[1:] for one in found if one[1] in COMMANDS and not {"…", "-m"} & set(one)]


# Options of the recipes in CONTRIBUTING.md, which are there once their files are written.
OF_RECIPES = ("plain", "bones", "NAME")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_printed_command_is_one(page: Path, home: Path) -> None:
    for command, *options in printed_commands(page):
        if any(word in option for option in options for word in OF_RECIPES):
            continue
        arguments = [one.replace("…", "X") for one in options if not one.startswith("--") and one != "job"]
        # A file or a folder as the body, which the command line takes for a path.
        arguments = [re.sub(r"^body=(?=.*(?:FOLDER|\.pkl)$)", "body.path=", one) for one in arguments]
        overrides = read_arguments(SCHEMAS[command], name_experiment(command, arguments))
        # In the text a command may be named without the option that says what it works on.
        with contextlib.suppress(UserError) if len(options) < 2 else contextlib.nullcontext():
            compose(command, *overrides)


def run_block(block: str, tmp_path: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of commands by bash as printed, in `home`, where every `hmr-light` gets the options of `SMALL`."""
    cases = "\n".join(f"{name}) small=({shlex.join(options)});;" for name, options in SMALL.items())
    wrapper = tmp_path / "bin" / "hmr-light"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(
        f'#!/bin/bash\nsmall=()\ncase $1 in\n{cases}\nesac\nexec {sys.executable} -m hmr_light "$@" "${{small[@]}}"\n'
    )
    wrapper.chmod(0o755)
    environment = {**os.environ, "HMR_LIGHT_HOME": str(home), "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", block],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def photographs(home: Path, *names: str) -> None:
    (home / "photographs").mkdir()
    for name in names:
        image = np.full((400, 500, 3), np.random.default_rng().integers(100, 200, 3), np.uint8)
        put(image, (100, 50), 300)
        cv2.imwrite(str(home / "photographs" / name), image[..., ::-1])


@pytest.mark.slow
def test_the_readmes_commands_run_as_printed(tmp_path: Path, home: Path) -> None:
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (one for one in blocks if "RUN=" in one)
    photographs(home, "a.jpg")
    (home / "data").mkdir()
    shutil.copy(ROOT / "data" / "camera.png", home / "data")
    (home / ".venv" / "bin").mkdir(parents=True)
    (home / ".venv" / "bin" / "activate").write_text("")
    done = run_block(block, tmp_path, home)
    lines = [line for line in block.splitlines() if line.startswith("hmr-light ")]
    assert done.stderr.count("\n+ hmr-light ") >= len(lines) >= 10
    rows = [line for line in done.stdout.splitlines() if "(1)" in line or "(0)" in line]
    assert any("mobilenet_v2" in row for row in rows), done.stdout
    for name in ("camera", "a"):
        assert list(home.glob(f"outputs/predictions/*/{name}.png"))
