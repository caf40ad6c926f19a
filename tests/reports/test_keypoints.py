"""The errors joint by joint: every labelled joint has its row and its bar."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console

from hmr_light.body.joints import J24_NAMES
from hmr_light.evaluation.keypoints import KeypointSums
from hmr_light.reports.keypoints import draw_joints, joint_table
from hmr_light.reports.terminal import show_table


def scores(shares: np.ndarray) -> dict[str, KeypointSums]:
    """Each joint's PCK, percent; NaN for one without a label. The mean pose has nothing right."""
    both = {"model": KeypointSums(J24_NAMES), "mean_pose": KeypointSums(J24_NAMES)}
    table = torch.from_numpy(shares)[None]
    both["model"].add(dict.fromkeys(both["model"].metrics, table))
    both["mean_pose"].add(dict.fromkeys(both["model"].metrics, 0 * table))
    return both


def test_every_labelled_joint_has_a_row_and_a_bar_as_long_as_its_share(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    shares = rng.uniform(20, 100, 24)
    shares[[2, 9]] = np.nan
    told = scores(shares)
    console = Console(width=120, record=True)
    show_table(joint_table("title", told), console)
    text = console.export_text()
    for name, share in zip(J24_NAMES, shares, strict=True):
        rows = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert len(rows) == (0 if np.isnan(share) else 1)
        assert not rows or f"{share:.1f}" in rows[0]
    draw_joints(tmp_path / "joints.png", told, "title")
    image = cv2.imread(str(tmp_path / "joints.png"))
    blue = (image == (200, 120, 40)).all(-1)
    lengths = [int(row.sum()) for row in blue[80:]]
    bars = [long for before, long in zip([0, *lengths], lengths, strict=False) if long and not before]
    np.testing.assert_allclose(bars, 5 * shares[np.isfinite(shares)], atol=2)
