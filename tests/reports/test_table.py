"""The table's text: the reference shape, the right marks, every format read back by an independent reader."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import random
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console
from support.rows import row

from hmr_light.reports.layout import HEADERS, lay_out
from hmr_light.reports.rows import Row
from hmr_light.reports.table import write_table
from hmr_light.reports.terminal import show_table

FORMATS = ("markdown", "csv", "json", "latex", "html")
NASTY = [
    "a|b",
    "a\\|b",
    "*a*",
    "_a_",
    "a_b_c",
    "<script>alert(1)</script>",
    "\"q\" & 'q'",
    "50 % #1 $x$ {y} ~z^",
    "a`b",
    "모델",
]


def random_rows(seed: int) -> list[Row]:
    draw = random.Random(seed)

    def maybe(value: float) -> float | None:
        return None if draw.random() < 0.1 else value

    return [
        row(
            draw.choice(NASTY),
            draw.randrange(1, 30),
            draw.choice([0, 5255517, 5901189]),
            mpjpe_mm=maybe(draw.uniform(50, 60)),
            reconstruction_error_mm=maybe(draw.uniform(30, 40)),
            inference_time_s=maybe(draw.uniform(0.01, 0.02)),
        )
        for _ in range(draw.randrange(1, 12))
    ]


def test_markdown_has_the_shape_of_the_original_table() -> None:
    figures = [
        ("hmr", 12, 26977501, "(12)210808-064723", 315.0, 172.0, 0.07067),
        ("squeezenet_100_2", 25, 5255517, "(25)210816-113147", 237.0, 159.04, 0.02919),
        ("squeezenet_100_2", 14, 5255517, "(14)210816-012615", 235.0, 157.0, 0.0336),
        ("mean_pose", 0, 0, "(0)210801-000000", 230.0, 150.0, 0.0001),
    ]
    rows = [
        row(*first, pt=pt, mpjpe_mm=mpjpe, reconstruction_error_mm=reconstruction, inference_time_s=time)
        for *first, pt, mpjpe, reconstruction, time in figures
    ]
    assert write_table(rows, "markdown").splitlines()[:6] == [
        "|model|pt|#parameters|MPJPE|ReconstructionError|InferenceTime|",
        "|:---:|:---:|:---:|:---:|:---:|:---:|",
        "|hmr|(12)210808-064723|26,977,501|315.0|172.0|0.07067|",
        "|squeezenet_100_2|(25)210816-113147|**5,255,517**|237.0|159.0|**0.02919**|",
        "|>>>squeezenet_100_2<<<|(14)210816-012615|**5,255,517**|**235.0**|**157.0**|0.03360|",
        "|mean_pose|(0)210801-000000|0|230.0|150.0|0.00010|",
    ]


@pytest.mark.parametrize("seed", range(30))
def test_the_marks_are_those_of_a_plain_search(seed: int) -> None:
    rows = random_rows(seed)
    table = lay_out(rows)
    trained = [each for each in rows if each.parameters != 0]
    for column, name, digits in ((2, "parameters", 0), (3, "mpjpe_mm", 1), (4, "reconstruction_error_mm", 1)):
        values = [getattr(each, name) for each in trained if getattr(each, name) is not None]
        for each, cells in zip(rows, table.rows, strict=True):
            value = getattr(each, name)
            best = (
                bool(values)
                and value is not None
                and each in trained
                and f"{value:.{digits}f}" == f"{min(values):.{digits}f}"
            )
            assert cells[column].is_best == best, f"seed {seed}"
    errors = [each.mpjpe_mm for each in trained if each.mpjpe_mm is not None]
    marked = [index for index, cells in enumerate(table.rows) if cells[0].text.startswith(">>>")]
    assert marked == ([] if table.winner is None else [table.winner])
    if errors:
        assert table.winner is not None
        assert rows[table.winner].mpjpe_mm == min(errors), f"seed {seed}"
        assert rows[table.winner].parameters != 0, f"seed {seed}"
    else:
        assert table.winner is None


def markdown_cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in [lines[0], *lines[2:]]]
    inner = [[re.sub(r"^\*\*(.*)\*\*$", r"\1", cell) for cell in row] for row in cells]
    return [[re.sub(r"\\(.)|&#92;", lambda match: match[1] or "\\", cell) for cell in row] for row in inner]


class TableReader(HTMLParser):
    """The texts of the cells of each table of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []
        for name, value in attrs:
            assert name not in ("src", "href"), f"{value} is not in the page itself"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_format_can_be_read_back(seed: int, language: str) -> None:
    rows = random_rows(seed)
    table = lay_out(rows, language)
    texts = [list(HEADERS[language]), *([cell.text for cell in cells] for cells in table.rows)]

    assert markdown_cells(write_table(rows, "markdown", language)) == texts, f"seed {seed}"

    reader = TableReader()
    reader.feed(write_table(rows, "html", language))
    assert reader.tables[0] == texts, f"seed {seed}"

    read = list(csv.reader(io.StringIO(write_table(rows, "csv", language))))
    assert read[0][:6] == list(HEADERS[language])
    for each, line in zip(rows, read[1:], strict=True):
        cells = dict(zip(read[0], line, strict=True))
        assert line[:2] == [each.model, each.pt]
        assert line[3] == ("" if each.mpjpe_mm is None else repr(each.mpjpe_mm)), "all digits"
        assert cells["git_commit"] == each.git_commit
        assert cells["sha256"] == each.sha256

    value = json.loads(write_table(rows, "json", language))
    assert value["headers"] == list(HEADERS[language])
    for index, (each, listed) in enumerate(zip(rows, value["rows"], strict=True)):
        assert listed.pop("winner") == (index == table.winner)
        assert Row(**listed) == each


