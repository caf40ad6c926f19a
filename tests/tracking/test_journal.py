"""The journal keeps what it was told, whatever happens to its writer."""

from __future__ import annotations

import json
import math
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hmr_light.errors import UserError
from hmr_light.tracking.journal import FILE_NAME, Journal, is_written_to, numbers, read_journal

WRITER = """
import os, signal, sys
from pathlib import Path
from hmr_light.tracking.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    journal.append("metrics", step=number, values={"writer": sys.argv[3], "text": "x" * (number % 5000)})
os.kill(os.getpid(), signal.SIGKILL)
"""


def write_in_a_process(run_dir: Path, entries: int, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(run_dir), str(entries), name])


def test_every_entry_of_killed_writers_is_there_and_none_is_mixed(tmp_path: Path) -> None:
    writers = [write_in_a_process(tmp_path, 500, name) for name in "abc"]
    assert [writer.wait() for writer in writers] == [-signal.SIGKILL] * 3
    entries = [entry for entry, _ in read_journal(tmp_path)]
    assert len(entries) == 1500
    for name in "abc":
        steps = [entry["step"] for entry in entries if entry["values"]["writer"] == name]
        assert steps == list(range(500))
    assert not is_written_to(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_a_torn_line_costs_itself_alone(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    journal = Journal(tmp_path)
    for number in range(20):
        journal.append("tags", values={"name": "이름" * draw.randrange(30), "number": str(number)})
    journal.close()
    path = tmp_path / FILE_NAME
    data = path.read_bytes()
    last_line = data.rindex(b"\n", 0, -1) + 1
    path.write_bytes(data[: draw.randrange(last_line + 1, len(data))])
    torn = [entry["values"]["number"] for entry, _ in read_journal(tmp_path)]
    assert torn == [str(number) for number in range(19)], f"seed {seed}"

    journal = Journal(tmp_path)
    journal.append("tags", values={"number": "next"})
    journal.close()
    numbers_read = [entry["values"]["number"] for entry, _ in read_journal(tmp_path)]
    assert numbers_read == [*map(str, range(19)), "next"], f"seed {seed}"


def test_what_is_said_after_a_line_that_did_not_fit_is_not_lost_with_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("tags", values={"number": "first"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system writes up to the limit, as it does on a disk that becomes full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot write"):
            journal.append("tags", values={"number": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not journal.path.read_bytes().endswith(b"\n"), "part of the line is there"
    journal.append("status", status="FAILED", error="")
    journal.close()
    assert [entry["kind"] for entry, _ in read_journal(tmp_path)] == ["tags", "status"]


@pytest.mark.parametrize("seed", range(3))
def test_reading_can_go_on_behind_any_entry(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    journal = Journal(tmp_path)
    for number in range(30):
        journal.append("metrics", step=number, values=numbers({"loss": draw.random()}))
    journal.close()
    everything = list(read_journal(tmp_path))
    for position in range(30):
        assert list(read_journal(tmp_path, everything[position][1])) == everything[position + 1 :], f"seed {seed}"


def test_figures_that_are_not_finite_are_kept_in_strict_json(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("metrics", step=0, values=numbers({"a": math.nan, "b": -math.inf, "c": 0.1}))
    journal.close()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = json.loads((tmp_path / FILE_NAME).read_text(), parse_constant=refuse)
    values = {key: float(value) for key, value in line["values"].items()}
    assert math.isnan(values["a"])
    assert values["b"] == -math.inf
    assert values["c"] == 0.1


def test_a_writer_is_seen_while_it_lives(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert is_written_to(tmp_path)
    journal.close()
    assert not is_written_to(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    journal = Journal(tmp_path)
    with pytest.raises(UserError, match="No space left"):
        journal.append("tags", values={})


def test_a_folder_that_cannot_be_made_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        Journal(tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_letters_that_python_could_not_read_are_in_it_as_what_they_are(tmp_path: Path) -> None:
    """In a terminal without UTF-8 an argument's bytes come as surrogates, and so do names of files in Latin-1."""
    name = "모델".encode().decode("ascii", "surrogateescape")
    damaged = b"caf\xe9".decode("utf-8", "surrogateescape")
    journal = Journal(tmp_path)
    journal.append("run", name=name, place=damaged)
    journal.close()
    (entry,) = (entry for entry, _ in read_journal(tmp_path))
    assert (entry["name"], entry["place"]) == ("모델", "caf\N{REPLACEMENT CHARACTER}")
