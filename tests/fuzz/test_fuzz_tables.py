"""Names are the users': whatever they hold, no format of the table obeys them, and readers of each find them again."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from support.untrusted_files import CASES, fuzz

from hmr_light.reports.cells import printable
from hmr_light.reports.columns import USUAL
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import FIELDS, Row
from hmr_light.reports.tabular import write
from hmr_light.reports.terminal import show_table
from hmr_light.training.run_directory import file_name

MARKS = r"""|*_`[]()<>&#!~\$%^{}"'=+-@:;/ """ + "\t\n\r\0\x1b\x9b\u200b\u202e\ud800–模가"
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "![a](http://host/a.png)",
    "=cmd|' /C calc'!A0",
    '@SUM(1)"\n"=1+1',
    "&lt;b&gt; &#60;",
    "</td></table>",
    '"><b x="',
    "\\input{/etc/passwd}",
    "$$\\write18{ls}$$",
    "\x1b]0;title\x07\x1b[2J",
    "a\\|b",
    "\\",
    "<!-- ",
    "../../etc",
    "http://host/",
    "%\n\\end{tabular}",
]
NAMES = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(st.sampled_from(MARKS) | st.characters(exclude_categories=[]), max_size=20),
    st.lists(st.sampled_from([*ATTACKS, *MARKS]), max_size=4).map("".join),
)
FIGURES = st.floats(0, 1e9) | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 10**9)
TEXTS = [field.name for field in dataclasses.fields(Row) if field.type == "str"]
ERRORS = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm", "inference_time_s")


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    """One to three rows whose texts are a few nasty ones, each in several places."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4))
    return [
        Row(
            **{name: names[(at + start) % len(names)] for at, name in enumerate(TEXTS)},
            epoch=start,
            runs=draw(st.integers(1, 3)),
            figures=draw(st.fixed_dictionaries({}, optional=dict.fromkeys(ERRORS, FIGURES) | {"parameters": COUNTS})),
        )
        for start in range(draw(st.integers(1, 3)))
    ]


COLUMNS = st.lists(st.sampled_from([*sorted(FIELDS - {"model", "pt"}), *USUAL]), max_size=3, unique=True)


def seen(text: str) -> str:
    """`text` without differences that nobody sees."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


class Page(HTMLParser):
    """The tags of a page, and the texts of its first table's cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.tables = 0
        self.is_in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert all(not name.startswith("on") and name not in ("src", "href") for name, _ in attrs), attrs
        self.tables += tag == "table"
        if tag in ("td", "th") and self.tables == 1:
            self.cells.append("")
            self.is_in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.is_in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.is_in_cell:
            self.cells[-1] += data


def check_markdown(text: str, texts: list[list[str]]) -> None:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = [child.type for token in tokens for child in token.children or []]
    assert set(kinds) <= {"text", "text_special", "strong_open", "strong_close", "hardbreak", "softbreak"}, text
    assert not [token for token in tokens if token.type.startswith(("html", "heading", "list", "code", "fence"))], text
    rows: list[list[str]] = []
    in_cell = False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open", "th_close", "td_close"):
            in_cell = token.type.endswith("open")
        elif token.type == "inline" and in_cell:
            rows[-1].append("".join(child.content for child in token.children or []))
    assert [[seen(cell) for cell in row] for row in rows] == [[seen(cell) for cell in row] for row in texts], text


def check_latex(text: str) -> None:
    commands = r"\\(?:text(?:backslash|asciitilde|asciicircum|less|greater|bar)\{\}|[&%$#_{}])|\$\\pm\$|\\textbf\{"
    for line in text.splitlines():
        if not line.endswith(r" \\") or line.startswith("%"):
            allowed = (r"\hline", r"\begin{tabular}{", r"\end{tabular}", "% ")
            assert line.startswith(allowed), line
            continue
        bare = re.sub(commands, "", line.removesuffix(r" \\"))
        assert not re.search(r"[\\$%#_^~{]", bare.replace(" & ", "")), line


@pytest.mark.parametrize("cases", CASES)
def test_no_format_obeys_a_name(cases: int) -> None:
    @fuzz(cases)
    @given(some_rows(), COLUMNS, st.sampled_from(["en", "ko"]))
    def check(rows: list[Row], columns: list[str], language: str) -> None:
        table = comparison_table(rows, language, columns)
        texts = [list(table.headers), *([cell.text for cell in cells] for cells in table.rows)]
        # Whether there is a state, and whether starts differ, decides which columns are shown.
        starts = list(dict.fromkeys(row.start for row in rows if row.start))
        plain = [
            dataclasses.replace(
                row,
                **dict.fromkeys(TEXTS, "x")
                | {"state": row.state and "x", "start": row.start and f"x{starts.index(row.start)}"},
            )
            for row in rows
        ]

        check_markdown(write(table, "markdown"), texts)
        check_latex(write(table, "latex"))

        page, harmless = Page(), Page()
        page.feed(write(table, "html"))
        harmless.feed(write(comparison_table(plain, language, columns), "html"))
        assert [tag for tag in page.tags if tag != "p"] == [tag for tag in harmless.tags if tag != "p"]
        assert [seen(cell) for cell in page.cells] == [seen(cell) for row in texts for cell in row]

        lines = list(csv.reader(io.StringIO(write(table, "csv"))))
        assert {len(line) for line in lines} == {len(lines[0])}
        for row, line in zip(rows, lines[1:], strict=True):
            cells = dict(zip(lines[0], line, strict=True))
            for name in set(TEXTS) - {"model", "pt"}:
                assert not cells[name].lstrip().startswith(tuple("=+-@"))
                assert seen(cells[name].removeprefix("'")) == seen(printable(row[name]).removeprefix("'"))

        listed = json.loads(write(table, "json"))["rows"]
        for row, each in zip(rows, listed, strict=True):
            assert each["model"] == row.model.encode("utf-8", "replace").decode()

        console = Console(width=80, file=io.StringIO(), color_system=None)
        show_table(table, console)
        assert isinstance(console.file, io.StringIO)
        assert not [
            letter for letter in console.file.getvalue() if unicodedata.category(letter) == "Cc" and letter != "\n"
        ]

    check()


@pytest.mark.parametrize("cases", CASES)
def test_no_name_of_a_run_leads_out_of_its_folder(cases: int) -> None:
    @fuzz(cases)
    @given(NAMES | st.text(min_size=100, max_size=400))
    def check(name: str) -> None:
        safe = file_name(name)
        assert "/" not in safe
        assert "\0" not in safe
        assert not safe.startswith(".")
        assert len(os.fsencode(f"260101-120000-{safe}")) <= 255

    check()
