"""Rendering a whole dataset: many processes, parts that a stopped run goes on from, and annotations written last."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

import hmr_light
from hmr_light.data.annotations import Annotations, fingerprint, save_annotations
from hmr_light.data.progress import ProgressBar
from hmr_light.data.synthetic.config import SyntheticConfig
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import PHOTOGRAPHS, Renderer
from hmr_light.data.synthetic.sources import digest_of, files_below
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

if TYPE_CHECKING:
    from hmr_light.body import SMPL

VERSION = "synthetic-v1"
"""Name of the renderer. It changes whenever the same configuration would give other bytes."""

PART = 100
"""Images of one part: what a process renders at a time, and what is lost at most when it is stopped."""
_PER_FOLDER = 1000


class Task(NamedTuple):
    """One part of one split."""

    split: str
    start: int
    stop: int

    def path(self, parts: Path) -> Path:
        """Where the part's labels are kept until all parts are there."""
        return parts / f"{self.split}-{self.start:08d}.npz"


def image_name(split: str, index: int) -> str:
    """Path of an image relative to the dataset's folder."""
    return f"{split}/{index // _PER_FOLDER:03d}/{index:06d}.jpg"


def prepare_synthetic(config: SyntheticConfig, body: SMPL, out: Path) -> dict[str, Any]:
    """Render the dataset into `out` and return what `out/dataset.json` says of it.

    Writes `{train,val,test,test-ood}/000/000123.jpg`, one SPIN npz a split with `imgname` relative to `out`, a contact
    sheet, and, last of all, `dataset.json`. The bytes depend on `config` (but for `workers`), on the body, and on the
    user's files that it names. A stopped run goes on from the parts that are done; a finished one is left as it is.
    Raises `UserError` where `out` holds a dataset of another configuration, or cannot be written.
    """
    identity = {"version": VERSION, "config": config.identity(), "body": body.fingerprint, "sources": _sources(config)}
    summary_path, parts = out / "dataset.json", out / "parts"
    if (done := _read_json(summary_path)) is not None:
        _refuse_other(done, identity, out)
        return done
    _start(parts, identity, out)

    counts = config.counts.by_split()
    tasks = [
        Task(split, start, min(start + PART, count))
        for split, count in counts.items()
        for start in range(0, count, PART)
    ]
    _render_all(
        [task for task in tasks if not task.path(parts).is_file()], config, Mesh.of(body), out, sum(counts.values())
    )

    splits = {}
    for split in counts:
        columns, digest = _gather([task for task in tasks if task.split == split], parts)
        annotations = Annotations.from_arrays(columns, out / f"{split}.npz")
        save_annotations(out / f"{split}.npz", annotations)
        splits[split] = {
            "version": VERSION,
            "images": len(annotations),
            "annotations_sha256": fingerprint(annotations),
            "images_sha256": digest,
        }
    if counts:
        from hmr_light.data.synthetic.sheet import synthetic_sheet  # needs torch; the rendering processes do not

        synthetic_sheet(out, next(iter(counts)), body)
    made_with = {"hmr_light": hmr_light.__version__, "numpy": np.__version__, "opencv": cv2.__version__}
    total = hashlib.sha256(json.dumps([identity, splits], sort_keys=True).encode()).hexdigest()
    summary = {"fingerprint": total, **identity, "splits": splits, "made_with": made_with}
    _write_json(summary_path, summary)
    shutil.rmtree(parts)
    return summary


def _sources(config: SyntheticConfig) -> dict[str, str]:
    """Hashes of the user's own files that the dataset is made with."""
    folders = {
        "poses.amass": (config.poses.amass, (".npz",)),
        "scene.photographs": (config.scene.photographs, PHOTOGRAPHS),
    }
    return {key: digest_of(files_below(folder, suffixes, key)) for key, (folder, suffixes) in folders.items() if folder}


