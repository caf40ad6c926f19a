"""Addresses of stores: what is accepted, and that no secret of theirs is shown."""

from __future__ import annotations

import os
import random
import string
from pathlib import Path
from urllib.parse import quote

import pytest

from hmr_light.config.hints import tracking_options
from hmr_light.errors import UserError
from hmr_light.paths import without_secret
from hmr_light.tracking.store import connect, normal_uri, safe_text, sqlite_path


def test_a_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normal_uri("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"
    assert normal_uri(f"sqlite:///{tmp_path}/a b/runs.db") == f"sqlite:///{tmp_path}/a b/runs.db"
    assert sqlite_path("sqlite:////data/runs.db") == Path("/data/runs.db")


@pytest.mark.parametrize("own", [None, "http://localhost:5000"])
def test_a_connection_leaves_the_users_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    """A printed command that says `tracking=server` needs the variable in the user's shell."""
    if own is None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
    uri = f"sqlite:///{tmp_path}/runs.db"
    connect(uri, create=True)
    assert os.environ.get("MLFLOW_TRACKING_URI") == own
    assert tracking_options(uri, "hmr_light") == {"tracking.uri": uri}


@pytest.mark.parametrize("uri", ["", "runs", "/data/mlruns", "file:///data/mlruns", "ftp://host", "sqlite:///"])
def test_what_is_no_store_is_refused_with_an_example(uri: str) -> None:
    with pytest.raises(UserError, match="sqlite:////absolute"):
        normal_uri(uri)


@pytest.mark.parametrize("seed", range(20))
def test_no_part_of_a_secret_is_shown(seed: int) -> None:
    draw = random.Random(seed)
    password = "".join(draw.choices(string.ascii_letters + string.digits + "@:/?#%&+= ", k=16))
    for scheme in ("http", "https", "postgresql", "mysql+pymysql"):
        uri = f"{scheme}://someone:{quote(password, safe='')}@host:5000/path?token=abc123"
        assert without_secret(uri) == f"{scheme}://host:5000/path", f"seed {seed}"
        shown = safe_text(f"cannot open {uri} with {password}", uri)
        for secret in (password, quote(password, safe=""), "someone", "abc123"):
            assert secret not in shown, f"seed {seed}"
        assert "cannot open" in shown


@pytest.mark.parametrize("seed", range(50))
def test_no_part_of_a_careless_secret_is_shown_either(seed: int) -> None:
    draw = random.Random(seed)
    # Words, so that they are found wherever an address is cut; between them, what addresses are cut at.
    words = ["".join(draw.choices(string.ascii_lowercase, k=8)) for _ in range(3)]
    password = words[0] + draw.choice("@:/?#%[]&=") + words[1] + draw.choice(["", "@", "?a=@", "#", "//"]) + words[2]
    for uri in (f"http://someone:{password}@host:5000/", f"someone:{password}@host", f"ftp://someone:{password}@host"):
        shown = without_secret(uri)
        try:
            normal_uri(uri)
        except UserError as error:
            shown += str(error)
        shown += safe_text(f"cannot open {uri}", uri)
        for word in words:
            assert word not in shown, f"seed {seed}: {uri}"


def test_a_missing_store_is_told_before_mlflow_is_imported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no tracking store at"):
        connect(f"sqlite:///{tmp_path}/none.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(UserError, match="cannot be used"):
        connect(f"sqlite:///{path}", create=False)
    assert path.read_bytes() == b"this is not a database" * 100
