"""A student learns what its teacher predicts, by one look of the teacher a step, with or without labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.child_processes import ChildProcesses
from support.cli import compose
from support.small_run import assert_same, journal, options, result, run_folders

from hmr_light import load_body, load_model
from hmr_light.commands.train import run
from hmr_light.data.distributed import init_distributed
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors.linear import LinearRegressor
from hmr_light.training.inputs import RunInputs, build_objective, initial_model, open_inputs
from hmr_light.training.objectives import Objective
from hmr_light.training.provenance import file_sha256

ALL = (
    "distillation.vertices=1.0",
    "distillation.features=1.0",
    "distillation.rotation_error=geodesic",
    "distillation.norm=mse",
)
NONE = tuple(f"distillation.{term}=0" for term in ("rotations", "betas", "camera", "joints_3d", "joints_2d"))


def with_boxes_alone(data: Path) -> Path:
    with np.load(data / "train.npz") as file:
        np.savez(data / "train.npz", **{name: file[name] for name in ("imgname", "center", "scale")})
    return data


def distilled(data: Path, outputs: Path, teacher: Path | str, *more: str) -> list[str]:
    return options(data, outputs, "objective=distillation", f"distillation.teacher={teacher}", *more)


def opened(data: Path, teacher: Path | str, *more: str) -> tuple[Any, RunInputs, HMR, Objective]:
    config = compose(*distilled(data, data.parent / "runs", teacher, *more))
    with init_distributed("cpu") as distributed:
        inputs = open_inputs(config, distributed)
    model = initial_model(config, inputs.training)
    return config, inputs, model, build_objective(config, model, inputs)


def batch_of(inputs: RunInputs) -> dict[str, torch.Tensor]:
    samples = [inputs.training[0, position] for position in range(4)]
    return {name: torch.stack([one[name] for one in samples]) for name in samples[0]}


def test_each_term_is_the_mean_error_to_what_the_teacher_predicts(data: Path, teacher: Path) -> None:
    _, inputs, model, objective = opened(data, teacher, *ALL, "data.image_size=96")
    assert objective.wrap is not None
    network = objective.wrap(model.eval())
    batch = batch_of(inputs)
    with torch.no_grad():
        terms = objective.losses(network, batch | {"image": normalize(batch["image"])})  # type: ignore[arg-type]
        ours = model(normalize(batch["image"]))
        theirs = load_model(teacher, "cpu")(batch["image"])
        body = load_body()
        vertices, joints = zip(*(body(one.rotations, one.betas) for one in (ours, theirs)), strict=True)

    def angle(first: torch.Tensor, second: torch.Tensor) -> float:
        first, second = (Rotation.from_matrix(one.double().flatten(0, 1).numpy()) for one in (first, second))  # type: ignore[assignment]
        return float((first * second.inv()).magnitude().mean())  # type: ignore[operator,attr-defined]

    def seen(joints: torch.Tensor, camera: torch.Tensor) -> np.ndarray:
        depth = 2 * 5000 / (96 * camera[:, :1, None]) + joints[..., 2:]
        return ((joints[..., :2] + camera[:, None, 1:]) * 5000 / (96 / 2) / depth).numpy()

    def from_hips(joints: torch.Tensor) -> np.ndarray:
        return (joints[:, 25:] - (joints[:, 27:28] + joints[:, 28:29]) / 2).numpy()

    def squared(first: Any, second: Any) -> float:
        return float(np.square(np.asarray(first) - np.asarray(second)).mean())

    expected = {
        "teacher_rotations": angle(ours.rotations, theirs.rotations),
        "teacher_betas": squared(ours.betas, theirs.betas),
        "teacher_camera": squared(ours.camera, theirs.camera),
        "teacher_joints_3d": squared(from_hips(joints[0]), from_hips(joints[1])),
        "teacher_joints_2d": squared(seen(joints[0], ours.camera), seen(joints[1], theirs.camera)),
        "teacher_vertices": squared(vertices[0], vertices[1]),
    }
    got = {name: float(term.sum / term.count) for name, term in terms.items()}
    assert got.pop("teacher_features") > 0
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-3), name
    assert {name: term.weight for name, term in terms.items()} == {
        **{"teacher_rotations": 5, "teacher_betas": 0.1, "teacher_camera": 1, "teacher_joints_3d": 5},
        **{"teacher_joints_2d": 5, "teacher_vertices": 1, "teacher_features": 1},
    }


def test_features_are_compared_in_the_teachers_channels_at_the_smaller_size(data: Path, teacher: Path) -> None:
    layers = "distillation.layers=[trunk.1:trunk.2,output:output]"
    _, inputs, model, objective = opened(data, teacher, *NONE, "distillation.features=2.0", layers)
    assert objective.wrap is not None
    assert objective.adapters is not None
    network = objective.wrap(model.eval())
    batch = batch_of(inputs)
    images = normalize(batch["image"])
    (term,) = objective.losses(network, batch | {"image": images}).values()  # type: ignore[arg-type]
    assert term.weight == 2
    term.sum.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in objective.adapters.parameters())
    assert any(parameter.grad is not None for parameter in model.backbone.parameters())
    assert not any(name.startswith("adapters") for name in model.state_dict())


@pytest.mark.parametrize("more", [(), ("trainer.precision=bfloat16",), ("trainer.freeze_backbone=1",)])
def test_the_teacher_looks_once_a_step(data: Path, tmp_path: Path, teacher: Path, more: tuple[str, ...]) -> None:
    looks = []

    def count(module: torch.nn.Module, _: Any, __: Any) -> None:
        if isinstance(module, LinearRegressor) and torch.is_inference_mode_enabled():
            looks.append(module.training)

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        config = compose(*distilled(data, tmp_path / "runs", teacher, *ALL, *more, "trainer.epochs=1"))
        folder = run(config)
    finally:
        hook.remove()
    assert looks == [False] * 4  # 17 people, 4 a step, the rest left out
    figures = next(one["values"] for one in journal(folder) if "loss/total" in one.get("values", {}))
    names = {name.removeprefix("loss/teacher_") for name in figures if name.startswith("loss/teacher_")}
    wanted = {"rotations", "betas", "camera", "joints_3d", "joints_2d", "vertices", "features"}
    assert names == wanted - ({"features"} if "trainer.freeze_backbone=1" in more else set())
    assert all(np.isfinite(value) for value in figures.values())


@pytest.mark.slow
def test_a_killed_run_on_images_with_boxes_alone_ends_as_an_undisturbed_one(
    child_processes: ChildProcesses, data: Path, tmp_path: Path, teacher: Path
) -> None:
    with_boxes_alone(data)
    begin = distilled(data, tmp_path / "whole", teacher, "distillation.features=1.0", "trainer.epochs=1")
    child = child_processes.start(*begin)
    assert child.wait() == 0, child.said
    (folder,) = run_folders(tmp_path / "whole")
    expected = result(folder)
    assert expected["last"]["adapters"].keys() == {"maps.0.weight", "maps.0.bias"}
    assert not any("adapter" in name and "maps" in name for name in expected["kept"]["epoch-001.pt"]["model"])
    tags = {name: value for one in journal(folder) if one["kind"] == "tags" for name, value in one["values"].items()}
    assert tags["hmr_light.parent_run"] == "teacher"
    assert tags["hmr_light.parent_checkpoint"] == file_sha256(teacher)

    cut = [one.replace(f"outputs={tmp_path / 'whole'}", f"outputs={tmp_path / 'cut'}") for one in begin]
    child = child_processes.start(*cut, at=("hmr_light.training.loop:forward", 4))
    assert child.wait() == -9, child.said
    # The same teacher at another place is the same; another one is not.
    other = tmp_path / "other.pt"
    content = torch.load(teacher, weights_only=True)
    torch.save(content | {"epoch": 2}, other)
    (folder,) = run_folders(tmp_path / "cut")
    child = child_processes.start("train", f"resume={folder}", f"distillation.teacher={other}")
    assert child.wait() == 2, child.said
    assert "another teacher" in child.said
    assert "Traceback" not in child.said
    moved = teacher.rename(teacher.with_name("moved.pt"))
    try:
        child = child_processes.start("train", f"resume={folder}", f"distillation.teacher={moved}")
        assert child.wait() == 0, child.said
    finally:
        moved.rename(teacher)
    assert_same(result(folder), expected)


def test_a_student_without_labels_starts_from_the_teachers_mean_and_comes_nearer(data: Path, teacher: Path) -> None:
    _, inputs, model, objective = opened(with_boxes_alone(data), teacher, "distillation.rotation_error=mse")
    state = torch.load(teacher, weights_only=True)["model"]
    assert torch.equal(model.regressor.init_pose, state["regressor.init_pose"])
    batch = batch_of(inputs)
    images = normalize(batch["image"])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    values = []
    for _ in range(12):
        terms = objective.losses(model.train(), batch | {"image": images})
        loss = sum((one.weight * one.sum / one.count for one in terms.values()), torch.tensor(0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


def test_weights_follow_their_schedules_and_labels_are_mixed_in(data: Path, teacher: Path) -> None:
    more = ("distillation=mixed", "distillation.schedule={labels: [0,1], camera: [1,1,0]}")
    _, inputs, model, objective = opened(data, teacher, *more)
    batch = batch_of(inputs)
    batch["image"] = normalize(batch["image"])
    for progress, labels, camera in ((0.0, 0.0, 1.0), (0.5, 0.5, 1.0), (0.75, 0.75, 0.5), (1.0, 1.0, 0.0)):
        terms = objective.losses(model.eval(), batch, progress)
        assert terms["keypoints_2d"].weight == pytest.approx(5 * labels)
        assert terms["pose"].weight == pytest.approx(5 * labels)
        assert terms["teacher_camera"].weight == pytest.approx(camera)
        assert terms["teacher_rotations"].weight == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["++distillation.rotation=1"], "has no such option"),
        (["distillation.rotations=-1"], "distillation.rotations=-1 is no weight"),
        (["distillation.norm=l2"], "distillation.norm=l2 is not a choice"),
        ([*NONE], "every term of the distillation has weight 0"),
        (["distillation.schedule={pose: [1,0]}"], "distillation.schedule.pose is no term"),
        (["distillation.schedule={labels: 1}"], "is no list of factors"),
        (["distillation.features=1", "distillation.layers=[nowhere:output]"], "has no layer 'nowhere'"),
        (["trainer.freeze_backbone=1", "trainer.feature_views=1"], "the teacher must see the images"),
        (["distillation.cache=true", "distillation.features=1"], "not its features, which distillation.features=1"),
        (
            ["distillation.cache=true", "data/augmentation=spin"],
            "data.augmentation.scale_std=0.25",
        ),
        (["distillation.teacher=nobody"], "there is no run nobody"),
        (["distillation.teacher=null"], "needs the model to learn from"),
        (["objective=supervised"], "is not read: the objective is supervised"),
    ],
)
def test_what_cannot_work_is_refused(data: Path, teacher: Path, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        opened(data, teacher, *more)
    assert not (data.parent / "runs").exists()


def test_a_teacher_of_another_body_is_refused_unless_only_the_pose_is_learned(
    data: Path, tmp_path: Path, teacher: Path
) -> None:
    content = torch.load(teacher, weights_only=True)
    content["config"]["body"]["name"] = "smpl"
    other = tmp_path / "other.pt"
    torch.save(content, other)
    with pytest.raises(UserError, match="of the body smpl, and this run of the body embedded"):
        opened(data, other)
    opened(data, other, *(f"distillation.{term}=0" for term in ("betas", "joints_3d", "joints_2d")))


def test_a_supervised_run_says_nothing_of_distillation(data: Path) -> None:
    config = compose(*options(data, data / "runs"))
    assert (config.objective, config.distillation) == ("supervised", {})
