"""`doctor` names what is there and what is missing with its remedy, and survives what is damaged."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.cli import compose

from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.commands import doctor
from hmr_light.errors import UserError


@pytest.fixture
def report(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What `hmr-light doctor OVERRIDES…` prints, its folded lines joined."""
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))

    def run(*overrides: str) -> str:
        doctor.run(compose("doctor", *overrides))
        return re.sub(r"\n? {6,}| +", " ", capsys.readouterr().out)

    return run


def test_an_empty_home_is_healthy_and_every_missing_thing_has_a_remedy(report) -> None:
    text = report()
    assert f"torch {importlib.metadata.version('torch')}" in text
    assert "neutral, 6890 vertices, 13776 faces, 10 betas" in text
    assert re.search(r"sha256 [0-9a-f]{16}, fingerprint [0-9a-f]{16}", text)
    assert "hmr-light prepare body=FILE" in text
    assert re.search(r"– data=synthetic no .*hmr-light prepare source=synthetic", text)
    assert re.search(r"data=mpi_inf_3dhp_test no .*source=mpi_inf_3dhp source\.split=test", text)
    assert re.search(r"data=3dpw no .*source=3dpw source\.split=train", text)
    assert re.search(r"data=h36m_p2 no .*source=h36m source\.protocol=2", text)
    assert "made by the first run" in text
    assert "GB free" in text
    assert "✗" not in text
    assert "next: hmr-light prepare source=synthetic" in text


def test_a_home_that_is_not_there_yet_is_healthy(report, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(home / "new" / "place"))
    text = report()
    assert "✗" not in text
    assert f"GB free for {home / 'new' / 'place'}" in text


def test_what_is_there_is_found_and_a_damaged_file_does_not_stop_the_rest(report, home: Path) -> None:
    bodies, data = home / "data" / "body_models", home / "data" / "synthetic"
    bodies.mkdir(parents=True)
    data.mkdir()
    shutil.copyfile(EMBEDDED_BODY, bodies / "SMPL_FEMALE.npz")
    (bodies / "SMPL_NEUTRAL.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for split, count in (("train", 7), ("val", 3)):
        np.savez(data / f"{split}.npz", center=np.zeros((count, 2)), scale=np.ones(count))
    (data / "test.npz").write_bytes(b"damaged")
    file = home / "torch" / "hub" / "checkpoints" / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    text = report("tracking=journal")
    assert "SMPL_FEMALE.npz" in text
    assert "female, 6890 vertices" in text
    assert "asks for os.system" in text
    assert f"{data / 'train.npz'}: 7 people" in text
    assert f"{data / 'val.npz'}: 3 people" in text
    assert "detector ssdlite320_mobilenet_v3_large" in text
    assert "kept in their journals alone" in text
    assert "next: hmr-light train" in text


def test_a_chosen_body_is_looked_at_with_the_regressors_that_are_given_for_it(report, tmp_path: Path) -> None:
    with np.load(EMBEDDED_BODY) as content:
        arrays = dict(content)
    for key in ("J_regressor_extra", "J_regressor_h36m"):
        np.save(tmp_path / f"{key}_elsewhere.npy", arrays.pop(key))
    np.savez(tmp_path / "SMPL_MALE.npz", **arrays)
    chosen = ["body=smpl", f"body.path={tmp_path / 'SMPL_MALE.npz'}"]
    assert "there is no joint regressor" in report(*chosen)
    given = {"extra": "J_regressor_extra", "h36m": "J_regressor_h36m"}
    text = report(*chosen, *(f"body.{key}_regressor={tmp_path / name}_elsewhere.npy" for key, name in given.items()))
    assert "there is no joint regressor" not in text
    assert "male, 6890 vertices, 13776 faces, 10 betas" in text


def test_a_store_that_does_not_answer_is_said_without_its_password(report) -> None:
    text = report("tracking=server", "tracking.uri=http://user:secret@127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer" in text
    assert "secret" not in text


def test_a_missing_package_and_a_broken_section_are_errors_after_the_whole_report(
    report, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["no-such-package>=1", 'neither>=2; extra == "x"'])
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: 1 / 0)
    with pytest.raises(UserError, match=r"broken: system, no-such-package"):
        report()
    text = re.sub(r"\n? {6,}| +", " ", capsys.readouterr().out)
    assert "✗ system ZeroDivisionError" in text
    assert "– neither optional pip install 'neither>=2'" in text
    assert "embedded" in text
    assert "store" in text


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_no_word_path_or_command_is_cut_in_a_narrow_terminal(
    width: int, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = "a_path/" * 8 + "end and some words [of it]"
    findings = [doctor.Finding("data=mpi_inf_3dhp_test", found, remedy="hmr-light prepare source=mpi_inf_3dhp a=b c=d")]
    findings += [doctor.Finding("store", "short", remedy="Some words that are long enough to be folded once or twice.")]
    monkeypatch.setattr(doctor, "_safely", lambda title, look: findings)
    doctor.run(compose("doctor"))
    printed = capsys.readouterr().out
    assert findings[0].remedy in printed, "a command is copied from one line"
    words = printed.split()
    for finding in findings:
        assert set(f"{finding.subject} {finding.found} {finding.remedy}".split()) <= set(words)