def _start(parts: Path, identity: dict[str, Any], out: Path) -> None:
    """Claim `out` for this dataset, or find that it was claimed for the same one."""
    claim = parts / "identity.json"
    if (begun := _read_json(claim)) is not None:
        _refuse_other(begun, identity, out)
        return
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty, and holds no rendered dataset", "Choose another folder: source.out=…")
    _write_json(claim, identity)


def _refuse_other(found: dict[str, Any], identity: dict[str, Any], out: Path) -> None:
    if {key: found.get(key) for key in identity} != json.loads(json.dumps(identity)):
        different = [key for key in identity["config"] if found.get("config", {}).get(key) != identity["config"][key]]
        what = ", ".join(different or [key for key in identity if found.get(key) != identity[key]])
        raise UserError(
            f"{out} holds a dataset made with another {what}", "Choose another folder (source.out=…), or remove it."
        )


def _render_all(tasks: list[Task], config: SyntheticConfig, mesh: Mesh, out: Path, total: int) -> None:
    if not tasks:
        return
    workers = min(config.workers or os.cpu_count() or 1, len(tasks))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _set_up, (config, mesh, out))
    # One thread a process, for speed; set before the processes start, for their libraries read it when they load.
    with _environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"), _progress(total) as advance:
        try:
            jobs = [pool.submit(_render, task) for task in tasks]
            advance(total - sum(task.stop - task.start for task in tasks))
            for job in as_completed(jobs):
                advance(job.result())
        finally:
            # When stopped, parts that are being rendered are finished: they are what the next run goes on from.
            pool.shutdown(cancel_futures=True)


# What a rendering process holds, set once when it starts.
_studio: Renderer
_out: Path


def _set_up(config: SyntheticConfig, mesh: Mesh, out: Path) -> None:
    global _studio, _out
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _studio, _out = Renderer(config, mesh), out


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes; without this they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _render(task: Task) -> int:
    """Write a part's images, then its labels: where there are labels there are images."""
    rows: list[dict[str, np.ndarray]] = []
    for index in range(task.start, task.stop):
        sample = _studio.sample(task.split, index)
        name = image_name(task.split, index)
        path = _out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.jpeg)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}", "Free some space, or choose source.out=…"
            ) from None
        digest = np.frombuffer(hashlib.sha256(sample.jpeg).digest(), np.uint8)
        rows.append({"imgname": np.array(name), **sample.labels, "image_sha256": digest})
    columns = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    with atomic_write(task.path(_out / "parts")) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)  # type: ignore[arg-type]
    return task.stop - task.start


def _gather(tasks: list[Task], parts: Path) -> tuple[dict[str, np.ndarray], str]:
    """A split's annotations as columns, and the hash of its images' hashes."""
    pieces = []
    for task in tasks:
        with np.load(task.path(parts), allow_pickle=False) as file:
            pieces.append({key: file[key] for key in file.files})
    columns = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    return columns, hashlib.sha256(columns.pop("image_sha256").tobytes()).hexdigest()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _progress(total: int) -> Iterator[_Pace]:
    """Images done, images a second and time left, on standard error: a bar on a terminal, else a line now and then."""
    with ProgressBar(total, "rendering", line_seconds=10, unit=" images") as bar:
        yield _Pace(lambda done, rate: bar.update(done, note=f"{rate:.0f} images/s"))


class _Pace:
    """Counts images and tells `show(done, images a second)`; what was there at the start does not count as speed."""

    def __init__(self, show: Callable[[int, float], None]) -> None:
        self._show = show
        self._done = 0
        self._found: int | None = None
        self._start = time.perf_counter()

    def __call__(self, images: int) -> None:
        self._done += images
        if self._found is None:
            self._found = images
        elapsed = time.perf_counter() - self._start
        self._show(self._done, (self._done - self._found) / max(elapsed, 1e-9))


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}", "Remove the folder, or choose another: source.out=…") from None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
