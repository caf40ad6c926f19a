"""Widths, rewrites and image sizes from the command line to the figures: data, training, evaluation, checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import compose

from hmr_light.commands import evaluate, train


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (96, ["backbone=mobilenet_v1", "backbone.width=0.25"]),
        (160, ["backbone=mobilenet_v3_small", "backbone.rewrites=[split_5x5]"]),
        pytest.param(
            *(384, ["backbone=shufflenet_v1", "backbone.scale=0.5", "backbone/adapter=pooled"]), marks=pytest.mark.slow
        ),
    ],
)
def test_any_image_size_is_trained_and_evaluated(
    size: int, options: list[str], quick: list[str], rendered: Path
) -> None:
    folder = train.run(compose("train", *quick, *options, f"data.image_size={size}", "trainer.epochs=1"))
    checkpoint = folder / "checkpoints" / "epoch-001.pt"
    evaluate.run(
        compose(
            "evaluate",
            f"checkpoint={checkpoint}",
            f"data.root={rendered}",
            "data.workers=0",
            "device=cpu",
            "tracking=journal",
        )
    )
    assert "mpjpe_mm" in (folder / "journal.jsonl").read_text()
