"""`body=PATH`: a path where the group has choices."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmr_light.config.body_path import expand_body_path


def test_a_path_is_taken_where_a_choice_is_expected(tmp_path: Path) -> None:
    file = tmp_path / "it's mine.pkl"
    chosen = ["body=smpl", f'body.path="{file}"']
    assert expand_body_path("prepare", [f"body={file}"]) == [*chosen, "source=body"]
    assert expand_body_path("prepare", ["source=synthetic", f"body={file}"]) == ["source=synthetic", *chosen]
    assert expand_body_path("train", ["seed=1", f"body={file}"]) == ["seed=1", *chosen]
    for plain in (["body=smpl"], ["body=embedded", "seed=/a"], ["body.path=/a/b.pkl"]):
        assert expand_body_path("train", plain) == plain


def test_a_choice_is_never_a_path_and_a_folder_without_a_slash_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("smpl", "embedded", "mine"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for choice in ("smpl", "embedded"):
        assert expand_body_path("train", [f"body={choice}"]) == [f"body={choice}"]
    assert expand_body_path("train", ["body=mine"]) == ["body=smpl", f'body.path="{tmp_path}/mine"']
    assert expand_body_path("train", ["body=~/x.pkl"]) == ["body=smpl", f'body.path="{tmp_path}/user/x.pkl"']
    assert expand_body_path("train", ["body="]) == ["body="]
