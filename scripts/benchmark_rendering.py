"""Images a second that one core renders, and what they are spent on: `python scripts/benchmark_rendering.py`.

In turns with a yardstick in the same process, OpenCV's rasteriser drawing the same mesh, whose time the ratio is to.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from omegaconf import OmegaConf

from hmr_light.body import load_body
from hmr_light.config import typed
from hmr_light.data.synthetic import SyntheticConfig, sample
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer
from hmr_light.paths import conf_dir

IMAGES, TURNS = 10, 20
STAGES = ("sample_pose", "dress", "sample_shot", "rasterise", "background", "cast_shadow", "paint", "expose", "encode")


def renderer(size: int, mesh: Mesh) -> Renderer:
    """The reference configuration at a size."""
    values: Any = OmegaConf.load(conf_dir() / "source" / "synthetic.yaml")
    del values["name"], values["out"]
    return Renderer(typed(SyntheticConfig, OmegaConf.merge(values, {"size": size})), mesh)  # type: ignore[arg-type]


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def render(place: Renderer, first: int, count: int) -> None:
    """Render samples of the training split."""
    for index in range(first, first + count):
        place.sample("train", index)


def yardstick(mesh: Mesh, size: int) -> Callable[[], Any]:
    """The mesh in rest pose, drawn twice, as a sample needs it."""
    points = (mesh.template * (1, -1, -1) + (0, 0, 2.5)).astype(np.float32)
    values, axes = np.zeros_like(points), np.diag([1, -1, -1, 1]).astype(np.float32)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)

    def draw() -> None:
        for _ in range(2 * IMAGES):
            colour, depth = np.zeros((size, size, 3), np.float32), np.full((size, size), 100, np.float32)
            cv2.triangleRasterize(points, mesh.faces, values, colour, depth, axes, 0.9, 0.05, 100.0, settings)

    return draw


def timed(spent: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, adding its processor time to `spent`."""

    def wrapper(*args: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **options)
        finally:
            spent[name] += time.process_time() - start

    return wrapper


def main() -> None:
    """Print, for two sizes, images a second, the ratio to the yardstick with quartiles, and the stages' shares."""
    cv2.setNumThreads(1)
    mesh = Mesh.of(load_body())
    for size in (224, 96):
        place, draw = renderer(size, mesh), yardstick(mesh, size)
        times = []
        for turn in range(-1, TURNS):  # the first warms up
            first = (turn + 1) * IMAGES
            times.append((seconds(render, place, first, IMAGES) / IMAGES, seconds(draw) / IMAGES))
        ours, theirs = np.array(times[1:]).T
        ratio = np.percentile(ours / theirs, (25, 50, 75))
        print(
            f"{size} px: {1 / np.median(ours):.0f} images/s a core ({1e3 * np.median(ours):.1f} ms); "
            f"{ratio[1]:.1f} times the bare rasteriser (quartiles {ratio[0]:.1f}-{ratio[2]:.1f})"
        )
        spent: dict[str, float] = defaultdict(float)
        before = {name: getattr(sample, name) for name in STAGES}
        for name, function in before.items():
            setattr(sample, name, timed(spent, name, function))
        total = seconds(render, place, 0, 100)
        for name, function in before.items():
            setattr(sample, name, function)
        print("   " + ", ".join(f"{name} {100 * spent[name] / total:.0f} %" for name in STAGES))


if __name__ == "__main__":
    main()
