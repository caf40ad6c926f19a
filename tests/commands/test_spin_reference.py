"""SPIN's files, written and scored by a program that shares no code with this one, give the same figures here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import compose

from hmr_light.commands.evaluate import run as evaluate
from hmr_light.commands.prepare import run as prepare

PROGRAM = Path(__file__).parents[1] / "support" / "spin_reference.py"


@pytest.mark.slow
def test_spins_files_give_the_figures_of_an_independent_program(tmp_path: Path, home: Path) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    said = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, str(seed)], capture_output=True, text=True, check=True, timeout=900
    )
    expected: dict[str, dict[str, float]] = json.loads(said.stdout)
    paths = {"annotations": "people.npz", "images": ".", "out": "converted.npz"}
    prepare(compose("prepare", "source=spin_npz", *(f"source.{key}={tmp_path / name}" for key, name in paths.items())))
    assert set(expected) == {"lsp14", "3dpw", "h36m_p1", "h36m_p2", "mpi_inf_3dhp"}
    for protocol, figures in expected.items():
        (found,) = evaluate(compose("evaluate", *options(tmp_path, protocol)))
        place = "spin" if protocol == "lsp14" else f"spin:{protocol}"
        differences = {}
        for name, value in figures.items():
            if name != "people":
                differences[name] = abs(found.pop(f"{place}/{name}") - value)
        print(protocol, {name: f"{value:.1e}" for name, value in differences.items()}, figures)
        assert all(value < 1e-3 for value in differences.values()), (protocol, seed, differences)
        # What is left is the mean pose's: nothing is scored that the independent program does not know.
        assert all(name.startswith(f"{place}/mean_pose_") for name in found)
    assert (expected["mpi_inf_3dhp"]["people"], expected["mpi_inf_3dhp"]["dropped"]) == (5, 1)


def options(folder: Path, protocol: str) -> list[Any]:
    where = {"annotations": folder / "converted.npz", "images": folder}
    bodies = [f"protocol.{gender}={folder}" for gender in ("male", "female") if protocol == "3dpw"]
    return [
        f"checkpoint={folder}/model_checkpoint.pt", f"protocol={protocol}", *bodies, "body=smpl", f"body.path={folder}",
        "data=synthetic_test", "~data.evaluation.synthetic_test",
        *(f"+data.evaluation.spin.{key}={value}" for key, value in where.items()),
        "data.workers=0", "device=cpu", "threads=1", "tracking=journal",
    ]  # fmt: skip
