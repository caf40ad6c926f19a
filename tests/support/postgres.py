"""A PostgreSQL server of the tests' own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import free_port


@contextlib.contextmanager
def open_postgres() -> Iterator[str]:
    """The URI of an empty database with a password; the test is skipped where there is no PostgreSQL."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'hmr-light[postgres]'")
    programs = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    found = [path for path in programs if (path / "initdb").is_file()]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # PostgreSQL will not run as root.
    user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
    # Not pytest's folder, which only its owner may enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="hmr-light-postgresql-"))
    try:
        if user:
            shutil.chown(folder, "nobody")
        (folder / "password").write_text("geheim")
        (folder / "password").chmod(0o644)
        data, port = folder / "data", free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(found[0].resolve() / program), *arguments]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]

        run("initdb", "-D", str(data), "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", str(folder / "password"))
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://mlflow:geheim@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
