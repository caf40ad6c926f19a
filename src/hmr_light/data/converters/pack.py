"""Packing the images of annotations into a few large files, from which they are read with one request each.

The shards are WebDataset's (tar files whose members with the same name up to the first dot are one sample), so other
programs can stream them; this one reads any image by its place, which the annotations of the pack say. What is packed:

- whole images: their files' bytes as they are, and so the very same samples, as fast as decoding allows;
- crops: the pixels around each person, decoded, as `MeshDataset` cuts them out of the file. Nothing is left to decode,
  and the samples are the same, bit by bit, for crops of `image_size` and augmentation within `CONTEXT`. Large ones
  can be limited to `max_side`; these samples are a little softer then.

A sample also holds its labels as JSON: `imgname`, and `people` with the annotations' keys.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.data.annotations import NUMBERS, Annotations, load_annotations, save_annotations
from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.crop import read_content
from hmr_light.data.images import PACKED, ImageFiles
from hmr_light.data.progress import track
from hmr_light.deployment.runtime.crop import Window, crop_matrix, mean_of_blocks, shrink_factor
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

Place = tuple[str, int, int, tuple[int, int], tuple[float, float, float]]
"""A person's entries of the columns `PACKED`."""


def convert(
    annotations: Path,
    images: Path,
    out: Path,
    *,
    crops: bool = True,
    image_size: int = 224,
    max_side: int | None = None,
    shard_mb: int = 1024,
) -> ConversionSummary:
    """Pack the people of `annotations` into `out` (npz), which must not exist yet, and shards beside it.

    People whose image cannot be read are left out and counted. Raises `UserError` if none can.
    """
    refuse_existing(out)
    labels = load_annotations(annotations)
    files = ImageFiles(labels, annotations, images)
    places: dict[int, Place] = {}
    unreadable = 0
    with _Shards(out, shard_mb << 20) as shards:
        for name, people in track(list(_samples(labels, one_each=crops)), "packing"):
            try:
                if crops:
                    content, pixels, window = _crop(files, people[0], image_size, max_side)
                else:
                    content, pixels, window = read_content(images / name).tobytes(), (0, 0), (0.0, 0.0, 1.0)
            except UserError:
                unreadable += len(people)
                continue
            suffix = ".bgr.npy" if crops else Path(name).suffix.lower()
            shard, offset = shards.add(suffix, content, _describe(labels, name, people))
            length = pixels[0] * pixels[1] * 3 if crops else len(content)
            place = shard, offset + len(content) - length, length, pixels, window
            places |= dict.fromkeys(people, place)
    dropped = {"image missing or damaged": unreadable} if unreadable else {}
    step = train_step("custom", out, out.parent)
    summary = ConversionSummary(out, len(places), dropped, out.parent, step)
    if not places:
        raise UserError(f"no image of {annotations} can be read in {images}", "Give the folder of its images.")
    _save(out, labels, places)
    return summary


def _samples(labels: Annotations, *, one_each: bool) -> Iterator[tuple[str, list[int]]]:
    """Image and people of each sample: every person alone, or all of an image together."""
    if one_each:
        yield from ((str(name), [index]) for index, name in enumerate(labels.imgname))
        return
    people: dict[str, list[int]] = {}
    for index, name in enumerate(labels.imgname):
        people.setdefault(str(name), []).append(index)
    yield from people.items()


def _crop(
    files: ImageFiles, index: int, image_size: int, max_side: int | None
) -> tuple[bytes, tuple[int, int], tuple[float, float, float]]:
    """The pixels around a person as an npy file, their height and width, and their window."""
    labels = files.annotations
    matrix = crop_matrix(labels.center[index], labels.scale[index], image_size)
    pixels, window = files.read(index, shrink_factor(matrix))
    if max_side and max(pixels.shape[:2]) > max_side:
        blocks = -(-max(pixels.shape[:2]) // max_side)
        pixels, shift = mean_of_blocks(pixels, blocks), (blocks - 1) / 2 * window.pixel
        window = Window(window.x + shift, window.y + shift, window.pixel * blocks)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(pixels), allow_pickle=False)
    height, width = pixels.shape[:2]
    return content.getvalue(), (height, width), (window.x, window.y, window.pixel)


def _describe(labels: Annotations, name: str, people: list[int]) -> dict[str, Any]:
    keys = [key for key in NUMBERS if key in ("center", "scale") or getattr(labels, key)[people].any()]
    entries = [{key: getattr(labels, key)[index].tolist() for key in keys} | {"index": index} for index in people]
    return {"imgname": name, "people": entries}


def _save(out: Path, labels: Annotations, places: dict[int, Place]) -> None:
    kept = np.array(sorted(places))
    types = (np.str_, np.int64, np.int64, np.int32, np.float64)
    columns = zip(*(places[index] for index in kept.tolist()), strict=True)
    arrays = {key: value[kept] for key, value in labels.to_arrays().items()}
    arrays |= {key: np.array(column, kind) for key, column, kind in zip(PACKED, columns, types, strict=True)}
    save_annotations(out, Annotations.from_arrays(arrays, out))


class _Shards:
    """The tar files of a pack as they are written; each appears when it is full."""

    def __init__(self, out: Path, limit: int) -> None:
        self._out, self._limit = out, limit
        self._shard, self._shards, self._samples = "", 0, 0
        self._tar: tarfile.TarFile | None = None
        self._files = ExitStack()

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *problem: Any) -> bool | None:
        return self._files.__exit__(*problem)

    def add(self, suffix: str, content: bytes, labels: dict[str, Any]) -> tuple[str, int]:
        """Write one sample; returns the shard, and where `content` begins in it."""
        if self._tar is None or self._tar.offset > self._limit:
            self._files.close()
            self._shard = f"{self._out.stem}-{self._shards:06d}.tar"
            self._shards += 1
            temporary = self._files.enter_context(atomic_write(self._out.with_name(self._shard)))
            self._tar = self._files.enter_context(tarfile.TarFile(temporary, "w", format=tarfile.USTAR_FORMAT))
        key = f"{self._samples:09d}"
        self._samples += 1
        start = self._tar.offset + tarfile.BLOCKSIZE
        for name, part in ((key + suffix, content), (f"{key}.json", json.dumps(labels).encode())):
            member = tarfile.TarInfo(name)
            member.size = len(part)
            self._tar.addfile(member, io.BytesIO(part))
        return self._shard, start
