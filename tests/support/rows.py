"""Rows of the comparison table."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hmr_light.reports.rows import FIELDS, Row

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


def table_row(model: str = "m", epoch: int = 1, parameters: int | None = 5, **values: Any) -> Row:
    """A row with a value for everything; `values` are fields, or figures, of which None is one that is missing."""
    base = Row(
        model=model,
        pt=f"({epoch})260101-00000{epoch % 10}",
        epoch=epoch,
        evaluated_on="val",
        run_id="id",
        checkpoint="/runs/x.pt",
        sha256="0" * 64,
        data_fingerprint="f",
        git_commit="c",
        protocol="3dpw-j14",
        seed="0",
        device="cpu",
        body="embedded",
        evaluation_sets="val",
    )
    figures = {
        "parameters": parameters,
        "mpjpe_mm": 100.0,
        "reconstruction_error_mm": 60.0,
        "pve_mm": 120.0,
        "inference_time_s": 0.02,
        **{name: value for name, value in values.items() if name not in FIELDS},
    }
    known = {name: value for name, value in figures.items() if value is not None}
    return dataclasses.replace(base, figures=known, **{name: value for name, value in values.items() if name in FIELDS})


def random_rows(seed: int) -> list[Row]:
    """Up to eleven rows with nasty names, of which some figures are missing."""
    draw = random.Random(seed)

    def maybe(value: float) -> float | None:
        return None if draw.random() < 0.1 else value

    return [
        table_row(
            draw.choice(NASTY),
            draw.randrange(1, 30),
            draw.choice([0, 5255517, 5901189]),
            mpjpe_mm=maybe(draw.uniform(50, 60)),
            reconstruction_error_mm=maybe(draw.uniform(30, 40)),
            inference_time_s=maybe(draw.uniform(0.01, 0.02)),
        )
        for _ in range(draw.randrange(1, 12))
    ]
