"""Every precision and format of `hmr-light export` for every family of backbones: `export_matrix.py [FAMILY …]`.

The models are those that `scripts/compression_matrix.py` has left in $HMR_LIGHT_HOME/compression_matrix: a parent,
which was trained for a moment, and its runs of the steps share and int8. The tables, in docs/deployment.md, have the
size of each file, and by how much it differs from its model. What cannot be exported stands there with the reason.

A stopped script goes on where it was: results are kept in $HMR_LIGHT_HOME/export_matrix.
"""

from __future__ import annotations

import itertools
import json
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

from hmr_light.body import load_body
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.deployment.export import export_file
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write, home

PRECISIONS = {"float32": "parent", "float16": "parent", "codebook": "share", "int8": "int8"}
"""And the run of the matrix of steps that it is made of."""
PAGE = Path(__file__).parents[1] / "docs" / "deployment.md"
BEGIN, END = "<!-- {} by scripts/export_matrix.py -->", "<!-- end of {} -->"
FORMATS = {"onnx": ".onnx", "openvino": ".xml"}
"""And the ending of their files; a table each."""


class Result(NamedTuple):
    """One cell: a file that was written, or why there is none."""

    kilobytes: float
    parameters: float
    mean_mm: float
    reason: str = ""


def main() -> None:
    models, folder = home() / "compression_matrix", home() / "export_matrix"
    families = sys.argv[1:] or sorted(path.name for path in models.glob("*") if (path / "hmr_light").is_dir())
    if not families:
        sys.exit("there are no models: run scripts/compression_matrix.py first")
    kept = folder / "results.json"
    results: dict[str, list[float | str]] = json.loads(kept.read_text()) if kept.is_file() else {}
    for form, ending in FORMATS.items():
        for family, (precision, row) in itertools.product(families, PRECISIONS.items()):
            name = f"{family} {precision} {form}"
            if name in results and not str(results[name][3]).startswith("FAILED"):
                continue
            out = folder / f"{family}-{precision}{ending}"
            results[name] = list(cell(models / family, row, form, precision, out))
            print(name, results[name], flush=True)
            with atomic_write(kept) as temporary:
                temporary.write_text(json.dumps(results, indent=1))
        write_page({name: Result(*value) for name, value in results.items()})  # type: ignore[arg-type]
    if failed := [name for name, value in results.items() if str(value[3]).startswith("FAILED")]:
        sys.exit(f"failed: {', '.join(failed)}")


def cell(runs: Path, row: str, form: str, precision: str, out: Path) -> Result:
    """The file of the first checkpoint of the run called `row`."""
    checkpoints = sorted(runs.glob(f"hmr_light/*-{row}/checkpoints/epoch-*.pt"))
    if not checkpoints:
        return Result(0, 0, 0, f"no {row}")
    try:
        exported = export_file(load_checkpoint(checkpoints[0]), load_body(), out, format=form, precision=precision)
    except UserError as error:
        return Result(0, 0, 0, error.message)
    except Exception:
        traceback.print_exc()
        return Result(0, 0, 0, f"FAILED: {traceback.format_exc().splitlines()[-1]}")
    return Result(exported.size / 1000, exported.parity.parameters, exported.parity.mean_mm)


def write_page(results: dict[str, Result]) -> None:
    text = PAGE.read_text()
    for form in FORMATS:
        families = dict.fromkeys(name.split()[0] for name in results if name.endswith(f" {form}"))
        if not families:
            continue
        lines = [f"With format={form}:", "", "| backbone | " + " | ".join(PRECISIONS) + " |"]
        lines.append("|---" * (len(PRECISIONS) + 1) + "|")
        for family in families:
            cells = []
            for precision in PRECISIONS:
                one = results.get(f"{family} {precision} {form}", Result(0, 0, 0, "not yet"))
                difference = f"{one.parameters:.0e}" if precision == "float32" else f"{one.mean_mm:.2g} mm"
                cells.append(one.reason or f"{one.kilobytes:,.0f} kB, {difference}")
            lines.append(f"| {family} | " + " | ".join(cells) + " |")
        begin, end = BEGIN.format(form), END.format(form)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}" + rest.partition(end)[2]
    with atomic_write(PAGE) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    main()
