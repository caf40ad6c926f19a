"""The page: every cell read back by an independent reader; nothing is loaded from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from support.rows import random_rows

from hmr_light.reports.comparison import HEADERS, comparison_table
from hmr_light.reports.tabular import write


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
def test_a_page_can_be_read_back(seed: int, language: str) -> None:
    rows = random_rows(seed)
    table = comparison_table(rows, language)
    reader, page = TableReader(), write(table, "html")
    reader.feed(page)
    texts = [list(HEADERS[language]), *([cell.text for cell in cells] for cells in table.rows)]
    assert reader.tables[0] == texts, f"seed {seed}"
    names = reader.tables[1][0]
    origins = [dict(zip(names, line, strict=True)) for line in reader.tables[1][1:]]
    assert [(each["model"], each["git_commit"]) for each in origins] == [(row.model, row.git_commit) for row in rows]
    assert page.index(table.heading) < page.index("<table"), "the set is named first"
