"""CPU time from a photograph of 1920×1080 to a person's joints, beside SPIN's way: [--photographs FOLDER] [--number N].

Without a folder the photographs are rendered people, which are kept in $HMR_LIGHT_HOME/end_to_end. Only photographs in
which the finder sees exactly one person count, so that every way has the same person to do. Everything is measured in
turns in one process with one thread, and in processor time: `decode`, `find`, `crop`, `network`, `joints` (with the
mesh). SPIN's way is that of its demo, written anew: OpenCV decodes, the box is cut out in float64 and resized by Pillow
(as `scipy.misc` did) or by scikit-image (where it is installed), and ResNet-50 with three iterations runs in torch as
it was trained, then SMPL by smplx. SPIN has no finder: it is given the box that ours found.

Models of integers are those in $HMR_LIGHT_HOME/runtimes/compressed.json (see scripts/benchmark_runtimes.py). A stopped
script goes on where it was: the times of each photograph are kept. The table is written into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from benchmark_loading import MEAN, STD, cut, resize, stretched
from benchmark_runtimes import reference
from omegaconf import OmegaConf
from torch import nn

from hmr_light.body import SMPL, load_body
from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.models import load_model
from hmr_light.config import typed
from hmr_light.cost.paired import compare
from hmr_light.data.crop import decode_image
from hmr_light.data.synthetic import SyntheticConfig
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer
from hmr_light.deployment import runtime
from hmr_light.deployment.export import export_file
from hmr_light.deployment.finder import export_finder
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.predicting import Finder, PeoplePredictor
from hmr_light.errors import UserError
from hmr_light.model.predictor import Predictor
from hmr_light.paths import atomic_write, conf_dir, home

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- end to end by scripts/benchmark_end_to_end.py -->", "<!-- end of end to end -->"
STAGES = ("decode", "find", "crop", "network", "joints")
WIDTH, HEIGHT, SPIN_SIZE = 1920, 1080, 224
HALF = cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB  # half the size, in colour
SPIN = "SPIN's way, "
# One person, whom the finder can see, and who fills most of the height: of the square that is rendered, the middle is
# the photograph.
CHANGES = {
    "size": WIDTH,
    "poses": {
        "archetypes": {"sit": 0, "squat": 0, "kneel": 0, "lie": 0, "bend": 0},
        "yaw_degrees": [-60, 60],
        "frames_per_clip": 1,
    },
    "camera": {"context": [1.9, 2.9], "truncation": 0, "pitch_degrees": [-15, 15]},
    "scene": {"second_person": 0, "occlusion": 0, "clutter": [0, 4]},
    "sensor": {"blur_px": [0.05, 0.2], "motion_blur": 0},
}
BLOCK = 10
"""Photographs that a way does before it is the next one's turn."""
Stage = Callable[[str], None]
"""Is called at the end of each stage, with its name."""
Way = Callable[[Path, Box, Stage], None]
"""From a photograph, and the person's box where it cannot find it, to joints."""


class Timed:
    """A model that notes the processor time of its calls in `seconds`, and is otherwise the model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.seconds = 0.0

    def __call__(self, crops: Any) -> Any:
        begin = time.process_time()
        result = self._model(crops)
        self.seconds += time.process_time() - begin
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@dataclass(frozen=True)
class Ours:
    """A `Predictor`, whose model is `Timed`."""

    predictor: PeoplePredictor
    model: Timed
    flags: int = cv2.IMREAD_COLOR_RGB
    """By which the photograph is decoded."""

    def __call__(self, photograph: Path, box: Box, stage: Stage) -> None:
        image = decoded(photograph, self.flags)
        stage("decode")
        found = self.predictor.finder.find(image)
        stage("find")
        cropped = self.predictor.cropped(image, found)
        stage("crop")
        self.model.seconds = 0.0
        self.predictor.people([cropped])
        stage("joints")


@dataclass(frozen=True)
class Spin:
    """What SPIN's demo does, but for drawing."""

    network: nn.Module
    body: SMPL
    with_pillow: bool

    @torch.no_grad()
    def __call__(self, photograph: Path, box: Box, stage: Stage) -> None:
        image = decoded(photograph, cv2.IMREAD_COLOR)[:, :, ::-1].copy()
        stage("decode")
        crop = spin_crop(image, box, self.with_pillow)
        stage("crop")
        rotations, betas, _ = self.network(crop[None])
        stage("network")
        self.body(rotations, betas)
        stage("joints")


