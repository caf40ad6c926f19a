from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hmr_light.errors import UserError
from hmr_light.paths import atomic_folder, atomic_write, home, is_there, where_now, without_secret


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"

    def write(*, whole: bool) -> None:
        with atomic_folder(target) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / "file.txt").write_text("text")
            if not whole:
                assert not target.exists()
                raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write(whole=False)
    assert list((tmp_path / "new").iterdir()) == []
    write(whole=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    with pytest.raises(UserError, match="cannot write"):
        write(whole=True)  # nothing is overwritten
    assert (target / "inner" / "file.txt").read_text() == "text"
    assert list((tmp_path / "new").iterdir()) == [target]


def test_a_write_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    for text in ("first", "second"):
        with atomic_write(target) as temporary:
            temporary.write_text(text)
        assert target.read_text() == text
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), atomic_write(tmp_path / "file" / "below" / "x"):
        pass


def test_the_home_is_the_folder_that_the_variable_names_whatever_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    for value, folder in (
        ("~/hh", tmp_path / "user" / "hh"),
        ("~", tmp_path / "user"),
        ("relative/x", tmp_path / "relative" / "x"),
        ("..", tmp_path.parent),
        (f" {tmp_path}/blanks ", tmp_path / "blanks"),
    ):
        monkeypatch.setenv("HMR_LIGHT_HOME", value)
        assert home() == folder
    monkeypatch.delenv("HMR_LIGHT_HOME")
    without = home()
    assert without.is_absolute()
    for empty in ("", "  "):
        monkeypatch.setenv("HMR_LIGHT_HOME", empty)
        assert home() == without


def test_a_home_that_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for value in (str(tmp_path / "file"), "~nobody_of_that_name/x", str(tmp_path / "loop")):
        monkeypatch.setenv("HMR_LIGHT_HOME", value)
        with pytest.raises(UserError, match="HMR_LIGHT_HOME=") as caught:
            home()
        assert caught.value.remedy


def test_what_the_system_refuses_is_not_there(tmp_path: Path) -> None:
    assert is_there(tmp_path)
    for name in ("none", "x" * 300, "null\0byte"):
        assert not is_there(tmp_path / name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql://u:p@w/secret@host/db", "postgresql://host/db"),
        ("http://host/x?token=secret", "http://host/x"),
        ("user:secret@host", "host"),
        ("sqlite:////a/b@c?d.db", "sqlite:////a/b@c?d.db"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address: str, shown: str) -> None:
    assert without_secret(address) == shown


def test_a_place_in_a_home_that_was_moved_is_found_by_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path))
    here = tmp_path / "outputs" / "a" / "x.pt"
    here.parent.mkdir(parents=True)
    here.touch()
    (tmp_path / "x.pt").touch()
    assert where_now("/nowhere/project/outputs/a/x.pt") == here
    assert where_now(str(here)) == here
    for lost in ("/nowhere/outputs/b/x.pt", "/nowhere/x.pt"):
        assert where_now(lost) == Path(lost), "a name alone says nothing"
