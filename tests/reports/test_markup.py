"""Markdown and LaTeX: the shape of the reference table, and every cell read back by an independent reader."""

from __future__ import annotations

import re

import pytest
from support.rows import random_rows, table_row

from hmr_light.reports.comparison import HEADERS, comparison_table
from hmr_light.reports.tabular import write


def test_markdown_has_the_shape_of_the_original_table() -> None:
    figures = [
        ("hmr", 12, 26977501, "(12)210808-064723", 315.0, 172.0, 0.07067),
        ("squeezenet_100_2", 25, 5255517, "(25)210816-113147", 237.0, 159.04, 0.02919),
        ("squeezenet_100_2", 14, 5255517, "(14)210816-012615", 235.0, 157.0, 0.0336),
        ("mean_pose", 0, 0, "(0)210801-000000", 230.0, 150.0, 0.0001),
    ]
    rows = [
        table_row(*first, pt=pt, mpjpe_mm=mpjpe, reconstruction_error_mm=reconstruction, inference_time_s=time)
        for *first, pt, mpjpe, reconstruction, time in figures
    ]
    assert write(comparison_table(rows), "markdown").splitlines()[:6] == [
        "|model|pt|#parameters|MPJPE|ReconstructionError|InferenceTime|",
        "|:---:|:---:|:---:|:---:|:---:|:---:|",
        "|hmr|(12)210808-064723|26,977,501|315.0|172.0|0.07067|",
        "|squeezenet_100_2|(25)210816-113147|**5,255,517**|237.0|159.0|**0.02919**|",
        "|>>>squeezenet_100_2<<<|(14)210816-012615|**5,255,517**|**235.0**|**157.0**|0.03360|",
        "|mean_pose|(0)210801-000000|0|230.0|150.0|0.00010|",
    ]


def markdown_cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in [lines[0], *lines[2:]]]
    inner = [[re.sub(r"^\*\*(.*)\*\*$", r"\1", cell) for cell in row] for row in cells]
    return [[re.sub(r"\\(.)|&#92;", lambda match: match[1] or "\\", cell) for cell in row] for row in inner]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("language", ["en", "ko"])
def test_markdown_can_be_read_back(seed: int, language: str) -> None:
    table = comparison_table(random_rows(seed), language)
    texts = [list(HEADERS[language]), *([cell.text for cell in row] for row in table.rows)]
    assert markdown_cells(write(table, "markdown")) == texts, f"seed {seed}"


UNESCAPED = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", "--": "–",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_latex_has_every_cell_and_no_bare_special_letter(seed: int) -> None:
    rows = random_rows(seed)
    text = write(comparison_table(rows), "latex")
    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
    commands = "|".join(re.escape(command) for command in UNESCAPED)
    for cells, line in zip(comparison_table(rows).rows, lines[1:], strict=True):
        parts = re.split(r" (?<!\\)& ", line)
        assert len(parts) == 6, f"seed {seed}: {line}"
        for cell, part in zip(cells, parts, strict=True):
            inner = re.sub(r"^\\textbf\{(.*)\}$", r"\1", part)
            assert (inner != part) == cell.is_best
            plain = re.sub(rf"{commands}|\\([&%$#_{{}}])", lambda m: m[1] or UNESCAPED[m[0]], inner)
            assert plain == cell.text, f"seed {seed}"
