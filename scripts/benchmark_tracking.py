"""What tracking costs a training that does not care whether MLflow answers.

Steps of plain arithmetic, on one thread, with and without a word to the tracker after each, taken in turns in one
process while the tracker's MLflow server is in trouble. Printed are the ratio of their times, and the processor time
that the process beside the run takes once it has imported MLflow.

python scripts/benchmark_tracking.py [--seconds 60] [--step 0.02]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from hmr_light.tracking import start_tracking

TROUBLES = {"no MLflow": None, "absent": -1.0, "errors": 0.0, "5 s a request": 5.0}
BLOCK = 10


class _Trouble(BaseHTTPRequestHandler):
    delay = 0.0

    def _fail(self) -> None:
        time.sleep(self.delay)
        self.send_error(500)

    do_GET = do_POST = _fail

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server(delay: float | None) -> Iterator[str | None]:
    """The address of a server that answers each request with an error after `delay` seconds; none is absent if < 0."""
    if delay is None or delay < 0:
        yield None if delay is None else "http://127.0.0.1:9"
        return
    handler = type("Trouble", (_Trouble,), {"delay": delay})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{there.server_address[1]}"
        there.shutdown()


def processor_seconds(process: int) -> float:
    """Of a process, so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(process: int) -> None:
    """Until it has imported MLflow, which takes seconds of processor time, once."""
    last = 0.0
    while (now := processor_seconds(process)) < 1.0 or now - last > 0.1:
        last = now
        time.sleep(5.0)


def measure(uri: str | None, seconds: float, step: float) -> None:
    """Print what tracking costs with the store at `uri`."""
    side = np.random.default_rng(0).normal(size=(256, 256))

    def work() -> None:
        end = time.thread_time() + step
        while time.thread_time() < end:
            side @ side

    figures = {f"loss/{number}": 0.1 * number for number in range(8)}
    with tempfile.TemporaryDirectory() as folder:
        tracker = start_tracking(Path(folder) / "run", experiment="e", uri=uri, run_name="r")
        pump = tracker._upload.process.pid if tracker._upload else None
        if pump:
            wait_until_quiet(pump)
        before, started = processor_seconds(pump) if pump else 0.0, time.perf_counter()
        ratios: list[float] = []
        number = 0
        while time.perf_counter() - started < seconds or len(ratios) < 20:
            times = []
            for tracked in (False, True):
                at = time.thread_time()
                for _ in range(BLOCK):
                    work()
                    if tracked:
                        number += 1
                        tracker.metrics(figures, step=number)
                times.append(time.thread_time() - at)
            ratios.append(times[1] / times[0])
        spent = processor_seconds(pump) - before if pump else 0.0
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"with / without: {middle:.4f} (quartiles {low:.4f} to {high:.4f}, {number} steps); "
            f"beside the run: {100 * spent / (time.perf_counter() - started):.2f} % of one processor"
        )
        if tracker._upload:
            tracker._upload.process.kill()
        tracker._upload = None
        tracker.finish()


def main() -> None:
    """One line for each trouble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each trouble")
    parser.add_argument("--step", type=float, default=0.02, help="processor time of a step, seconds")
    choice = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, delay in TROUBLES.items():
        print(f"{name:>14}: ", end="", flush=True)
        with server(delay) as uri:
            measure(uri, choice.seconds, choice.step)


if __name__ == "__main__":
    main()
