"""CPU time of exported models beside ResNet-50 in torch, as the tables of docs/benchmarks.md: [options] [NAME …].

The models are those of the package (with their compressed forms, where $HMR_LIGHT_HOME/runtimes/compressed.json says
where these are: {"mobile int8": "RUN/checkpoints/epoch-000.pt", …}), at their own image size, and the backbones of
`scripts/compression_matrix.py` in $HMR_LIGHT_HOME/compression_matrix, at 224 pixels. Each is exported in every
precision that it has, for every runtime that is installed. Its files, the torch network and ResNet-50, eager, are then
measured in turns in one process: batch 1, one thread, CPU time. Models of the package are scored too, by each runtime
itself, on the first 500 people of the validation split of `data=synthetic`, where it is in $HMR_LIGHT_HOME.

A stopped script goes on where it was: results are kept in $HMR_LIGHT_HOME/runtimes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf

from hmr_light.body import load_body
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config import typed
from hmr_light.config.choices import compose_choice, compose_defaults
from hmr_light.config.schema import EvaluateConfig
from hmr_light.cost.benchmark import Entry, measure
from hmr_light.cost.variants import EAGER, FileRunner, Runner, parse_variant
from hmr_light.deployment.export import export_file
from hmr_light.deployment.formats import FORMATS
from hmr_light.deployment.precision import choose_precision
from hmr_light.deployment.scoring import score_all
from hmr_light.errors import UserError
from hmr_light.evaluation.scoring import Predictor, on_crops
from hmr_light.model.exported import open_exported
from hmr_light.model.file_predictor import TITLES
from hmr_light.model.hmr import build_model
from hmr_light.paths import atomic_write, home, zoo_names

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- {} by scripts/benchmark_runtimes.py -->", "<!-- end of {} -->"
INTRODUCTIONS = {
    "zoo": "The models of the package, at their own image size:",
    "families": "The families of [docs/deployment.md](deployment.md#every-family), at 224 pixels:",
}
IMAGE_SIZE, ROUNDS, WARMUP, PEOPLE = 224, 12, 2, 500
BEST = "folded+fused+channels_last"
PARENTS = {"float32": "parent", "float16": "parent", "codebook": "share", "int8": "int8"}
"""Of a family in the matrix, the run that a precision is made of."""
CPU = torch.device("cpu")


class Case(NamedTuple):
    """A model in one precision."""

    table: str
    """zoo or families."""
    name: str
    precision: str
    path: Path
    image_size: int | None
    """None: its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of models and families; default: all")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, which takes half a minute a model")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    options = parser.parse_args()
    one_thread()
    kept = home() / "runtimes" / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else {}
    for case in cases():
        key = f"{case.table} {case.name} {case.precision}"
        if (key in results and not options.again) or (options.names and case.name not in options.names):
            continue
        results[key] = measured(case, options.compiled, options.rounds)
        print(key, json.dumps(results[key]), flush=True)
        with atomic_write(kept) as temporary:
            temporary.write_text(json.dumps(results, indent=1))
        write_page(results)


def cases() -> Iterator[Case]:
    """Of a family first what differs most in time; float16 and codebook run as float32 does."""
    listed = home() / "runtimes" / "compressed.json"
    compressed = json.loads(listed.read_text()) if listed.is_file() else {}
    for name in zoo_names():
        own = choose_precision(load_checkpoint(Path(name)), None)
        if own != "float32":
            yield Case("zoo", name, own, Path(name), None)
            continue
        for precision in PARENTS:
            path = Path(name) if precision.startswith("float") else compressed.get(f"{name} {precision}")
            if path:
                yield Case("zoo", name, precision, Path(path), None)
    folders = sorted((home() / "compression_matrix").glob("*/hmr_light"))
    for precision in ("float32", "int8", "codebook", "float16"):
        for folder in folders:
            for path in sorted(folder.glob(f"*-{PARENTS[precision]}/checkpoints/epoch-*.pt"))[:1]:
                yield Case("families", folder.parent.name, precision, path, IMAGE_SIZE)


