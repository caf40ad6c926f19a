"""`hmr-light prepare`: from a source to annotations, a sheet to look at, the next step, and a training run."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cli import Command, compose
from support.hints import arguments_of, hints_in

from hmr_light.commands.prepare import run as prepare
from hmr_light.commands.train import run as train
from hmr_light.data.annotations import load_annotations
from hmr_light.errors import UserError
from hmr_light.paths import conf_dir

# COCO's seventeen keypoints among the 24 joints.
COCO = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]


@pytest.fixture
def coco(rendered: Path, tmp_path: Path) -> Path:
    """The rendered test images with labels in COCO's person_keypoints format."""
    labels = load_annotations(rendered / "test.npz")
    shutil.copytree(rendered / "test", tmp_path / "coco" / "images" / "test")
    images, people = [], []
    for index, name in enumerate(labels.imgname):
        keypoints = labels.part[index][COCO].astype(float)
        keypoints[:, 2] = 2
        corner, side = labels.center[index] - 100 * labels.scale[index] / 1.2, 200 * labels.scale[index] / 1.2
        images.append({"id": index, "file_name": str(name)})
        box = [*map(float, corner), float(side), float(side)]
        people.append({"image_id": index, "keypoints": keypoints.ravel().tolist(), "bbox": box, "iscrowd": 0})
    file = tmp_path / "coco" / "person_keypoints.json"
    file.write_text(json.dumps({"images": images, "annotations": people}))
    return tmp_path / "coco"


def test_photographs_of_coco_train_by_their_2d_keypoints_and_mix_with_the_rendered_set(
    coco: Path, quick: list[str], rendered: Path
) -> None:
    out = coco / "coco.npz"
    options = [f"source.annotations={coco / 'person_keypoints.json'}", f"source.images={coco / 'images'}"]
    prepare(compose("prepare", "source=coco", *options, f"source.out={out}"))
    labels, original = load_annotations(out), load_annotations(rendered / "test.npz")
    assert len(labels) == len(original)
    np.testing.assert_allclose(labels.part[:, COCO], original.part[:, COCO] * [1, 1, 0] + [0, 0, 1], atol=1e-3)
    assert not labels.has_smpl.any()
    assert out.with_suffix(".png").is_file()

    def losses(folder: Path) -> set[str]:
        lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        values = [line["values"] for line in lines if line["kind"] == "metrics" and line["step"] == 1]
        return {name for value in values for name in value if name.startswith("loss/") and value[name] > 0}

    root = f"data.root={coco}"
    plain = [option for option in quick if not option.startswith("data.root")]
    alone = train(compose("train", *plain, "data=coco", root, "trainer.epochs=1", "trainer.batch_size=12"))
    # Where nobody has a 3D label, no 3D loss is made up.
    assert losses(alone) == {"loss/total", "loss/keypoints_2d", "loss/camera"}

    sets = [f"data.root={rendered}", f"data.train.coco.annotations={out}", f"data.train.coco.images={coco / 'images'}"]
    mixed = train(compose("train", *plain, "data=synthetic_coco", *sets, "trainer.epochs=1"))
    assert losses(mixed) >= {"loss/keypoints_2d", "loss/keypoints_3d", "loss/pose", "loss/betas"}


def test_a_source_that_is_not_named_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs source\.annotations= and source\.images="):
        prepare(compose("prepare", "source=coco", "source.annotations=null", "source.images=null"))


def test_a_mistyped_option_of_a_dataset_is_refused(hmr_light: Command, home: Path) -> None:
    result = hmr_light("prepare", "+source.sizes=96")
    assert result.returncode == 2, result.stderr
    assert "sizes" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "data").exists()


