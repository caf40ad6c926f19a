"""How long the comparison table takes to read: makes a store of runs with checkpoints, then reads it.

python scripts/benchmark_table.py [--runs 1000] [--checkpoints 2] [--store FILE]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import read_rows
from hmr_light.reports.tabular import write
from hmr_light.tracking.store import connect

EXPERIMENT = "benchmark"
SETS = ("synthetic", "synthetic_test")


def make_store(uri: str, runs: int, checkpoints: int, seed: int = 0) -> None:
    """Fill a store as training and evaluation do, through MLflow's client alone."""
    client = connect(uri, create=True)
    from mlflow.entities import Metric, Param, RunTag

    draw = random.Random(seed)
    experiment = client.create_experiment(EXPERIMENT)
    now = time.time_ns() // 1_000_000
    for number in range(runs):
        row = f"backbone_{number % 25}"
        run = client.create_run(experiment, now + number, run_name=row).info.run_id
        tags = {"row": row, "git_commit": f"{number:040x}", "protocol": "3dpw-j14", "device": "cpu", "body": "embedded"}
        client.log_batch(
            run,
            [Metric(name, draw.random(), now, 0) for name in ("parameters", "macs", "inference_time_s", "loss/total")],
            [Param(f"group_{key // 10}.key_{key}", str(draw.random())) for key in range(80)],
            [RunTag(f"hmr_light.{name}", value) for name, value in tags.items()],
        )
        for epoch in range(1, checkpoints + 1):
            about = {"epoch": str(epoch), "saved": f"260101-{number:06d}", "path": "x.pt", "sha256": f"{number:064x}"}
            model = client.create_logged_model(experiment, f"epoch-{epoch:03d}", run, about)
            names = [f"{where}/{name}_mm" for where in SETS for name in ("mpjpe", "reconstruction_error", "pve")]
            figures = [*names, "mpjpe_mm", "reconstruction_error_mm", "pve_mm"]
            client.log_batch(
                run, [Metric(name, draw.uniform(40, 200), now, epoch, model_id=model.model_id) for name in figures]
            )


def main(arguments: Sequence[str] | None = None) -> float:
    """Make the store if it is absent, read it three times, print the figures; returns the best time in seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--checkpoints", type=int, default=2)
    parser.add_argument("--store", type=Path, help="SQLite file; made if absent, and kept")
    choice = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        store = (choice.store or Path(folder) / "mlflow.db").absolute()
        uri = f"sqlite:///{store}"
        if not store.is_file():
            print(f"making {choice.runs} runs with {choice.checkpoints} checkpoints each ...", file=sys.stderr)
            make_store(uri, choice.runs, choice.checkpoints)
        started = time.perf_counter()
        options = [f"tracking.uri={uri}", f"tracking.experiment={EXPERIMENT}", "rows=all", f"out={folder}/table.md"]
        subprocess.run([sys.executable, "-m", "hmr_light", "table", *options], check=True, stderr=subprocess.DEVNULL)
        whole = time.perf_counter() - started
        times = []
        for _ in range(3):
            started = time.perf_counter()
            rows = read_rows(uri, EXPERIMENT, "all")
            write(comparison_table(rows), "markdown")
            times.append(time.perf_counter() - started)
    print(f"{len(rows)} rows: the whole command {whole:.2f} s; reading and writing alone {min(times):.2f} s")
    return min(times)


if __name__ == "__main__":
    main()