def measured(case: Case, compiled: bool, rounds: int) -> dict[str, Any]:
    """For each runtime the bytes, and the ratio of ResNet-50's CPU time to its own, with quartiles; or a reason.

    Of a model of the package its error too, and under `scored` on whom.
    """
    checkpoint = load_checkpoint(case.path)
    if case.image_size:
        data = checkpoint.config["data"] | {"image_size": case.image_size}
        checkpoint = replace(checkpoint, config=checkpoint.config | {"data": data})
    size = int(checkpoint.config["data"]["image_size"])
    found: dict[str, Any] = {"image_size": size}
    predictors: dict[str, Predictor] = {}
    entries = [Entry("resnet50", EAGER, IMAGE_SIZE, Runner(reference(), frozenset(), CPU, None))]
    if case.precision == "float32":
        for variant in (EAGER, BEST, *([f"{BEST}+compile"] if compiled else [])):
            try:
                runner = Runner(checkpoint.build(), parse_variant(variant), CPU, None)
            except UserError as error:  # a network that cannot be traced
                found[variant] = {"reason": error.message}
                continue
            entries.append(Entry(case.name, variant, size, runner))
        predictors[EAGER] = on_crops(checkpoint.build().eval())
    with tempfile.TemporaryDirectory(prefix="runtimes-") as folder:
        for name, form in FORMATS.items():
            out = Path(folder) / f"model{form.endings[0]}"
            try:
                exported = export_file(checkpoint, load_body(), out, format=name, precision=case.precision)
            except UserError as error:
                found[name] = {"reason": error.message}
                continue
            found[name] = {"bytes": exported.size}
            entries.append(Entry(case.name, name, size, FileRunner(out)))
            predictors[name] = open_exported(out, threads=1)
        ((of_all),) = measure(entries, [(1, 1)], device=CPU, rounds=rounds, warmup=WARMUP)
        errors = score_all(evaluation(), predictors, size, PEOPLE) if case.table == "zoo" else None
    for one in of_all:
        faster = [1 / value for value in (one.ratio.median, one.ratio.high, one.ratio.low)]
        cpu = one.latency.cpu_s
        assert cpu is not None
        found[one.entry.variant if one.entry.model != "resnet50" else "resnet50"] = {
            **found.get(one.entry.variant, {}),
            "milliseconds": 1000 * cpu,
            "faster": faster,
        }
    if errors:
        found["scored"] = f"{errors.people} people of {errors.evaluated_on}"
        for name, millimetres in errors.millimetres.items():
            found[name]["mpjpe_mm"] = millimetres
    return found


def evaluation() -> EvaluateConfig:
    """`hmr-light evaluate` without options, on the CPU."""
    options = {"checkpoint": "mobile", "device": "cpu", "threads": 1}  # it has to name a checkpoint
    config: EvaluateConfig = typed(EvaluateConfig, OmegaConf.merge(compose_defaults("evaluate"), options))  # type: ignore[arg-type]
    return config


def one_thread() -> None:
    """In torch, and in ExecuTorch, whose threads are those of the process."""
    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

        _unsafe_reset_threadpool(1)


def reference() -> Any:
    backbone = compose_choice("backbone", "resnet50") | {"weights": None}
    return build_model({"backbone": backbone, "regressor": compose_choice("regressor", "spin")}).eval()


def write_page(results: dict[str, dict[str, Any]]) -> None:
    """Both tables, in the place of those in the page."""
    text = PAGE.read_text()
    variants = {EAGER: "torch, eager", BEST: "torch, best", f"{BEST}+compile": "compiled"} | TITLES
    for table, introduction in INTRODUCTIONS.items():
        rows = {key: value for key, value in results.items() if key.startswith(f"{table} ")}
        if not rows:
            continue
        shown = [one for one in variants if any("faster" in value.get(one, {}) for value in rows.values())]
        lines = [introduction, "", "| model | precision | " + " | ".join(variants[one] for one in shown) + " |"]
        lines.append("|---" * (len(shown) + 2) + "|")
        for key, value in sorted(rows.items(), key=place):
            _, name, precision = key.split(" ", 2)
            cells = [cell(value.get(one)) for one in shown]
            lines.append(f"| {name} ({value['image_size']}) | {precision} | " + " | ".join(cells) + " |")
        begin, end = BEGIN.format(table), END.format(table)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}" + rest.partition(end)[2]
    with atomic_write(PAGE) as temporary:
        temporary.write_text(text)


def place(row: tuple[str, Any]) -> tuple[str, int]:
    """In the table: by the name, then by the precision."""
    _, name, precision = row[0].split(" ", 2)
    return name, list(PARENTS).index(precision)


def cell(one: dict[str, Any] | None) -> str:
    if not one:
        return ""
    if "reason" in one:
        return str(one["reason"]).partition(":")[0]
    faster, low, high = one["faster"]
    size = f", {one['bytes'] / 1000:,.0f} kB" if "bytes" in one else ""
    error = f", {one['mpjpe_mm']:.1f} mm" if "mpjpe_mm" in one else ""
    return f"{faster:.1f} ({low:.1f}–{high:.1f}){size}{error}"


if __name__ == "__main__":
    main()
