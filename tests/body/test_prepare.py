"""Any SMPL file that users have becomes one clean npz, which is the same body and needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.bodies import smpl_arrays, write_official_pickle, write_regressors
from support.cli import Command

from hmr_light.body.files import find_body, gender_of, read_body
from hmr_light.body.prepare import prepare_bodies
from hmr_light.body.smpl import fingerprint
from hmr_light.errors import UserError

pytestmark = pytest.mark.usefixtures("home")

OFFICIAL = {
    "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl": "neutral",
    "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl": "neutral",
    "basicModel_f_lbs_10_207_0_v1.0.0.pkl": "female",
    "basicmodel_m_lbs_10_207_0_v1.0.0.pkl": "male",
    "basicmodel_m_lbs_10_207_0_v1.1.0.pkl": "male",
    "SMPL_NEUTRAL.pkl": "neutral",
    "SMPL_MALE.npz": "male",
    "SMPL_FEMALE.pkl": "female",
}


def write(path: Path, seed: int, betas: int = 10) -> None:
    write_regressors(path.parent, 0)
    if path.suffix == ".npz":
        np.savez(path, **smpl_arrays(seed, betas))
    else:
        write_official_pickle(path, smpl_arrays(seed, betas), 2, "scipy_dot_sparse_dot_csc")


@pytest.mark.parametrize(("name", "gender"), OFFICIAL.items())
def test_official_names_say_whose_body_it_is(tmp_path: Path, name: str, gender: str) -> None:
    write(tmp_path / name, seed=1)
    assert gender_of(tmp_path / name) == gender
    assert find_body(tmp_path, gender) == tmp_path / name


def test_of_several_files_the_clean_one_then_the_newest_is_taken(tmp_path: Path) -> None:
    names = [name for name, gender in OFFICIAL.items() if gender == "neutral"]
    for seed, name in enumerate(names):
        write(tmp_path / name, seed)
        assert find_body(tmp_path).name == name
    write(tmp_path / "SMPL_NEUTRAL.npz", 5)
    assert find_body(tmp_path).name == "SMPL_NEUTRAL.npz"
    with pytest.raises(UserError, match=r"holds no female SMPL body, only neutral"):
        find_body(tmp_path, "female")


def test_a_folder_of_official_files_becomes_clean_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "downloads", tmp_path / "bodies"
    source.mkdir()
    for seed, name in enumerate(["basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "basicmodel_f_lbs_10_207_0_v1.1.0.pkl"]):
        write(source / name, seed, betas=300)
    written = prepare_bodies(source, out)
    assert [file.name for file in written] == ["SMPL_NEUTRAL.npz", "SMPL_FEMALE.npz"]
    assert sorted(out.iterdir()) == sorted(written)
    assert "neutral, 40 vertices, 30 faces, 10 betas" in capsys.readouterr().out
    for seed, file in enumerate(written):
        # The regressors are inside: the clean file stands alone.
        assert fingerprint(read_body(file)) == fingerprint(
            read_body(source / f"basicmodel_{'nf'[seed] if seed else 'neutral'}_lbs_10_207_0_v1.1.0.pkl")
        )
        with np.load(file, allow_pickle=False) as content:
            assert str(content["gender"]) == ("neutral", "female")[seed]
            np.testing.assert_allclose(content["shapedirs"], smpl_arrays(seed, 300)["shapedirs"][:, :, :10], rtol=1e-6)
    assert prepare_bodies(source, out) == written, "the same again changes nothing"


def test_the_official_archive_may_stay_as_it_unpacks(tmp_path: Path) -> None:
    models = tmp_path / "SMPL_python_v.1.1.0" / "smpl" / "models"
    models.mkdir(parents=True)
    for seed, letter in enumerate(("f", "m", "neutral")):
        write(models / f"basicmodel_{letter}_lbs_10_207_0_v1.1.0.pkl", seed)
    for given in (tmp_path, tmp_path / "SMPL_python_v.1.1.0", models):
        assert find_body(given) == models / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"
    written = prepare_bodies(tmp_path / "SMPL_python_v.1.1.0", tmp_path / "out")
    assert {file.name for file in written} == {"SMPL_NEUTRAL.npz", "SMPL_MALE.npz", "SMPL_FEMALE.npz"}
    write(tmp_path / "SMPL_MALE.pkl", 7)
    assert find_body(tmp_path, "male") == tmp_path / "SMPL_MALE.pkl", "what lies in the folder itself comes first"


def test_what_a_file_is_comes_before_whose_body_it_is(tmp_path: Path) -> None:
    (tmp_path / "download").write_text("<html>Please log in</html>")
    with pytest.raises(UserError, match="is a web page"):
        prepare_bodies(tmp_path / "download", tmp_path / "out")


def test_another_body_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "mine.npz", 1)
    with pytest.raises(UserError, match="does not say whose body"):
        prepare_bodies(tmp_path / "mine.npz", tmp_path / "out")
    (first,) = prepare_bodies(tmp_path / "mine.npz", tmp_path / "out", gender="male")
    content = first.read_bytes()
    write(tmp_path / "mine.npz", 2)
    with pytest.raises(UserError, match=r"SMPL_MALE\.npz is there already, and is another body"):
        prepare_bodies(tmp_path / "mine.npz", tmp_path / "out", gender="male")
    assert first.read_bytes() == content


def test_nothing_is_written_for_a_faulty_body(tmp_path: Path) -> None:
    write(tmp_path / "SMPL_NEUTRAL.pkl", 1)
    (tmp_path / "SMPL_FEMALE.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match=r"SMPL_FEMALE\.pkl asks for os\.system"):
        prepare_bodies(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_makes_the_file_that_the_choice_smpl_finds(hmr_light: Command, home: Path) -> None:
    write(home / "it's = mine, SMPL_NEUTRAL.pkl", 3)
    result = hmr_light("prepare", "body=./it's = mine, SMPL_NEUTRAL.pkl", "source.gender=neutral")
    assert result.returncode == 0, result.stderr
    clean = home / "data" / "body_models" / "SMPL_NEUTRAL.npz"
    assert str(clean) in result.stdout
    assert "next: hmr-light train" in result.stderr
    assert find_body(clean.parent) == clean