def write_3dpw(root: Path, seed: int, frames: int = 3) -> None:
    """One person of the test split."""
    rng = np.random.default_rng(seed)
    images = root / "imageFiles" / "one_00"
    images.mkdir(parents=True)
    for frame in range(frames):
        cv2.imwrite(str(images / f"image_{frame:05d}.jpg"), rng.integers(0, 256, (96, 54, 3), np.uint8))
    content = {
        "sequence": "one_00",
        "poses": [rng.normal(size=(frames, 72))],
        "betas": [rng.normal(size=10)],
        "genders": ["f"],
        "poses2d": [rng.uniform(1, 50, (frames, 3, 18))],
        "jointPositions": [rng.normal(size=(frames, 72))],
        "cam_poses": np.tile(np.eye(4), (frames, 1, 1)),
        "campose_valid": [np.ones(frames)],
        "cam_intrinsics": np.eye(3),
    }
    (root / "sequenceFiles" / "test").mkdir(parents=True)
    (root / "sequenceFiles" / "test" / "one_00.pkl").write_bytes(pickle.dumps(content, protocol=2))


def test_a_dataset_becomes_annotations_a_sheet_and_a_next_step(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "my 3dpw"
    write_3dpw(root, seed=1)
    prepare(compose("prepare", "source=3dpw", f"source.root={root}"))
    assert len(load_annotations(root / "3dpw_test.npz")) == 3
    assert cv2.imread(str(root / "3dpw_test.png")) is not None
    printed = capsys.readouterr()
    assert "3dpw_test.npz: 3 people kept, 0 left out" in printed.out
    step = arguments_of(*hints_in(printed.err))
    assert step[0] == "evaluate"
    config = compose(step[0], *step[1:])
    assert (config.protocol["name"], config.body.name) == ("3dpw", "smpl")  # the papers' figures, not some
    evaluation = config.data.evaluation["pw3d"]
    assert evaluation.annotations == root / "3dpw_test.npz"
    assert evaluation.images == root

    with pytest.raises(UserError, match="exists already"):
        prepare(compose("prepare", "source=3dpw", f"source.root={root}"))


def test_images_that_cannot_be_drawn_are_said_and_do_not_undo_the_conversion(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "3dpw"
    write_3dpw(root, seed=3)
    (root / "imageFiles" / "one_00" / "image_00001.jpg").write_bytes(b"\xff\xd8 not a photograph")
    prepare(compose("prepare", "source=3dpw", f"source.root={root}"))
    assert cv2.imread(str(root / "3dpw_test.png")).shape[1] < 3 * 224  # two crops in a row
    said = capsys.readouterr().err
    assert "1 of 3 images to look at cannot be used: " in said
    assert "image_00001.jpg is not an image" in said
    assert "next: hmr-light evaluate" in said


def test_poses_without_images_are_drawn_as_figures(home: Path, tmp_path: Path) -> None:
    poses = np.random.default_rng(2).normal(0, 0.3, (90, 156))
    np.savez(tmp_path / "walk.npz", poses=poses, betas=np.zeros(16), gender="male", mocap_framerate=30.0)
    prepare(compose("prepare", "source=amass", f"source.root={tmp_path}", f"source.out={tmp_path / 'out' / 'a.npz'}"))
    sheet = cv2.imread(str(tmp_path / "out" / "a.png"))
    # Orange limbs are the right ones, blue the left (BGR).
    blue, _, red = (channel.astype(int) for channel in cv2.split(sheet))
    assert (red - blue > 100).sum() > 1000
    assert (blue - red > 100).sum() > 1000


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["source=3dpw", "source.split=tset"], "source.split='tset' is not 'train' or 'validation' or 'test'"),
        (["source=h36m", "source.protocol=3"], "source.protocol=3 is not 1 or 2"),
        (["source=amass", "source.rate_hz=fast"], "source.rate_hz='fast' is not a whole number"),
        (["source=lsp", "source.root=null", "source.out=x.npz"], "source=lsp needs source.root="),
    ],
)
def test_wrong_options_are_named(home: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        prepare(compose("prepare", *overrides))
    assert message in caught.value.message


def test_every_converted_dataset_says_where_it_is_looked_for(home: Path) -> None:
    for name in ("3dpw", "amass", "coco", "h36m", "lsp", "lsp_extended", "mpi_inf_3dhp", "mpii"):
        assert (conf_dir() / "source" / f"{name}.yaml").is_file()
        with pytest.raises(UserError, match=str(home)) as caught:
            prepare(compose("prepare", f"source={name}"))
        assert caught.value.remedy
    assert not list(home.rglob("*.npz"))
