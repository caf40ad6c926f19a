"""Every step of `hmr-light compress` on every family of backbones, as one table: `compression_matrix.py [FAMILY …]`.

For each family a parent is trained for a moment on rendered people; then for each step: compress, fine-tune for an
epoch, reload the checkpoint and evaluate it, and let training go on. The table, in docs/compression.md, has what is
left of the parent's parameters and multiply-accumulates. The errors of such short training mean nothing.

A stopped script goes on where it was: results are kept in $HMR_LIGHT_HOME/compression_matrix.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch

from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config.application import run_application
from hmr_light.config.choices import choices
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import bytes_on_disk, count_effective
from hmr_light.errors import UserError
from hmr_light.model.integers import Int8Weights, with_float_weights
from hmr_light.model.sharing import with_own_weights
from hmr_light.paths import atomic_write, home
from hmr_light.tracking.summary import summarize_run

FAMILIES = (
    "densenet121",
    "efficientnet_lite0",
    "mobilenet_fire",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v2_movenet",
    "mobilenet_v3_small",
    "resnet18",
    "shufflenet_fire",
    "shufflenet_residual",
    "shufflenet_v1",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "squeezenext23",
    "stages",
    "thundernet146",
)
"""One choice of each family; `stages` are MobileNetV2's, ShuffleNet's and others' blocks."""
LEFT_OUT = ("squeezenet_table", "fold", "norms")
"""Steps that do not ask for the family: SqueezeNet's own table; SPIN's regressor, and batch norms as in `int8`; what
follows every step."""
PAGE = Path(__file__).parents[1] / "docs" / "compression.md"
BEGIN, END = "<!-- by scripts/compression_matrix.py -->", "<!-- end -->"
SIZE = 64
NOTHING_TO_DO = "Choose another step."
OPTIONS = {"low_rank": ["compression.rank=0.4"]}
"""Networks that have hardly learned have no small singular values, so that nothing would be left out by energy."""
SMALL = ["trainer.device=cpu", "trainer.threads=1", "tracking=journal"]


def main() -> None:
    folder, families = home() / "compression_matrix", sys.argv[1:] or FAMILIES
    steps = [step for step in choices("compression") if step not in LEFT_OUT]
    data = folder / "data"
    if not (data / "train.npz").is_file():
        counts = "source.counts={train: 32, val: 8, test: 0, test_ood: 0}"
        run_application("prepare", [f"source.out={data}", counts, "source.size=96", "source.workers=1"])
    kept = folder / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for family in families:
        for step in steps:
            if results.get(f"{family} {step}", "FAILED").startswith("FAILED"):
                results[f"{family} {step}"] = cell(family, step, data, folder / family)
                print(f"{family} {step}: {results[f'{family} {step}']}", flush=True)
                with atomic_write(kept) as temporary:
                    temporary.write_text(json.dumps(results, indent=1))
    write_page(results, steps, folder)
    if failed := [name for name, result in results.items() if result.startswith("FAILED")]:
        sys.exit(f"failed: {', '.join(failed)}")


def cell(family: str, step: str, data: Path, outputs: Path) -> str:
    """`ok`; `–` and the reason where the step finds nothing to do; `FAILED` and the error."""
    try:
        parent = train_parent(family, data, outputs)
        command = [f"run={parent}", f"compression={step}", "trainer.epochs=1", "trainer.batch_size=8", f"row={step}"]
        command += OPTIONS.get(step, [])
        small = ["calibration.images=32", "calibration.batch_size=8", f"outputs={outputs}", "resume=auto", *SMALL]
        run_application("compress", [*command, *small])
        check(run_of(outputs, step))
    except UserError as error:
        if error.remedy != NOTHING_TO_DO:
            return f"FAILED: {error}"
        return f"–: {error.message}"
    except Exception:
        traceback.print_exc()
        return f"FAILED: {traceback.format_exc().splitlines()[-1]}"
    return "ok"


def run_of(outputs: Path, row: str) -> Path:
    (run_dir,) = (outputs / "hmr_light").glob(f"*-{row}")
    return run_dir


def train_parent(family: str, data: Path, outputs: Path) -> Path:
    words = [f"backbone={family}", "regressor=light", "row=parent", f"data.root={data}", f"data.image_size={SIZE}"]
    more = ["data.workers=0", "trainer.epochs=1", "trainer.batch_size=8", f"outputs={outputs}", "resume=auto", *SMALL]
    run_application("train", [*words, *more])
    return run_of(outputs, "parent")


def check(run_dir: Path) -> None:
    """Reload, evaluate, train on."""
    measured = next(iter(summarize_run(run_dir).epochs.values()))["mpjpe_mm"]
    run_application("evaluate", [f"run={run_dir}", "checkpoints=last", "device=cpu", "threads=1", "tracking=journal"])
    summary = summarize_run(run_dir)
    again = summary.checkpoints[max(summary.checkpoints)][-1]["values"]["synthetic/mpjpe_mm"]
    # Evaluation fuses batch norms, which rounds differently.
    assert len(summary.epochs) > 1 or abs(again - measured) < 0.05, f"{measured} mm became {again} mm"
    if any(isinstance(layer, Int8Weights) for layer in load_checkpoint(first(run_dir)).build().modules()):
        return  # integers are not trained on
    run_application("train", [f"resume={run_dir}", "trainer.epochs=2"])
    last = load_checkpoint(newest(run_dir))
    assert last.epoch == 2
    assert all(value.isfinite().all() for value in last.build()(torch.randn(2, 3, SIZE, SIZE)))


def left(run_dir: Path, parent: Path) -> str:
    """What is left of the parent, in %: parameters that are not zero, multiply-accumulates, bytes."""
    checkpoints = [load_checkpoint(first(folder)) for folder in (run_dir, parent)]
    models = [with_float_weights(with_own_weights(checkpoint.build())) for checkpoint in checkpoints]
    small, big = ((count_effective(model), count_macs(model, SIZE).total, bytes_on_disk(model)) for model in models)
    with tempfile.TemporaryDirectory() as folder:
        coded = write_hmrz(Path(folder) / "model.hmrz", checkpoints[0])
    return " / ".join(f"{100 * of / whole:.0f}" for of, whole in zip((*small[:2], coded), big, strict=True))


def first(run_dir: Path) -> Path:
    """What the step, and its fine-tuning, left."""
    return min((run_dir / "checkpoints").glob("epoch-*.pt"))


def newest(run_dir: Path) -> Path:
    return max((run_dir / "checkpoints").glob("epoch-*.pt"))


def write_page(results: dict[str, str], steps: list[str], folder: Path) -> None:
    families = list(dict.fromkeys(name.split()[0] for name in results))
    lines = ["| backbone | " + " | ".join(f"`{step}`" for step in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for family in families:
        cells = []
        for step in steps:
            result = results.get(f"{family} {step}", "").partition(":")[0]
            done = result not in ("", "–", "FAILED")
            outputs = folder / family
            cells.append(left(run_of(outputs, step), run_of(outputs, "parent")) if done else result)
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    with atomic_write(PAGE) as temporary:
        temporary.write_text(
            f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
