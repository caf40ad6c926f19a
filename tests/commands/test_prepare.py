"""From a source to a training run: the rendered set, COCO's format, and both mixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.cli import Command, compose

from hmr_light.commands.prepare import run as prepare
from hmr_light.commands.train import run as train
from hmr_light.data.annotations import load_annotations
from hmr_light.errors import UserError

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
