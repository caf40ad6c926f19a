"""What the runtime without torch costs: `python scripts/benchmark_runtime.py PYTHON`, one that has the wheel.

Printed are the size of what the wheel and its dependencies install, and of fresh processes (medians) the CPU time from
the start to the first answer for the shipped photograph, the most memory, and the CPU time of each further answer. It
reads Linux's /proc.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

from hmr_light.paths import sample_photograph

ANSWER = """
import json, re, sys, time
import cv2
import hmr_light_runtime
predictor = hmr_light_runtime.Predictor(hmr_light_runtime.load_model())
image = cv2.imread(sys.argv[1], cv2.IMREAD_COLOR_RGB)
people = predictor(image)
first = time.process_time()
for _ in range(20):
    predictor(image)
each = (time.process_time() - first) / 20
kilobytes = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss holds the parent's
foreign = sorted({"torch", "hydra", "mlflow", "hmr_light"} & {*sys.modules})
memory = kilobytes * 1024 / 1e6
print(json.dumps({"people": len(people), "first_s": first, "each_s": each, "mb": memory, "foreign": foreign}))
"""
SIZE = """
import importlib.metadata, re
done, waiting, total = set(), ["hmr-light-runtime"], 0
while waiting:
    name = waiting.pop()
    if name in done:
        continue
    done.add(name)
    distribution = importlib.metadata.distribution(name)
    total += sum(file.size or 0 for file in distribution.files)
    needed = [one for one in distribution.requires or [] if "extra ==" not in one]
    waiting += [re.match(r"[\\w.-]+", one)[0].lower() for one in needed]
print(total)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    size = environment_bytes(options.python)
    print(f"environment: {size / 2**20:.0f} MiB ({size / 1e6:.0f} million bytes)")
    answers = [answer(options.python) for _ in range(options.rounds)]
    first, each, memory = (statistics.median(one[key] for one in answers) for key in ("first_s", "each_s", "mb"))
    print(f"start to first answer: {first:.2f} s of CPU time")
    print(f"each further answer: {1000 * each:.1f} ms of CPU time")
    print(f"memory: {memory:.0f} MB")


def answer(python: Path) -> dict:
    """Of a fresh process of `python`: how many people it saw, CPU times in seconds, the most memory in MB."""
    command = [str(python), "-c", ANSWER, str(sample_photograph())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def environment_bytes(python: Path) -> int:
    """The size of the files that the wheel and its dependencies have installed for `python`."""
    return int(subprocess.run([str(python), "-c", SIZE], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
