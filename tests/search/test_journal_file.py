"""The file of a study, cut off anywhere, is whole again with the next line; nothing that was written is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hmr_light.errors import UserError
from hmr_light.search.journal_file import JournalFile


def test_a_file_that_was_cut_off_anywhere_keeps_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    writer, reader = JournalFile(path), JournalFile(path)
    logs = [{"number": number, "text": "ä" * random.randint(0, 40)} for number in range(12)]
    writer.append_logs(logs[:5])
    for one in logs[5:]:
        writer.append_logs([one])
    assert [*reader.read_logs(0)] == logs
    assert [*reader.read_logs(9)] == logs[9:]
    content = path.read_bytes()
    for _ in range(20):
        cut = random.randint(0, len(content))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        assert [*JournalFile(path).read_logs(0)] == logs[:whole]
        early = JournalFile(path)
        list(early.read_logs(0))
        JournalFile(path).append_logs([{"number": -1}])
        assert [*early.read_logs(0)] == [*logs[:whole], {"number": -1}]
        assert [*early.read_logs(whole)] == [{"number": -1}]
        assert [*JournalFile(path).read_logs(whole)] == [{"number": -1}]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    JournalFile(path).append_logs([{"number": 0}, {"number": 1}, {"number": 2}])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 9 + b"\n" + lines[2])
    with pytest.raises(UserError, match=r"study.jsonl, line 2, is damaged"):
        list(JournalFile(path).read_logs(0))
