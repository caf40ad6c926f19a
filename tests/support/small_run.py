"""A training run of a second or two that has everything an exact resume can lose: batch norm, dropout, augmentation,
moving average, several checkpoints an epoch, validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hmr_light.data.annotations import Annotations, save_annotations

TRAIN, VALIDATION = 17, 5


def write_data(root: Path, seed: int = 0) -> Path:
    """People of random poses in images of noise; `train.npz`, `val.npz`."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", TRAIN), ("val", VALIDATION)):
        names = np.array([f"{split}{i:03d}.jpg" for i in range(count)])
        for name in names:
            coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
            cv2.imwrite(str(root / name), cv2.resize(coarse, (96, 80), interpolation=cv2.INTER_CUBIC))
        arrays = {
            "imgname": names,
            "center": rng.uniform(35, 55, (count, 2)),
            "scale": rng.uniform(0.3, 0.4, count),
            "pose": rng.normal(0, 0.3, (count, 72)),
            "shape": rng.normal(0, 1, (count, 10)),
            "part": np.concatenate([rng.uniform(10, 70, (count, 24, 2)), np.ones((count, 24, 1))], axis=2),
            "S": np.concatenate([rng.normal(0, 0.3, (count, 24, 3)), np.ones((count, 24, 1))], axis=2),
        }
        save_annotations(root / f"{split}.npz", Annotations.from_arrays(arrays))
    return root


def options(data: Path, outputs: Path, *more: str) -> list[str]:
    """The arguments of `hmr-light` for the run."""
    return [
        "train",
        "backbone=mobilenet_v1",
        "backbone.width=0.25",
        "backbone.form=shallow",
        "backbone/adapter=pooled",
        "regressor=spin",
        "regressor.hidden=24",
        "tracking=journal",
        "data=synthetic",
        f"data.root={data}",
        "data.image_size=64",
        "data.workers=0",
        "trainer.device=cpu",
        "trainer.threads=1",
        "trainer.epochs=2",
        "trainer.batch_size=4",
        "trainer.checkpoint_steps=2",
        "trainer.log_every=3",
        "trainer.ema_decay=0.9",
        "optimizer.learning_rate=0.001",
        f"outputs={outputs}",
        *more,
    ]


def run_folders(outputs: Path) -> list[Path]:
    return sorted((outputs / "hmr_light").iterdir()) if (outputs / "hmr_light").is_dir() else []


def journal(folder: Path) -> list[dict[str, Any]]:
    entries = []
    for line in (folder / "journal.jsonl").read_bytes().splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            assert line, "an empty line"  # a line that its writer was killed in
    return entries


def result(folder: Path) -> dict[str, Any]:
    """Everything that a run ends with, but for clocks and paths: states, checkpoints, every figure and how often."""
    last = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    kept = {
        path.name: torch.load(path, weights_only=True) for path in sorted((folder / "checkpoints").glob("epoch-*.pt"))
    }
    for content in (last, *kept.values()):
        del content["config"]
    figures = [
        (entry["kind"], entry["step"], name, value)
        for entry in journal(folder)
        if entry["kind"] in ("metrics", "checkpoint")
        for name, value in sorted(entry["values"].items())
    ]
    return {
        "last": _without_clocks(last),
        "kept": _without_clocks(kept),
        "figures": [one for one in figures if not one[2].startswith(("images_per", "inference"))],
        "bad": (folder / "bad_samples.csv").read_text() if (folder / "bad_samples.csv").exists() else "",
    }


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clocks(one) for key, one in value.items() if key not in ("images_per_second", "saved")}
    return value


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """Bit for bit, however nested."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), f"{where}: differ by {(first - second).abs().max()}"
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), f"{where}: {first} {second}"
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}/{index}")
    else:
        assert first == second, where