UNESCAPED = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", "--": "–",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_latex_has_every_cell_and_no_bare_special_letter(seed: int) -> None:
    rows = random_rows(seed)
    text = write_table(rows, "latex")
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
    commands = "|".join(re.escape(command) for command in UNESCAPED)
    for cells, line in zip(lay_out(rows).rows, lines[1:], strict=True):
        parts = re.split(r" (?<!\\)& ", line)
        assert len(parts) == 6, f"seed {seed}: {line}"
        for cell, part in zip(cells, parts, strict=True):
            inner = re.sub(r"^\\textbf\{(.*)\}$", r"\1", part)
            assert (inner != part) == cell.is_best
            plain = re.sub(rf"{commands}|\\([&%$#_{{}}])", lambda m: m[1] or UNESCAPED[m[0]], inner)
            assert plain == cell.text, f"seed {seed}"


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_rows_give_the_same_bytes(format: str) -> None:
    for seed in range(5):
        texts = {write_table(random_rows(seed), format, language) for _ in range(3) for language in ("ko",)}
        assert len(texts) == 1
        assert next(iter(texts)).endswith("\n")


def test_notes_say_what_makes_rows_hard_to_compare() -> None:
    same = [row(), row(epoch=2)]
    assert len(lay_out(same).notes) == 1
    assert "on val (3dpw-j14)" in lay_out(same).notes[0]
    mixed = [row(), row(device="another processor"), row(data_fingerprint="other")]
    notes = "\n".join(lay_out(mixed).notes)
    assert "differ in device: cpu, another processor" in notes
    assert "differ in data" in notes
    assert "protocol:" not in notes
    assert "장치" in "\n".join(lay_out(mixed, "ko").notes)


@pytest.mark.parametrize("seed", range(10))
def test_a_terminal_of_80_columns_shows_every_figure_whole(seed: int) -> None:
    rows = [dataclasses.replace(each, model="squeezenet_100_2") for each in random_rows(seed)]
    console = Console(width=80, file=io.StringIO(), color_system=None)
    show_table(rows, "en", console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    for cells in lay_out(rows).rows:
        assert any(line.split() == [cell.text for cell in cells] for line in lines), f"seed {seed}"
