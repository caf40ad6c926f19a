"""How long a million annotations take to open, and what they cost a loader process in memory.

    python scripts/benchmark_annotations.py [--people 1000000] [--samples 20007] [--folder FOLDER]

Writes a file of that many people with every key that there is, opens it in fresh processes (the first time, when all of
it is checked, and again), and reads random people in a forked process, as a loader does. `private` is what that process
has for itself; `mapped` are pages of the file, which all processes share and the system takes back at will (those that
one process alone has mapped count as private, too). As in a dataset, they are let go of now and then.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hmr_light.data.annotations import (
    NUMBERS,
    READS_BETWEEN_RELEASES,
    Annotations,
    load_annotations,
    save_annotations,
)

MB = 1 << 20


def memory() -> dict[str, float]:
    """MB of this process: for itself, of mapped files, and its fair share of both."""
    text = Path("/proc/self/smaps_rollup").read_text()
    kilobytes = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    mapped = int(re.findall(r"^RssFile:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[0])
    return {"private": private / 1024, "mapped": mapped / 1024, "share": kilobytes["Pss"] / 1024}


def write(path: Path, people: int) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        key: rng.random((people, *shape), np.float32) + 0.1 for key, shape in NUMBERS.items()
    }
    arrays["imgname"] = np.char.add(np.char.zfill(np.arange(people).astype(str), 9), "/a_longer_name_of_a_file.jpg")
    arrays["gender"] = np.full(people, "n")
    arrays["has_smpl"] = np.ones(people, bool)
    save_annotations(path, Annotations.from_arrays(arrays))


def open_and_read(path: Path, samples: int) -> None:
    """Prints what opening and reading cost; run in a process of its own."""
    before = memory()
    started = time.perf_counter()
    annotations = load_annotations(path)
    took, after = time.perf_counter() - started, memory()
    print(f"  opened in {took:.2f} s; private +{after['private'] - before['private']:.0f} MB, ", end="")
    print(f"mapped +{after['mapped'] - before['mapped']:.0f} MB", flush=True)
    if samples and os.fork() == 0:
        start = memory()
        started = time.perf_counter()
        for read, index in enumerate(np.random.default_rng(1).integers(0, len(annotations), samples), 1):
            if read % READS_BETWEEN_RELEASES == 0 and annotations.file:
                annotations.file.release()
            for key in NUMBERS:
                np.array(getattr(annotations, key)[index])
            str(annotations.imgname[index])
        took, end = 1e6 * (time.perf_counter() - started) / samples, memory()
        print(f"  a loader process after {samples} random people ({took:.0f} µs each): ", end="")
        print(", ".join(f"{key} +{end[key] - start[key]:.0f} MB" for key in end), flush=True)
        os._exit(0)
    elif samples:
        os.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=20_007, help="measured before a release")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if not given")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        open_and_read(arguments.open, arguments.samples)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "people.npz"
        write(path, arguments.people)
        print(f"{arguments.people} people, {path.stat().st_size / MB:.0f} MB, every key")
        for name in ("the first time, with all checks", "again", "again, then read"):
            print(f"{name}:", flush=True)
            samples = arguments.samples if "read" in name else 0
            command = [sys.executable, __file__, "--open", str(path), "--samples", str(samples)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
