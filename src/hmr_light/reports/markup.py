"""Tables in markdown and LaTeX. What either would take for a mark or a command is written so that it is none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hmr_light.reports.cells import Table


def markdown(table: Table) -> str:
    """The table, and its notes below."""
    middle = [":---:"] * len(table.headers)
    rule = middle if table.is_centred else [":---", *["---:"] * (len(table.headers) - 1)]
    lines = [_line(table.headers), _line(rule)]
    for row in table.rows:
        lines.append(_line([f"**{_marked(c.text)}**" if c.is_best else _marked(c.text) for c in row]))
    return "\n".join([*lines, "", *(f"{_marked(note)}  " for note in table.notes)]) + "\n"


def _line(texts: Sequence[str]) -> str:
    return "|" + "|".join(texts) + "|"


def _marked(text: str) -> str:
    # A mark inside a word (mean_pose) is none, and >>> <<< open nothing. A backslash before the end of a cell would be
    # taken for one that escapes that end, doubled or not.
    text = re.sub(r"([|*`\[\]~]|[<&](?=[A-Za-z#/!?]))|\\", lambda m: f"\\{m[1]}" if m[1] else "&#92;", _one_line(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


_SPECIAL = {
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


def latex(table: Table) -> str:
    """The table as a `tabular`, and its notes as comments."""

    def escape(text: str) -> str:
        return "".join(_SPECIAL.get(letter, letter) for letter in _one_line(text))

    def line(texts: list[str]) -> str:
        return " & ".join(texts) + r" \\"

    body = [line([f"\\textbf{{{escape(c.text)}}}" if c.is_best else escape(c.text) for c in row]) for row in table.rows]
    return "\n".join(
        [
            *(["% needs \\usepackage{kotex}"] if table.language == "ko" else []),
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
