"""Rows of the table, and the records of a store that they are made of."""

from __future__ import annotations

import dataclasses

from hmr_light.reports.rows import Row


def row(model: str = "m", epoch: int = 1, parameters: int | None = 5, **values: object) -> Row:
    base = Row(
        model=model,
        pt=f"({epoch})260101-00000{epoch % 10}",
        epoch=epoch,
        parameters=parameters,
        mpjpe_mm=100.0,
        reconstruction_error_mm=60.0,
        pve_mm=120.0,
        inference_time_s=0.02,
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
    )
    return dataclasses.replace(base, **values)  # type: ignore[arg-type]
