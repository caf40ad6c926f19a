"""The comparison table as text: the same rows give the same bytes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Sequence

from hmr_light.reports.html import html_page
from hmr_light.reports.layout import FIGURES, TRACE, Table, lay_out, printable
from hmr_light.reports.rows import Row


def write_table(rows: Sequence[Row], format: str, language: str = "en", columns: Sequence[str] = ()) -> str:
    """The table as `markdown`, `csv`, `json`, `latex` or `html`, ending in a newline.

    `columns` are shown besides the table's own; csv and json have all of them in any case. Names are the users': what a
    reader of the format would take for a mark, a tag, a command or a formula is written so that it is none.
    """
    match format:
        case "markdown":
            text = _markdown(lay_out(rows, language, columns))
        case "csv":
            text = _csv(rows, lay_out(rows, language))
        case "json":
            text = _json(rows, lay_out(rows, language))
        case "latex":
            text = _latex(lay_out(rows, language, columns), language)
        case "html":
            text = html_page(lay_out(rows, language, columns), rows, language)
        case _:
            raise ValueError(f"there is no format {format!r}")
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def _markdown(table: Table) -> str:
    def escape(text: str) -> str:
        # A mark inside a word (mean_pose) is none, and >>> <<< open nothing. A backslash before the end of a cell would
        # be taken for one that escapes that end, doubled or not.
        text = re.sub(
            r"([|*`\[\]~]|[<&](?=[A-Za-z#/!?]))|\\", lambda m: f"\\{m[1]}" if m[1] else "&#92;", _one_line(text)
        )
        return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)

    lines = ["|" + "|".join(table.headers) + "|", "|" + ":---:|" * len(table.headers)]
    for row in table.rows:
        lines.append("|" + "|".join(f"**{escape(c.text)}**" if c.is_best else escape(c.text) for c in row) + "|")
    return "\n".join([*lines, "", *(f"{escape(note)}  " for note in table.notes)]) + "\n"


def _csv(rows: Sequence[Row], table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*table.headers, "winner", *TRACE])
    for index, row in enumerate(rows):
        figures = [getattr(row, name) for name in FIGURES]
        trace = [getattr(row, name) for name in TRACE]
        writer.writerow([_no_formula(value) for value in (row.model, row.pt, *figures, index == table.winner, *trace)])
    return text.getvalue()


def _no_formula(value: object) -> object:
    # A spreadsheet would run what begins so; https://owasp.org/www-community/attacks/CSV_Injection
    text = printable(value) if isinstance(value, str) else ""
    if text.lstrip().startswith(tuple("=+-@＝＋－＠")):
        return f"'{text}"
    return text or value


def _json(rows: Sequence[Row], table: Table) -> str:
    listed = [dataclasses.asdict(row) | {"winner": index == table.winner} for index, row in enumerate(rows)]
    value = {"headers": table.headers, "notes": table.notes, "rows": listed}
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _latex(table: Table, language: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": "--",
        "±": r"$\pm$",
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    }

    def escape(text: str) -> str:
        return "".join(special.get(letter, letter) for letter in _one_line(text))

    def line(texts: list[str]) -> str:
        return " & ".join(texts) + r" \\"

    body = [line([f"\\textbf{{{escape(c.text)}}}" if c.is_best else escape(c.text) for c in row]) for row in table.rows]
    return "\n".join(
        [
            *(["% needs \\usepackage{kotex}"] if language == "ko" else []),
            rf"\begin{{tabular}}{{{''.join('r' if is_number else 'l' for is_number in table.is_number)}}}",
            r"\hline",
            line([escape(header) for header in table.headers]),
            r"\hline",
            *body,
            r"\hline",
            r"\end{tabular}",
            *(f"% {_one_line(note)}" for note in table.notes),
            "",
        ]
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
