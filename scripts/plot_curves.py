"""Draw the learning curves of an experiment's runs from their journals: `plot_curves.py RUNS_FOLDER OUT.png`.

A row has one colour, whatever the seed; what has one point only, such as the mean pose, is a dotted line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from hmr_light.tracking.journal import read_journal

PANELS = {
    "loss/total": "training loss",
    "mpjpe_mm": "MPJPE, validation, mm",
    "reconstruction_error_mm": "reconstruction error, validation, mm",
}


def curves(run_dir: Path) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    """The run's row, and the points (epoch, value) of each panel."""
    row = run_dir.name
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in PANELS}
    for entry, _ in read_journal(run_dir):
        if entry["kind"] == "tags":
            row = entry["values"].get("hmr_light.row", row)
        if entry["kind"] == "metrics":
            for name in PANELS.keys() & entry["values"].keys():
                points[name].append((entry["step"], float(entry["values"][name])))
    return row, points


def main() -> None:
    folder, out = map(Path, sys.argv[1:])
    figure, axes = plt.subplots(1, len(PANELS), figsize=(14, 4), layout="constrained")
    colours: dict[str, str] = {}
    for run_dir in sorted(path.parent for path in folder.glob("*/journal.jsonl")):
        row, points = curves(run_dir)
        label = row if row not in colours else None
        colour = colours.setdefault(row, f"C{len(colours)}")
        for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            if len(points[name]) == 1:
                axis.axhline(points[name][0][1], linestyle=":", color=colour, label=label)
            elif points[name]:
                axis.plot(*zip(*points[name], strict=True), marker=".", color=colour, label=label)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    figure.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    main()
