"""`predict` draws and writes every person it is given, says which images failed, and does the others."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.cli import compose
from support.figures import landscape, put

from hmr_light.checkpoints.format import save_model
from hmr_light.commands.predict import _target
from hmr_light.commands.predict import run as predict
from hmr_light.data.claim import claim
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize

SIZE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was not trained: what it sees is wrong, and where it sees it is right."""
    torch.manual_seed(0)
    nodes = {
        "backbone": {"name": "squeezenet1_1", "weights": None, "adapter": {"name": "pooled"}},
        "regressor": {"name": "linear"},
    }
    config = {**nodes, "data": {"image_size": SIZE}, "body": {"name": "embedded"}}
    path = tmp_path_factory.mktemp("run") / "checkpoints" / "epoch-001.pt"
    save_model(path, build_model(nodes), config, 1, {})
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two images and one that is damaged."""
    rng = np.random.default_rng()
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, (height, width) in (("a.png", (120, 200)), ("b.jpg", (300, 150))):
        coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (width, height)))
    (folder / "c.jpg").write_bytes(b"\xff\xd8 not a photograph")
    return folder


def options(checkpoint: Path, source: Path, out: Path, *more: str) -> list[str]:
    return [f"checkpoint={checkpoint}", f"input={source}", f"out={out}", "device=cpu", "threads=1", *more]


def read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as content:
        return dict(content)


def test_images_that_fail_are_listed_and_the_others_done(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = predict(compose("predict", *options(checkpoint, photographs, tmp_path / "out", "boxes=image")))
    names = {f"{stem}.{suffix}" for stem in "ab" for suffix in ("png", "npz", "glb", "obj")}
    assert {file.name for file in out.iterdir()} == names
    printed = capsys.readouterr()
    assert "2 images, 2 people" in printed.out
    assert "1 image failed" in printed.err
    assert "c.jpg: " in printed.err
    assert cv2.imread(str(out / "b.png")).shape[1] == 2 * 150
    assert "boxes: the whole image is taken for one person" in printed.err

    # The camera is what the network says of the crop that training would have shown it.
    seen = read(out / "a.npz")
    np.testing.assert_array_equal(seen["image_size"], [200, 120])
    assert float(seen["focal"]) == pytest.approx(np.hypot(200, 120))
    center, scale = np.array([[99.5, 59.5]]), np.array([1.0])
    np.savez(tmp_path / "people.npz", imgname=np.array(["a.png"]), center=center, scale=scale)
    crop = MeshDataset(tmp_path / "people.npz", photographs, image_size=SIZE)[0]["image"]
    config = torch.load(checkpoint, weights_only=True)
    model = build_model(config["config"])
    model.load_state_dict(config["model"])
    with torch.no_grad():
        expected = model.eval()(normalize(crop[None]))
    np.testing.assert_allclose(seen["camera"], expected.camera, atol=1e-4)
    np.testing.assert_allclose(seen["rotations"], expected.rotations, atol=1e-4)

    with pytest.raises(UserError, match="is there already, and not empty"):
        predict(compose("predict", *options(checkpoint, photographs, tmp_path / "out", "boxes=image")))


def test_every_box_of_a_file_is_a_person_whatever_the_batch(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.json"
    people = [[10, 10, 50, 90], [100, 20, 60, 80], [60, 5, 40, 100]]
    (tmp_path / "outside.jpg").write_bytes((photographs / "b.jpg").read_bytes())
    boxes.write_text(json.dumps({"a.png": people, "../outside.jpg": people[:1], "missing.jpg": people[:1]}))
    outs = [
        predict(
            compose(
                "predict",
                *options(checkpoint, photographs, tmp_path / f"out{size}", f"boxes={boxes}", f"batch_size={size}"),
                "meshes=[]",
                "picture_size=100",
                "focal=500",
            )
        )
        for size in (1, 16)
    ]
    assert "missing.jpg: cannot read" in capsys.readouterr().err
    assert sorted(file.name for file in outs[0].iterdir()) == ["a.npz", "a.png", "outside.npz", "outside.png"]
    one, other = (read(out / "a.npz") for out in outs)
    assert one["pose"].shape == (3, 72)
    for key in one:
        np.testing.assert_allclose(one[key], other[key], atol=1e-3, err_msg=key)
    np.testing.assert_allclose(one["scale"], np.array([90, 80, 100]) * 1.2 / 200, rtol=1e-5)
    assert float(one["focal"]) == 500
    height, width, _ = cv2.imread(str(outs[0] / "a.png")).shape
    assert width == 2 * 100
    assert 60 < height < 100  # with a caption


def test_a_video_is_drawn_frame_by_frame(checkpoint: Path, tmp_path: Path, home: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for grey in range(0, 250, 50):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\nclip.avi,10,5,30,40\n")
    more = (f"boxes={tmp_path / 'boxes.csv'}", "every=2", "meshes=[glb]")
    out = predict(compose("predict", *options(checkpoint, tmp_path / "clip.avi", tmp_path / "out", *more)))
    frames = {f"clip-{number:06d}.{suffix}" for number in (0, 2, 4) for suffix in ("png", "npz", "glb")}
    assert {file.name for file in out.iterdir()} == frames


@pytest.mark.parametrize("boxes", ["auto", "image"])
def test_the_people_of_a_video_are_followed_and_smoothed(
    checkpoint: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], boxes: str
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    rng = np.random.default_rng()
    ground = landscape(rng, 240, 320)
    for x in (10, 30, 50, 70, None):
        frame = ground.copy()
        if x is not None:
            put(frame, (x, 20), 200)
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    results = {}
    for smoothing in ("none", "one_euro"):
        out = tmp_path / smoothing
        more = (f"boxes={boxes}", f"smoothing={smoothing}", "meshes=[]", "picture_size=64")
        predict(compose("predict", *options(checkpoint, tmp_path / "clip.avi", out, *more)))
        results[smoothing] = [read(file) for file in sorted(out.glob("*.npz"))]
    if boxes == "auto":
        assert "clip-000004: nobody was found in it" in capsys.readouterr().err
        centers = [seen["center"][0, 0] for seen in results["none"]]
        # The first two are cropped where the first is seen, each later one where the one before was.
        assert centers[1] == centers[0]
        np.testing.assert_allclose(np.diff(centers[1:]), 20, atol=8)
    plain, smooth = (np.array([seen["betas"][0] for seen in results[name]]) for name in ("none", "one_euro"))
    assert len(plain) == (4 if boxes == "auto" else 5)
    assert np.abs(np.diff(smooth, axis=0)).sum() < np.abs(np.diff(plain, axis=0)).sum()
    np.testing.assert_allclose(smooth[0], plain[0], atol=1e-5)


def test_smoothing_is_for_videos(checkpoint: Path, photographs: Path, tmp_path: Path, home: Path) -> None:
    more = ("smoothing=one_euro", "boxes=image")
    with pytest.raises(UserError, match="smoothing=one_euro is for videos"):
        predict(compose("predict", *options(checkpoint, photographs, tmp_path / "out", *more)))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_another_process_writes_is_left_to_it(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path
) -> None:
    out = tmp_path / "out"
    options = (f"checkpoint={checkpoint}", f"input={photographs}", "boxes=image", "meshes=[]", f"out={out}")
    with claim(out), pytest.raises(UserError, match="another process is writing") as caught:
        predict(compose("predict", *options))
    assert caught.value.remedy.endswith("out=")
    assert not out.exists()
    predict(compose("predict", *options))
    assert not list(tmp_path.glob(".*.lock"))


def test_when_no_image_can_be_done_that_is_an_error_and_nothing_is_written(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path
) -> None:
    with pytest.raises(UserError, match=r"none of 1 image could be done; c\.jpg: .* is not an image"):
        predict(compose("predict", *options(checkpoint, photographs / "c.jpg", tmp_path / "out", "boxes=image")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], "say which input"),
        (["checkpoint=a.pt"], "say which input"),
        (["checkpoint=a.pt", "run=outputs", "input=a.jpg"], "both checkpoint= and run="),
        (["checkpoint=a.pt", "input=a.jpg"], "there is no image, folder or video"),
        (["checkpoint=a.pt", "input=a.jpg", "meshes=[stl]"], "meshes=stl"),
        (["checkpoint=a.pt", "input=a.jpg", "boxes=autoo"], "boxes=autoo is no file, and none of auto, detector"),
        (["checkpoint=a.pt", "input=a.jpg", "focal=0"], "focal=0"),
    ],
)
def test_a_mistake_is_said_before_anything_is_done(home: Path, overrides: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        predict(compose("predict", *overrides))
    assert list(home.iterdir()) == []


def test_without_a_checkpoint_the_model_in_the_package_draws(
    photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"input={photographs / 'a.png'}"
    predict(
        compose("predict", source, f"out={tmp_path / 'out'}", "boxes=image", "device=cpu", "threads=1", "meshes=[]")
    )
    assert "mobile, which comes with the package" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.png").is_file()
    assert all(
        np.isfinite(value).all() for value in read(tmp_path / "out" / "a.npz").values() if value.dtype.kind == "f"
    )


def test_without_boxes_the_people_are_found_and_a_picture_without_anybody_is_answered(
    checkpoint: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng()
    empty, person = (landscape(rng, 240, 320) for _ in range(2))
    put(person, (90, 20), 200)
    for name, image in (("empty.png", empty), ("person.png", person)):
        cv2.imwrite(str(folder / name), image[..., ::-1])
    predict(compose("predict", *options(checkpoint, folder, tmp_path / "out")))
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"person.{s}" for s in ("png", "npz", "glb", "obj")}
    said = capsys.readouterr().err
    assert "boxes: found by MoveNet" in said
    assert "empty.png: nobody was found in it" in said
    seen = read(tmp_path / "out" / "person.npz")
    assert seen["keypoints"].shape == (1, 17, 3)
    assert 1.05 < 200 * seen["scale"][0] / (164 * 200 / 192) < 1.35  # annotated boxes have a margin of 1.2
    assert seen["score"][0] > 0.6
    np.testing.assert_allclose(seen["confidence"], np.sqrt(seen["score"] * seen["agreement"]), rtol=1e-5)

    for more in ((folder / "empty.png",), (folder / "person.png", "min_score=0.99")):
        with pytest.raises(UserError, match=r"none of 1 image could be done; .*: nobody was found in it") as caught:
            predict(compose("predict", *options(checkpoint, more[0], tmp_path / "none", *more[1:])))
        assert "boxes=image" in caught.value.remedy
    assert not (tmp_path / "none").exists()


def test_boxes_that_cannot_be_right_are_told_and_never_drawn(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict_with(number: int, document: dict[str, list[list[float]]]) -> Path:
        boxes = tmp_path / f"{number}.json"
        boxes.write_text(json.dumps(document))
        more = (f"boxes={boxes}", "meshes=[]")
        return predict(compose("predict", *options(checkpoint, photographs, tmp_path / f"out{number}", *more)))

    with pytest.raises(UserError, match="shares of the image"):
        predict_with(0, {"a.png": [[0.4, 0.3, 0.2, 0.5]]})
    with pytest.raises(UserError, match="1 of 1 boxes: outside the image of 200 x 120"):
        predict_with(1, {"a.png": [[5000, 5000, 100, 100]]})
    with pytest.raises(UserError, match="1 of 1 boxes: more than 10 times as large as the image"):
        predict_with(3, {"a.png": [[0, 0, 5000, 5000]]})
    assert not list(tmp_path.glob("out*"))
    out = predict_with(2, {"a.png": [[10, 10, 50, 90], [5000, 10, 50, 90], [0.1, 0.1, 0.5, 0.5]]})
    assert read(out / "a.npz")["betas"].shape == (1, 10)
    said = capsys.readouterr().err
    assert "a.png: 1 of 2 boxes: outside the image" in said
    assert "left out: 1 of at most one pixel" in said
    assert "without a box, and left out" in said
    assert "boxes: those of 2.json" in said


def test_what_is_skipped_in_a_folder_is_told(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "d.HEIC").write_bytes(b"")
    (photographs / "sub").mkdir()
    predict(compose("predict", *options(checkpoint, photographs, tmp_path / "out", "boxes=image", "meshes=[]")))
    said = capsys.readouterr().err
    assert "(d.HEIC)" in said
    assert "1 subfolder (sub)" in said


def test_of_a_run_the_best_checkpoint_draws(
    checkpoint: Path, photographs: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = checkpoint.parents[1]
    outs = [
        predict(compose("predict", which, f"input={photographs / 'a.png'}", f"out={tmp_path / name}", "boxes=image"))
        for name, which in (("of_run", f"run={run}"), ("of_file", f"checkpoint={checkpoint}"))
    ]
    assert f"checkpoint: {checkpoint}" in capsys.readouterr().err
    np.testing.assert_array_equal(*(read(out / "a.npz")["joints"] for out in outs))


def test_a_wrong_path_is_answered_before_torch_is_imported(home: Path) -> None:
    wrong = [["checkpoint=nope.pt", "input=."], ["run=nope", "input=nope"], ["run=nope", "input=.", "boxes=a.csv"]]
    code = (
        "import sys; from hmr_light.cli import main\n"
        f"for overrides in {wrong}:\n"
        "    try: main(['predict', *overrides])\n"
        "    except SystemExit as stop: print(stop.code, {'torch', 'mlflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home, timeout=300)
    assert done.stdout == len(wrong) * "2 set()\n", done.stdout + done.stderr


def test_the_first_picture_waits_for_no_library_that_it_does_not_need(home: Path) -> None:
    """Each of these takes longer to import than the rest of the work: with all of them it was 5 s of CPU, not 2.5."""
    image = landscape(np.random.default_rng(), 240, 320)
    put(image, (90, 20), 200)
    cv2.imwrite(str(home / "person.png"), image[..., ::-1])
    code = (
        "import sys; from hmr_light.cli import main\n"
        "try: main(['predict', 'input=person.png', 'out=out'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(*sorted({'torch', 'torchvision', 'scipy', 'mlflow', 'pandas', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "torch"
    assert (home / "out" / "person.png").is_file()


@pytest.mark.parametrize("names", list(itertools.permutations(("a.jpg", "a_png.jpg", "a.png", "a.jpeg"))))
def test_no_image_takes_the_place_of_another_in_whatever_order_they_come(names: tuple[str, ...]) -> None:
    written: list[Path] = []
    for name in names:
        written.append(_target(Path("out"), name, written))
    assert len(set(written)) == len(names)
