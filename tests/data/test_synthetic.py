from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from hmr_light.body import SMPL, load_body
from hmr_light.config.strict import typed
from hmr_light.data.annotations import Annotations, load_annotations
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.synthetic import SyntheticConfig, prepare, prepare_synthetic
from hmr_light.data.synthetic.config import SplitCounts
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Draw, Studio, generator
from hmr_light.errors import UserError
from hmr_light.geometry import axis_angle_to_matrix
from hmr_light.paths import conf_dir

COUNTS = SplitCounts(train=24, val=8, test=8, test_ood=8)


def reference_config(**changes: object) -> SyntheticConfig:
    values = OmegaConf.to_container(OmegaConf.load(conf_dir() / "dataset" / "synthetic.yaml"), resolve=False)
    assert isinstance(values, dict)
    del values["name"], values["out"]
    return replace(typed(SyntheticConfig, values), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


@pytest.fixture(scope="module")
def config() -> SyntheticConfig:
    return reference_config(seed=5, counts=COUNTS, workers=2)


@pytest.fixture(scope="module")
def studio(config: SyntheticConfig, body: SMPL) -> Studio:
    return Studio(config, Mesh.of(body))


@pytest.fixture(scope="module")
def rendered(config: SyntheticConfig, body: SMPL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "PART", 7)  # several parts a split, the last one short
        prepare_synthetic(config, body, out)
    return out


@pytest.fixture(scope="module")
def labels(rendered: Path) -> Annotations:
    return load_annotations(rendered / "train.npz")


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def described_mesh(labels: Annotations, index: int, body: SMPL) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (V, 2) of the mesh, and pixels (49, 2) of the joints, as one row of the annotations describes them."""
    with torch.no_grad():
        output = body(
            axis_angle_to_matrix(torch.tensor(labels.pose[index].reshape(1, 24, 3))),
            torch.tensor(labels.shape[index])[None],
        )
    extras = labels.extras

    def project(points: torch.Tensor) -> np.ndarray:
        camera = points[0].double().numpy() + extras["camera_translation"][index]
        return extras["focal"][index] * camera[:, :2] / camera[:, 2:] + extras["principal_point"][index]

    return project(output.vertices), project(output.joints)


def covered_pixels(pixels: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Which pixel centres lie in a triangle, by the signs of the three edge functions, in float64."""
    corners = pixels[faces]
    low = np.ceil(corners.min(1)).astype(int)
    span = np.floor(corners.max(1)).astype(int) - low
    edges = np.roll(corners, -1, axis=1) - corners
    mask = np.zeros((size, size), bool)
    for dy in range(span[:, 1].max() + 1):
        for dx in range(span[:, 0].max() + 1):
            near = ((dx, dy) <= span).all(1)
            point = low[near] + (dx, dy)
            offset = point[:, None] - corners[near]
            side = edges[near, :, 0] * offset[..., 1] - edges[near, :, 1] * offset[..., 0]
            inside = (side >= 0).all(1) | (side <= 0).all(1)
            x, y = point[inside & ((point >= 0) & (point < size)).all(1)].T
            mask[y, x] = True
    return mask


def undressed(config: SyntheticConfig) -> SyntheticConfig:
    """People in nothing that stands off the body, alone, with nothing in front."""
    people = replace(config.people, skirt=0.0, coat=0.0, loose=0.0, hair_m=(0.0, 0.0))
    return replace(config, people=people, scene=replace(config.scene, seat=0.0, second_person=0.0, occlusion=0.0))


def test_labels_on_disk_describe_the_rendered_pixels(
    rendered: Path, labels: Annotations, studio: Studio, body: SMPL
) -> None:
    bare = Studio(undressed(studio.config), studio.mesh)
    seatless = Studio(replace(studio.config, scene=replace(studio.config.scene, seat=0.0)), studio.mesh)
    for index in range(len(labels)):
        assert (rendered / labels.imgname[index]).read_bytes() == studio.sample("train", index).jpeg
        sample = bare.sample("train", index)
        assert (sample.labels["pose"] == labels.pose[index]).all()
        described = covered_pixels(described_mesh(labels, index, body)[0], body.faces.numpy(), studio.config.size)
        overlap = (described & sample.mask).sum() / (described | sample.mask).sum()
        assert overlap >= 0.99, f"sample {index}: {overlap}"
        dressed = seatless.sample("train", index).mask
        assert (described & ~dressed).sum() <= 0.005 * described.sum(), f"sample {index}: clothes hide nothing of it"


def test_the_mask_is_where_the_person_changes_the_picture(config: SyntheticConfig, body: SMPL) -> None:
    """Not only the mask but the image itself: with another shirt, only pixels in the mask change."""
    bare = undressed(config)
    plain = replace(
        bare,
        scene=replace(bare.scene, shadow=0.0),
        sensor=replace(
            config.sensor, blur_px=(0, 0), motion_blur=0.0, noise=(0, 0), jpeg_quality=(100, 100), white_balance=0.0
        ),
    )
    mesh = Mesh.of(body)
    studio, other = Studio(plain, mesh), Studio(plain, mesh)
    other.figure = replace(other.figure, neck_y=other.figure.neck_y - 0.3, hip_y=other.figure.hip_y - 0.3)
    for index in range(6):
        one, two = studio.sample("train", index), other.sample("train", index)
        first, second = (cv2.imdecode(np.frombuffer(s.jpeg, np.uint8), 1).astype(int) for s in (one, two))
        # A JPEG block reaches 16 pixels with its halved colour resolution.
        around = cv2.dilate(one.mask.astype(np.uint8), np.ones((33, 33), np.uint8)) > 0
        changed = np.abs(first - second).max(2) > 0
        assert changed[one.mask].mean() > 0.05
        assert not changed[~around].any()


def test_keypoints_are_the_projected_joints_of_the_body(labels: Annotations, body: SMPL) -> None:
    for index in range(len(labels)):
        keypoints = np.concatenate([labels.openpose[index], labels.part[index]])
        expected = described_mesh(labels, index, body)[1]
        # float32 of pixel coordinates and of the parameters: hundredths where a joint is far outside the image.
        assert np.abs(keypoints[:, :2] - expected).max() < 2e-2
        inside = ((expected > 0) & (expected < 255)).all(1)
        assert np.abs(keypoints[inside, :2] - expected[inside]).max() < 1e-3, f"sample {index}"
        assert (keypoints[:, 2] == 1).all()


def test_joints_in_metres_are_those_of_the_body(labels: Annotations, body: SMPL) -> None:
    with torch.no_grad():
        rotations = axis_angle_to_matrix(torch.tensor(labels.pose.reshape(-1, 24, 3)))
        joints = body(rotations, torch.tensor(labels.shape)).joints[:, 25:].numpy()
    assert np.abs(labels.S[..., :3] - (joints - joints[:, 14:15])).max() < 1e-5
    assert (labels.S[..., 3] == 1).all()


def test_boxes_hold_the_person_with_a_margin(config: SyntheticConfig, body: SMPL) -> None:
    """Exact boxes where they are asked for; elsewhere they are off by as much as is allowed."""
    mesh = Mesh.of(body)
    exact = Studio(replace(config, camera=replace(config.camera, crop_scale_std=0.0, crop_shift=0.0)), mesh)
    loose = Studio(replace(config, camera=replace(config.camera, crop_scale_std=0.4, truncation=0.0)), mesh)
    scales, shifts = [], []
    for index in range(16):
        for studio in (exact, loose):
            row = studio.sample("train", index).labels
            labels = Annotations.from_arrays({key: value[None] for key, value in row.items()} | {"imgname": ["a"]})
            pixels = described_mesh(labels, 0, body)[0]
            if studio is exact:
                pixels = pixels.clip(-0.5, config.size - 0.5)
            low, high = pixels.min(0), pixels.max(0)
            side = (high - low).max()
            shift, scale = (row["center"] - (low + high) / 2) / side, row["scale"] * 200 / (1.2 * side)
            if studio is exact:
                assert np.abs(shift).max() < 1e-3, index
                assert np.isclose(scale, 1, atol=1e-3), index
            else:
                shifts.append(np.abs(shift).max())
                scales.append(scale)
    least, greatest = config.camera.crop_scale
    assert least - 1e-3 < min(scales) < 0.8
    assert 1.2 < max(scales) < greatest + 1e-3
    assert 0.1 < max(shifts) < config.camera.crop_shift + 1e-3


def test_people_stand_on_their_feet_seen_from_all_sides(config: SyntheticConfig, body: SMPL) -> None:
    """Upright in the image, and turned evenly through the full circle."""
    standing = replace(config, poses=replace(config.poses, archetypes={"stand": 1.0}))
    studio = Studio(standing, Mesh.of(body))
    upright, facing = [], []
    for index in range(48):
        labels = studio.sample("train", index).labels
        up = labels["S"][12, :3] - labels["S"][14, :3]
        upright.append(-up[1] / np.linalg.norm(up))
        across = labels["S"][9, :3] - labels["S"][8, :3]
        facing.append(np.arctan2(across[2], across[0]))
    assert min(upright) > 0.6
    assert len(set(np.floor(np.array(facing) / (np.pi / 4)))) == 8


def test_the_result_does_not_depend_on_the_workers(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    summary = prepare_synthetic(replace(config, workers=1), body, alone)
    assert contents(alone) == contents(rendered)
    assert summary["splits"]["train"]["images"] == 24


PINNED = {
    "train": (
        "84dd3b8306319a8c269a7d4ab7bc806eedb84b5fa5b8ac8847e626c183fe3634",
        "605485499a8a916b74467b9829b9779dd8320eeb793759337dd5ab7089153c8d",
    ),
    "test-ood": (
        "9e06f4345ffcce040aff6d62c2ae897b43a198dddfcbee71a5260cf7af469b02",
        "d08377612b6d3a8354cd4711f7c48aee61a7bdd41e3bfe074169a1a10979929b",
    ),
}
"""Hashes of the images and of the annotations of synthetic-v1's first few, at 96 pixels."""


@pytest.fixture(scope="module")
def pinned(body: SMPL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    config = reference_config(size=96, workers=1, counts=SplitCounts(train=8, val=0, test=0, test_ood=8))
    return prepare_synthetic(config, body, tmp_path_factory.mktemp("pinned") / "set")["splits"]


@pytest.mark.parametrize("split", PINNED)
def test_synthetic_v1_is_the_same_bytes_on_every_machine(split: str, pinned: dict[str, dict[str, str]]) -> None:
    """If this fails on purpose, the renderer is another: `prepare.VERSION` must change too."""
    found = pinned[split]
    assert found["version"] == prepare.VERSION == "synthetic-v1"
    assert (found["images_sha256"], found["annotations_sha256"]) == PINNED[split]


def test_another_seed_gives_other_images(config: SyntheticConfig, studio: Studio) -> None:
    other = Studio(replace(config, seed=6), studio.mesh)
    assert other.sample("train", 0).jpeg != studio.sample("train", 0).jpeg


def test_a_stopped_run_goes_on_to_the_same_dataset(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "PART", 7)
    out = tmp_path / "stopped"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "save_annotations", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_synthetic(config, body, out)
    assert not list(out.glob("*.npz"))
    (out / "parts" / "train-00000007.npz").unlink()
    kept = out / prepare.image_name("train", 0)
    written = kept.stat().st_mtime_ns
    shutil.rmtree(out / "val")  # not noticed, for its part is there: it must be left alone or the test below fails
    shutil.copytree(rendered / "val", out / "val")
    prepare_synthetic(config, body, out)
    assert contents(out) == contents(rendered)
    assert kept.stat().st_mtime_ns == written, "a finished part was rendered again"


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_synthetic import prepare, prepare_synthetic, load_body, reference_config, COUNTS
if __name__ == "__main__":
    prepare.PART = 7
    prepare_synthetic(reference_config(seed=5, counts=COUNTS, workers=2), load_body(), Path({out!r}))
"""


def is_running(process: str) -> bool:
    """Whether there is a process of this number that is not merely unburied."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_dataset_and_leaves_no_process(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, script = tmp_path / "killed", tmp_path / "run.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent), out=str(out)))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 240
    while not list(out.glob("parts/*.npz")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < give_up
        time.sleep(0.01)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert not (out / "dataset.json").exists()
    assert len(workers) >= 2
    give_up = time.monotonic() + 120
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < give_up, "rendering processes outlive their parent"
        time.sleep(0.05)
    monkeypatch.setattr(prepare, "PART", 7)
    prepare_synthetic(config, body, out)
    assert contents(out) == contents(rendered)


FIRST_FEW = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from test_synthetic import Mesh, Studio, load_body, reference_config
studio = Studio(reference_config(size=96), Mesh.of(load_body()))
for split in ("train", "test-ood"):
    for index in range(8):
        sample = studio.sample(split, index)
        numbers = (value.tobytes() for _, value in sorted(sample.labels.items()))
        print(hashlib.sha256(sample.jpeg + b"".join(numbers)).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="switches of x86 processors")
@pytest.mark.slow
def test_an_older_processor_renders_the_same_bytes() -> None:
    """Without AVX, FMA and SSE4, with another BLAS kernel and other mathematical functions of the C library."""
    older = {
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,FP16,AVX,SSE4.2,SSE4.1,SSSE3,POPCNT",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    }
    command = [sys.executable, "-c", FIRST_FEW.format(tests=str(Path(__file__).parent))]
    runs = [
        subprocess.Popen(command, env=os.environ | changes, stdout=subprocess.PIPE, text=True)
        for changes in ({}, older)
    ]
    here, there = (run.communicate()[0].split() for run in runs)
    assert len(here) == 16
    assert here == there


def test_a_finished_dataset_is_left_alone_and_another_refused(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}
    prepare_synthetic(config, body, rendered)
    with pytest.raises(UserError, match="another seed"):
        prepare_synthetic(replace(config, seed=6), body, rendered)
    assert {path: path.stat().st_mtime_ns for path in rendered.rglob("*")} == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        prepare_synthetic(config, body, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_splits_share_no_clip_shape_looks_or_background(config: SyntheticConfig, rendered: Path) -> None:
    sets = {split: load_annotations(rendered / f"{split}.npz") for split in ("train", "val", "test", "test-ood")}
    shapes = np.concatenate([labels.shape for labels in sets.values()])
    assert len(np.unique(shapes.round(5), axis=0)) == len(shapes)
    for draw in Draw:
        first = {generator(config.seed, split, 0, draw).random() for split in sets}
        assert len(first) == len(sets), draw
    # Bodies of one clip move alike; of two splits no two frames do.
    poses = {split: labels.pose[:, 3:] for split, labels in sets.items()}
    for one, two in (("train", "val"), ("train", "test"), ("val", "test")):
        gap = np.abs(poses[one][:, None] - poses[two][None]).max(-1)
        assert gap.min() > 0.2, (one, two)


def test_rendering_processes_load_no_torch() -> None:
    """Each would take seconds and hundreds of megabytes to start."""
    code = "import sys, hmr_light.data.synthetic.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_cannot_be_written_is_named(config: SyntheticConfig, body: SMPL, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        prepare_synthetic(config, body, tmp_path / "file")
    with pytest.raises(UserError, match="file"):
        prepare_synthetic(config, body, tmp_path / "file" / "set")


def test_the_dataset_can_be_trained_on(rendered: Path, body: SMPL) -> None:
    dataset = MeshDataset(rendered / "train.npz", rendered, image_size=128)
    sample = dataset[3]
    assert sample["image"].shape == (3, 128, 128)
    assert sample["has_smpl"] == 1
    assert sample["keypoints_2d"][25:, :2].abs().median() < 1


def test_low_postures_are_one_or_two_in_ten() -> None:
    weights = reference_config().poses.archetypes
    low = sum(weights[name] for name in ("sit", "squat", "kneel", "lie")) / sum(weights.values())
    assert 0.10 <= low <= 0.20


@pytest.mark.parametrize(("yaw", "across"), [(0, (1, 0)), (90, (0, 1)), (-90, (0, -1)), (180, (-1, 0))])
def test_people_are_turned_as_asked(
    config: SyntheticConfig, body: SMPL, yaw: float, across: tuple[float, float]
) -> None:
    """From right shoulder to left, in the camera's x (right) and z (away): facing it, turned to a side, turned away."""
    poses = replace(config.poses, archetypes={"stand": 1.0}, noise=0.0, yaw_degrees=(yaw, yaw))
    studio = Studio(replace(config, poses=poses), Mesh.of(body))
    for index in range(4):
        joints = studio.sample("train", index).labels["S"][:, :3]
        shoulders = (joints[9] - joints[8])[[0, 2]]
        assert shoulders @ np.array(across) > 0.7 * np.linalg.norm(shoulders)


def test_hidden_joints_are_known(config: SyntheticConfig, body: SMPL) -> None:
    """Every image has a thing in front, and joints behind it are not called visible."""
    config = replace(config, scene=replace(config.scene, second_person=0.0))
    hiding = replace(config, scene=replace(config.scene, occlusion=1.0))
    studio, open_ = (
        Studio(hiding, Mesh.of(body)),
        Studio(replace(config, scene=replace(config.scene, occlusion=0.0)), Mesh.of(body)),
    )
    hidden = 0
    for index in range(12):
        one, two = studio.sample("train", index).labels, open_.sample("train", index).labels
        assert one["occluded"] <= config.scene.occlusion_share
        assert two["occluded"] == 0
        assert (one["visibility"] <= two["visibility"]).all()
        hidden += int((one["visibility"] < two["visibility"]).sum())
    assert hidden > 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": 10}, "size"),
        ({"camera": {"fill": [0.9, 0.2]}}, "camera.fill"),
        ({"camera": {"fill": [0.1, 0.2, 0.3]}}, "camera.fill"),
        ({"poses": {"archetypes": {"squad": 1.0}}}, "squad"),
        ({"poses": {"yaw_degrees": [90, 0]}}, "poses.yaw_degrees"),
        ({"scene": {"backgrounds": {"beach": 1.0}}}, "beach"),
        ({"ood": {"scenery": {"occlusion": 1.0}}}, "ood has no 'scenery'"),
        ({"ood": {"scene": {"oclusion": 1.0}}}, "oclusion"),
        ({"ood": {"scene": {"occlusion": 2.0}}}, "scene.occlusion"),
        ({"scene": {"occlusion": 1.5}}, "scene.occlusion"),
        ({"counts": {"train": -1}}, "counts.train"),
    ],
)
def test_bad_choices_are_named(changes: dict[str, object], named: str) -> None:
    values = OmegaConf.load(conf_dir() / "dataset" / "synthetic.yaml")
    del values["name"], values["out"]
    with pytest.raises(UserError, match=named):
        typed(SyntheticConfig, OmegaConf.merge(values, changes))  # type: ignore[arg-type]
