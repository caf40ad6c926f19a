"""Images as people really have them are read as what they are; what cannot be read is replaced, always alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from hmr_light.data.annotations import Annotations, fingerprint, load_annotations, save_annotations
from hmr_light.data.bad_samples import ATTEMPTS, EvaluationSamples, TrainingSamples, name_bad, write_bad
from hmr_light.data.crop import read_image
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError

SEED = int(np.random.default_rng().integers(2**31))
PEOPLE = 40
SIZE = (120, 90)


def picture(rng: np.random.Generator) -> Image.Image:
    coarse = rng.integers(70, 220, (6, 8, 3), np.uint8)  # so no pixel of it becomes black, whatever the cubics add
    return Image.fromarray(cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def with_alpha(image: Image.Image) -> bytes:
    image = image.copy()
    image.putalpha(77)
    return encoded(image, "PNG")


def sixteen_bit(image: Image.Image) -> bytes:
    return cv2.imencode(".png", np.asarray(image)[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90 degrees to show me"
    return encoded(image, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize(
    ("make", "suffix", "tolerance"),
    [
        (lambda image: encoded(image.convert("CMYK"), "JPEG", quality=95), ".jpg", 3),
        (sixteen_bit, ".png", 0),
        (with_alpha, ".png", 0),
        (lambda image: encoded(image.convert("L"), "PNG"), ".png", None),
        (lambda image: encoded(image.convert("L"), "JPEG", quality=95), ".jpg", None),
        (turned, ".jpg", 3),
        (lambda image: encoded(image, "PNG"), ".jpg", 0),
        (lambda image: encoded(image, "JPEG", quality=95), ".png", 3),
        (lambda image: encoded(image, "WEBP", lossless=True), ".jpg", 0),
    ],
    ids=["CMYK", "16 bit", "alpha", "grey PNG", "grey JPEG", "EXIF", "PNG as .jpg", "JPEG as .png", "WebP as .jpg"],
)
def test_every_kind_of_image_is_read_as_its_pixels_are_stored(
    make: Callable[[Image.Image], bytes], suffix: str, tolerance: int | None, tmp_path: Path
) -> None:
    image = picture(np.random.default_rng(SEED))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make(image))
    read = read_image(path)[:, :, ::-1].astype(int)
    if tolerance is None:
        expected, tolerance = np.repeat(np.asarray(image.convert("L"))[:, :, None], 3, axis=2).astype(int), 3
    else:
        expected = np.asarray(image).astype(int)
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() <= tolerance


def damage(content: bytes, kind: str) -> bytes:
    return {
        "cut": content[: len(content) * 2 // 3],
        "cut by a byte of data": content[:-40],
        "empty": b"",
        "zeros": bytes(len(content)),
        "end zeroed": content[: len(content) // 2] + bytes(len(content) // 2),
        "text": b"<html>404 Not Found</html>",
        "head alone": content[:20],
    }[kind]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("kind", ["cut", "cut by a byte of data", "empty", "zeros", "end zeroed", "text", "head alone"])
def test_a_damaged_image_is_an_error_and_not_half_a_picture(kind: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(damage(encoded(picture(np.random.default_rng(SEED)), form), kind))
    for shrink in (1, 2, 4):
        with pytest.raises(UserError, match=r"a\.jpg is not an image, or a damaged one"):
            read_image(path, shrink)


BAD = {
    3: "is not an image",
    4: "there is no image",
    11: "scale[11] = 0.0",
    17: "openpose[17, 2, 0] = nan",
    18: "openpose[18, 2, 0] = inf",
    25: "is outside the image",
    26: "is outside the image",
    30: "is not an image",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> MeshDataset:
    """A set of which some cannot be used, each for a reason of its own."""
    root = tmp_path_factory.mktemp("faulty")
    rng = np.random.default_rng(SEED)
    names = np.array([f"{index:02d}.jpg" for index in range(PEOPLE)])
    for name in names:
        (root / name).write_bytes(encoded(picture(rng), "JPEG"))
    (root / "03.jpg").write_bytes((root / "03.jpg").read_bytes()[:900])
    (root / "04.jpg").unlink()
    (root / "30.jpg").write_bytes(b"")
    arrays = {
        "imgname": names,
        "center": np.full((PEOPLE, 2), 45.0),
        "scale": np.full(PEOPLE, 0.3),
        "openpose": np.ones((PEOPLE, 25, 3)),
        "pose": rng.normal(0, 0.2, (PEOPLE, 72)),
        "shape": np.zeros((PEOPLE, 10)),
    }
    arrays["center"][25] = (SIZE[0] + 31, 45)
    arrays["center"][26] = (45, -31)
    arrays["center"][27] = (SIZE[0] + 20, -20)  # a corner of the box is in the image
    arrays["scale"][11] = 0
    arrays["openpose"][17, 2, 0] = np.nan
    arrays["openpose"][18, 2, 0] = np.inf
    np.savez(root / "a.npz", **arrays)
    return MeshDataset(root / "a.npz", root, image_size=64, keep_faulty=True)


def samples(dataset: TrainingSamples, workers: int, epoch: int) -> list[dict[str, torch.Tensor]]:
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=[[(epoch, i)] for i in range(PEOPLE)], num_workers=workers
    )
    return list(loader)


def test_what_cannot_be_read_is_replaced_alike_whatever_the_workers_and_named(
    faulty: MeshDataset, tmp_path: Path
) -> None:
    training = TrainingSamples(Mixture([faulty], [1.0], PEOPLE, seed=SEED))
    epoch = int(np.random.default_rng(SEED).integers(1, 9))
    alone, together = samples(training, 0, epoch), samples(training, 2, epoch)
    for one, other in zip(alone, together, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    seen = sorted(index for one in alone if (index := int(one["index"])) not in BAD)
    assert len(seen) == PEOPLE
    assert set(seen) == set(range(PEOPLE)) - BAD.keys()
    skipped = torch.cat([one["skipped"] for one in alone])
    assert set(skipped[skipped >= 0].tolist()) == BAD.keys()

    bad: dict[tuple[str, int], str] = {}
    name_bad(bad, "train.a", faulty, skipped)
    assert {index for _, index in bad} == BAD.keys()
    for index, reason in BAD.items():
        assert reason in bad["train.a", index], bad["train.a", index]
    write_bad(tmp_path / "bad.csv", bad, {"train.a": faulty})
    lines = (tmp_path / "bad.csv").read_text().splitlines()
    assert lines[0] == "set,index,image,reason"
    assert len(lines) == 1 + len(BAD)


def test_of_an_evaluation_set_everybody_comes_once_and_the_bad_are_marked(faulty: MeshDataset) -> None:
    evaluation = EvaluationSamples(faulty)
    marked = [int(evaluation[index]["skipped"][0]) for index in range(PEOPLE)]
    assert [index for index in marked if index >= 0] == sorted(BAD)
    assert all(int(evaluation[index]["index"]) == index for index in range(PEOPLE) if index not in BAD)


def test_a_set_that_is_all_bad_is_an_error_and_not_an_endless_search(faulty: MeshDataset, tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(b"not an image")
    arrays = {"imgname": np.array(["0.jpg"] * 9), "center": np.full((9, 2), 5.0), "scale": np.full(9, 0.1)}
    save_annotations(tmp_path / "a.npz", Annotations.from_arrays(arrays))
    dataset = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=64)
    with pytest.raises(UserError, match=f"{ATTEMPTS} samples in a row cannot be read"):
        TrainingSamples(Mixture([dataset], [1.0], 9))[0, 0]


def test_boxes_of_any_size_take_no_more_memory_than_their_images(tmp_path: Path) -> None:
    scales = [1e-5, 1.0, 1.0, 1.0, 1.0, 1e3, 1e4, 1e5]  # most are sound: a set of none such is refused as a whole
    for suffix, form in {".jpg": "JPEG", ".png": "PNG"}.items():
        (tmp_path / f"a{suffix}").write_bytes(encoded(picture(np.random.default_rng(SEED)), form))
        arrays = {"imgname": np.array([f"a{suffix}"] * 8), "center": np.full((8, 2), 45.0), "scale": np.array(scales)}
        save_annotations(tmp_path / "a.npz", Annotations.from_arrays(arrays))
        dataset = MeshDataset(tmp_path / "a.npz", tmp_path, image_size=64)
        shown = [float(dataset[index]["image"].float().mean()) for index in range(len(scales))]
        assert min(shown[:5]) > 0, "within the image, and a little more than it"
        assert max(shown[5:]) < 1, "an image that is less than a pixel of the crop"


def test_faulty_people_are_kept_only_where_that_is_asked_for(faulty: MeshDataset) -> None:
    with pytest.raises(UserError, match=r"openpose\[17, 2, 0\] = nan .* \(2 of 40 people\)"):
        load_annotations(faulty.path)
    kept = load_annotations(faulty.path, keep_faulty=True)
    assert kept.faulty.keys() == {11, 17, 18}
    # That some were left out is not noted as if the file had passed.
    with pytest.raises(UserError):
        load_annotations(faulty.path)
    assert fingerprint(kept) == fingerprint(faulty.annotations)
