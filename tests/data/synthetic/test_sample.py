from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.synthetic import covered_pixels, described_mesh, undressed

from hmr_light.body import SMPL
from hmr_light.data.annotations import Annotations, load_annotations
from hmr_light.data.synthetic import SyntheticConfig
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Draw, Renderer, generator
from hmr_light.geometry import axis_angle_to_matrix


def test_labels_on_disk_describe_the_rendered_pixels(
    rendered: Path, labels: Annotations, renderer: Renderer, body: SMPL
) -> None:
    bare = Renderer(undressed(renderer.config), renderer.mesh)
    seatless = Renderer(replace(renderer.config, scene=replace(renderer.config.scene, seat=0.0)), renderer.mesh)
    for index in range(len(labels)):
        assert (rendered / labels.imgname[index]).read_bytes() == renderer.sample("train", index).jpeg
        sample = bare.sample("train", index)
        assert (sample.labels["pose"] == labels.pose[index]).all()
        described = covered_pixels(described_mesh(labels, index, body)[0], body.faces.numpy(), renderer.config.size)
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
    renderer, other = Renderer(plain, mesh), Renderer(plain, mesh)
    other.landmarks = replace(other.landmarks, neck_y=other.landmarks.neck_y - 0.3, hip_y=other.landmarks.hip_y - 0.3)
    for index in range(6):
        one, two = renderer.sample("train", index), other.sample("train", index)
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


def test_people_stand_on_their_feet_seen_from_all_sides(config: SyntheticConfig, body: SMPL) -> None:
    """Upright in the image, and turned evenly through the full circle."""
    standing = replace(config, poses=replace(config.poses, archetypes={"stand": 1.0}))
    renderer = Renderer(standing, Mesh.of(body))
    upright, facing = [], []
    for index in range(48):
        labels = renderer.sample("train", index).labels
        up = labels["S"][12, :3] - labels["S"][14, :3]
        upright.append(-up[1] / np.linalg.norm(up))
        across = labels["S"][9, :3] - labels["S"][8, :3]
        facing.append(np.arctan2(across[2], across[0]))
    assert min(upright) > 0.6
    assert len(set(np.floor(np.array(facing) / (np.pi / 4)))) == 8


@pytest.mark.parametrize(("yaw", "across"), [(0, (1, 0)), (90, (0, 1)), (-90, (0, -1)), (180, (-1, 0))])
def test_people_are_turned_as_asked(
    config: SyntheticConfig, body: SMPL, yaw: float, across: tuple[float, float]
) -> None:
    """From right shoulder to left, in the camera's x (right) and z (away): facing it, turned to a side, turned away."""
    poses = replace(config.poses, archetypes={"stand": 1.0}, noise=0.0, yaw_degrees=(yaw, yaw))
    renderer = Renderer(replace(config, poses=poses), Mesh.of(body))
    for index in range(4):
        joints = renderer.sample("train", index).labels["S"][:, :3]
        shoulders = (joints[9] - joints[8])[[0, 2]]
        assert shoulders @ np.array(across) > 0.7 * np.linalg.norm(shoulders)


def test_another_seed_gives_other_images(config: SyntheticConfig, renderer: Renderer) -> None:
    other = Renderer(replace(config, seed=6), renderer.mesh)
    assert other.sample("train", 0).jpeg != renderer.sample("train", 0).jpeg


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


def test_hidden_joints_are_known(config: SyntheticConfig, body: SMPL) -> None:
    """Every image has a thing in front, and joints behind it are not called visible."""
    config = replace(config, scene=replace(config.scene, second_person=0.0))
    hiding = replace(config, scene=replace(config.scene, occlusion=1.0))
    renderer, open_ = (
        Renderer(hiding, Mesh.of(body)),
        Renderer(replace(config, scene=replace(config.scene, occlusion=0.0)), Mesh.of(body)),
    )
    hidden = 0
    for index in range(12):
        one, two = renderer.sample("train", index).labels, open_.sample("train", index).labels
        assert one["occluded"] <= config.scene.occlusion_share
        assert two["occluded"] == 0
        assert (one["visibility"] <= two["visibility"]).all()
        hidden += int((one["visibility"] < two["visibility"]).sum())
    assert hidden > 0


FIRST_FEW = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from hmr_light.body import load_body
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer
from support.synthetic import reference_config
renderer = Renderer(reference_config(size=96), Mesh.of(load_body()))
for split in ("train", "test-ood"):
    for index in range(8):
        sample = renderer.sample(split, index)
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
    command = [sys.executable, "-c", FIRST_FEW.format(tests=str(Path(__file__).parents[2]))]
    runs = [
        subprocess.Popen(command, env=os.environ | changes, stdout=subprocess.PIPE, text=True)
        for changes in ({}, older)
    ]
    here, there = (run.communicate()[0].split() for run in runs)
    assert len(here) == 16
    assert here == there