def decoded(photograph: Path, flags: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """The pixels (H, W, 3) uint8. Raises `UserError` for what is no image."""
    image = cv2.imread(str(photograph), flags)
    if image is None:
        raise UserError(f"{photograph} is not an image, or a damaged one", "Leave it out.")
    return image


def spin_crop(image: np.ndarray, box: Box, with_pillow: bool) -> torch.Tensor:
    """The normalised crop (3, 224, 224) of an RGB image uint8: whole pixels are cut out in float64, then resized."""
    x, y = (box.center + 0.5).astype(int)  # SPIN counts from the edge of the first pixel
    square, size = cut(image, x, y, int(100 * box.scale)), (SPIN_SIZE, SPIN_SIZE)
    if with_pillow:
        crop = np.asarray(PIL.Image.fromarray(stretched(square)).resize(size, PIL.Image.Resampling.BILINEAR))
    else:
        crop = resize(square, size, preserve_range=True)
    values = crop.transpose(2, 0, 1).astype(np.float32) / 255
    return torch.from_numpy(((values - MEAN) / STD).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, metavar="FOLDER", help="of JPEG files; default: rendered people")
    parser.add_argument("--number", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    folder = home() / "end_to_end"
    photographs = sorted(options.photographs.glob("*.jp*g")) if options.photographs else rendered(folder)
    kept = folder / f"times-{options.photographs.resolve().name if options.photographs else 'rendered'}.json"
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as models:
        ways, finder = open_ways(Path(models))
        results = measure(photographs, ways, finder, kept, options.number)
    write_page(results)


def rendered(folder: Path) -> Iterator[Path]:
    """Photographs of rendered people, without end; those that are not there yet are made."""
    values: Any = OmegaConf.load(conf_dir() / "source" / "synthetic.yaml")
    del values["name"], values["out"]
    config: Any = typed(SyntheticConfig, OmegaConf.merge(values, CHANGES))  # type: ignore[arg-type]
    renderer: Renderer | None = None
    for number in itertools.count():
        path = folder / "photographs" / f"{number:04d}.jpg"
        if not path.is_file():
            renderer = renderer or Renderer(config, Mesh.of(load_body()))
            with atomic_write(path) as temporary:
                cv2.imwrite(str(temporary), photograph(renderer, number), [cv2.IMWRITE_JPEG_QUALITY, 92])
        yield path


def photograph(renderer: Renderer, number: int) -> np.ndarray:
    """BGR (1080, 1920, 3): the middle of a rendered square."""
    square = decode_image(np.frombuffer(renderer.sample("test", number).jpeg, np.uint8), f"photograph {number}")
    top = (WIDTH - HEIGHT) // 2
    return square[top : top + HEIGHT]


def open_ways(folder: Path) -> tuple[dict[str, Way], Finder]:
    """What is measured, by the names of the table, and the finder whose boxes SPIN is given."""
    listed = home() / "runtimes" / "compressed.json"
    compressed = json.loads(listed.read_text()) if listed.is_file() else {}
    finder = runtime.PeopleFinder(export_finder(folder / "finder.onnx").path)
    numpy_body, body = runtime.load_body(EMBEDDED_BODY), load_body()

    def exported(source: str, precision: str, format: str = "onnx") -> Path:
        out = folder / f"{Path(source).stem}-{len(list(folder.iterdir()))}.{'xml' if format == 'openvino' else 'onnx'}"
        return export_file(load_checkpoint(Path(source)), body, out, format=format, precision=precision).path

    def of_runtime(file: Path, flags: int = cv2.IMREAD_COLOR_RGB) -> Ours:
        model: Any = Timed(runtime.load_model(file))
        return Ours(runtime.Predictor(model, numpy_body, finder=finder), model, flags)

    def of_package(source: str | Path, **parts: Any) -> Ours:
        model: Any = Timed(load_model(source, "cpu"))
        return Ours(Predictor(model, body, **parts), model)

    network = reference()
    ways: dict[str, Way] = {f"{SPIN}Pillow": Spin(network, body, True)}
    if resize:
        ways[f"{SPIN}scikit-image"] = Spin(network, body, False)
    ways["`hmr_light`: `mobile`, torch"] = of_package("mobile")
    ways["`hmr_light_runtime`: `pocket_shared`, codebook"] = of_runtime(exported("pocket_shared", "codebook"))
    ways["`hmr_light_runtime`: `mobile`, float32"] = of_runtime(exported("mobile", "float32"))
    for name in ("mobile", "pocket"):
        if source := compressed.get(f"{name} int8"):
            file = exported(source, "int8")
            ways[f"`hmr_light_runtime`: `{name}`, int8"] = of_runtime(file)
            if name == "pocket":
                ways["the same, decoded at half the size"] = of_runtime(file, HALF)
            file = exported(source, "int8", "openvino")
            ways[f"`hmr_light`: `{name}`, int8 by OpenVINO, `finder.onnx`"] = of_package(file, finder=finder)
    return ways, finder


def measure(
    photographs: Iterable[Path], ways: Mapping[str, Way], finder: Finder, kept: Path, number: int
) -> dict[str, Any]:
    """The times of up to `number` photographs in which exactly one person is found; those in `kept` are not repeated.

    Each way does `BLOCK` photographs, one after the other, as it would without the others; then the next one does them.
    Returns for each photograph the seconds of each stage of each way, the load and the share of a core that the process
    had; None for one that does not count.
    """
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    results: dict[str, Any] = {}
    paths = iter(photographs)
    while block := list(itertools.islice(paths, min(BLOCK, number - sum(map(bool, results.values()))))):
        missing = [path for path in block if not is_done(known.get(path.name, {}), ways)]
        if missing:
            known |= time_block(missing, ways, finder, turn=len(results) // BLOCK)
            with atomic_write(kept) as temporary:
                temporary.write_text(json.dumps(known))
        results |= {path.name: known[path.name] for path in block}
    return results


def is_done(one: Mapping[str, Any] | None, ways: Mapping[str, Way]) -> bool:
    return one is None or ways.keys() == one.get("times", {}).keys()


def time_block(photographs: Sequence[Path], ways: Mapping[str, Way], finder: Finder, turn: int) -> dict[str, Any]:
    found = {path: finder.find(decoded(path)) for path in photographs}
    boxes = {path: people[0].box for path, people in found.items() if len(people) == 1}
    times: dict[Path, dict[str, Any]] = {path: dict.fromkeys(ways) for path in boxes}
    load, begin, cpu = os.getloadavg()[0], time.perf_counter(), time.process_time()
    names = list(ways)
    for name in names[turn % len(names) :] + names[: turn % len(names)]:
        for path, box in boxes.items():
            times[path][name] = time_way(ways[name], path, box)
    share = (time.process_time() - cpu) / (time.perf_counter() - begin)
    return {
        path.name: {"times": times[path], "load": load, "share": share} if path in boxes else None
        for path in photographs
    }


def time_way(way: Way, photograph: Path, box: Box) -> dict[str, float]:
    """Seconds of processor time of each stage."""
    taken: dict[str, float] = {}
    last = time.process_time()

    def stage(name: str) -> None:
        nonlocal last
        now = time.process_time()
        taken[name] = now - last
        last = time.process_time()

    way(photograph, box, stage)
    if isinstance(way, Ours):  # its network is a part of what gives joints
        taken["network"] = way.model.seconds
        taken["joints"] -= way.model.seconds
    return taken


def table(results: Mapping[str, Any]) -> list[str]:
    """Lines of markdown: medians of each stage, and how many times less CPU time than SPIN's way, with quartiles."""
    counted = [one for one in results.values() if one is not None]
    ways = list(counted[0]["times"])
    yardsticks = [name for name in ways if name.startswith(SPIN)]
    titles = [f"{name.removeprefix(SPIN)}{more}" for name in yardsticks for more in ("", ", box given")]
    columns = ("milliseconds", *STAGES, "all", *titles)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for way in ways:
        times = [one["times"][way] for one in counted]
        cells = [median_ms([one[stage] for one in times]) if stage in times[0] else "" for stage in STAGES]
        cells.append(median_ms([sum(one.values()) for one in times]))
        for yardstick in yardsticks:
            theirs = [sum(one["times"][yardstick].values()) for one in counted]
            for finds in (True, False):
                ours = [sum(one.values()) - (0 if finds else one.get("find", 0)) for one in times]
                ratio = compare(theirs, ours)
                cells.append(f"{ratio.median:.1f} ({ratio.low:.1f}–{ratio.high:.1f})")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    load, share = (np.median([one[key] for one in counted]) for key in ("load", "share"))
    lines.append(
        f"\n{len(counted)} photographs; {len(results) - len(counted)} more were left out, for the finder saw nobody in "
        f"them, or several people. Load average {load:.1f}; the process had {share:.2f} of a core (medians)."
    )
    return lines


def median_ms(seconds: Sequence[float]) -> str:
    return f"{1000 * np.median(seconds):.1f}"


def write_page(results: Mapping[str, Any]) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    with atomic_write(PAGE) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n" + "\n".join(table(results)) + f"\n{END}" + rest.partition(END)[2])


if __name__ == "__main__":
    main()
