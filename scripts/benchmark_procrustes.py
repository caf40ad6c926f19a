"""How long the reconstruction error of many poses takes, beside a loop of one SVD a pose. One thread, interleaved.

    python scripts/benchmark_procrustes.py [--poses 10000] [--rounds 9]

The loop is what evaluation scripts of the field do: numpy, one pose of 14 joints at a time. Both get the same float64
arrays, and their errors are compared. A ratio is of two measurements of the same round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmr_light.geometry import procrustes_align


def one_at_a_time(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The errors (B,) of poses (B, N, 3) after a similarity alignment of each."""
    errors = np.empty(len(source))
    for index, (points, goal) in enumerate(zip(source, target, strict=True)):
        goal_mean = goal.mean(0)
        x, y = points - points.mean(0), goal - goal_mean
        u, singular, vh = np.linalg.svd(x.T @ y)
        signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vh))])
        aligned = (singular * signs).sum() / (x**2).sum() * x @ (u * signs) @ vh + goal_mean
        errors[index] = np.sqrt(((aligned - goal) ** 2).sum(-1)).mean()
    return errors


def batched(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The same by `procrustes_align`."""
    return torch.linalg.vector_norm(procrustes_align(source, target) - target, dim=-1).mean(-1)


def poses(count: int, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bodies of 14 joints, taller than wide than deep, and predictions of them, turned any way."""
    depth = 0.0 if kind == "flat" else 0.1
    target = rng.normal(size=(count, 14, 3)) * [0.2, 0.5, depth]
    source = target * rng.normal(1, 0.1, (count, 1, 1)) + rng.normal(0, 0.05, target.shape) * [1, 1, depth > 0]
    source = np.einsum("bij,bnj->bni", Rotation.random(count, rng=rng).as_matrix(), source)
    return source, target


def measure(works: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """CPU seconds of each work in every round, in turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, seconds in zip(works, times, strict=True):
            started = time.process_time()
            work()
            seconds.append(time.process_time() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    heads = (
        ("poses", 7),
        ("kind", 7),
        ("loop", 12),
        ("batched", 12),
        ("faster", 7),
        ("quartiles", 13),
        ("difference", 13),
    )
    print(" ".join(f"{head:>{width}}" for head, width in heads))
    for count in sorted({32, 1000, arguments.poses}):
        for kind in ("bodies", "flat"):
            source, target = poses(count, kind, rng)
            tensors = torch.from_numpy(source), torch.from_numpy(target)
            difference = 1000 * np.abs(one_at_a_time(source, target) - batched(*tensors).numpy()).max()
            repeats = max(1, 1000 // count)

            def loop(source: np.ndarray = source, target: np.ndarray = target, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    one_at_a_time(source, target)

            def ours(tensors: tuple[torch.Tensor, torch.Tensor] = tensors, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    batched(*tensors)

            times = measure([loop, ours], arguments.rounds)
            ratios = [slow / fast for slow, fast in zip(*times, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
            each = [1e6 * statistics.median(seconds) / count / repeats for seconds in times]
            cells = f"{count:>7} {kind:>7} {each[0]:>9.1f} µs {each[1]:>9.2f} µs {middle:>6.1f}x"
            print(f"{cells} {f'{low:.1f}–{high:.1f}':>13} {difference:>10.1e} mm")


if __name__ == "__main__":
    main()
