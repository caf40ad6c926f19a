"""The revision of a store's tables: which version of MLflow can use it, found without importing MLflow."""

from __future__ import annotations

import contextlib
import re
import shlex
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from hmr_light.errors import UserError
from hmr_light.paths import without_secret

REVISIONS = ("dc11669786a5",)
"""Of the tables that `tracking.sqlite` reads, as MLflow's migrations name them: 3.17."""


def revision_of(database: sqlite3.Connection) -> str:
    """The revision of the tables of an open store. Raises `sqlite3.Error` where it has none."""
    (row,) = database.execute("SELECT version_num FROM alembic_version").fetchall() or [("",)]
    return str(row[0])


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection to a SQLite file that cannot change it."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)


def find_problem(path: Path, uri: str) -> UserError | None:
    """What is wrong with the tables of the SQLite store `path` for the MLflow that is installed; None if nothing is."""
    with contextlib.suppress(sqlite3.Error, ValueError), contextlib.closing(open_read_only(path)) as database:
        revision = revision_of(database)
        if revision and revision not in REVISIONS and revision != _newest():
            return other_version(revision, uri)
    return None


def other_version(revision: str, uri: str) -> UserError:
    """The error for a store at `uri` whose tables have a revision that the installed MLflow does not work with."""
    where = f"the tracking store {without_secret(uri)}"
    if revision in _known():
        return UserError(
            f"{where} was made by an older version of MLflow (its tables have the revision {revision})",
            f"Copy it, then bring it up to date: python -m mlflow db upgrade {shlex.quote(without_secret(uri))}",
        )
    return UserError(
        f"{where} was made by a newer version of MLflow (its tables have the revision {revision})",
        "Install that version: pip install --upgrade mlflow",
    )


def _known() -> dict[str, str]:
    """The revisions that the installed MLflow knows, and the one before each."""
    found: dict[str, str] = {}
    spec = find_spec("mlflow")
    for place in (spec and spec.submodule_search_locations) or []:
        for file in Path(place, "store", "db_migrations", "versions").glob("*.py"):
            text = file.read_text(encoding="utf-8")
            revision = re.search(r"^revision(?:: str)? = ['\"](\w+)", text, re.MULTILINE)
            before = re.search(r"^down_revision(?:: .*?)? = ['\"](\w+)", text, re.MULTILINE)
            if revision:
                found[revision[1]] = before[1] if before else ""
    return found


def _newest() -> str:
    known = _known()
    return next(iter(known.keys() - set(known.values())), "")
