"""Evaluation scores what training scored, writes it to the run, and refuses what it cannot score."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from support.cli import Command, compose

from hmr_light.body import load_body
from hmr_light.checkpoints.format import Checkpoint, save, save_model
from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands.evaluate import body_notes, next_step, scores_table
from hmr_light.commands.evaluate import run as evaluate
from hmr_light.commands.train import run as train
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.errors import UserError
from hmr_light.evaluation.protocols import lsp14
from hmr_light.geometry import axis_angle_to_matrix
from hmr_light.reports.terminal import show_table
from hmr_light.tracking.summary import summarize_run

Figures = dict[str, float]


def test_the_table_cuts_no_name_and_no_word_apart(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=80)
    row = ["(300)261126-134257", "synthetic_test_ood", "60000", "0", "404.9", "136.6", "450.1"]
    show_table(scores_table(lsp14(), [row]), console)
    printed = capsys.readouterr().out
    for whole in (*row, "reconstruction", "dropped", "MPJPE"):
        assert whole in printed


@pytest.fixture
def trained(quick: list[str]) -> Path:
    return train(compose("train", *quick))


def figures(folder: Path) -> list[tuple[int, Figures]]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [(line["step"], line["values"]) for line in lines if line["kind"] == "metrics"]


def options(rendered: Path) -> list[str]:
    return ["tracking=journal", f"data.root={rendered}", "data.workers=0", "device=cpu", "threads=1"]


def test_evaluation_repeats_the_figures_of_training(trained: Path, rendered: Path) -> None:
    at_training = {step: values for step, values in figures(trained) if "mpjpe_mm" in values}
    evaluate(compose("evaluate", f"run={trained}", "checkpoints=all", "data=synthetic", *options(rendered)))
    again = figures(trained)[-2:]
    assert [step for step, _ in again] == [1, 2]
    for step, values in again:
        for metric in ("mpjpe_mm", "reconstruction_error_mm", "pve_mm"):
            assert values[f"synthetic/{metric}"] == pytest.approx(at_training[step][metric], rel=1e-5)
    assert (trained / "predictions-synthetic.png").stat().st_size > 1000

    # Boxes as they are come first in the sweep of boxes, with the same figures.
    sweep = ["robustness=boxes", "boxes.scales=[1.5]", "boxes.shifts=[0.15]"]
    evaluate(compose("evaluate", f"run={trained}", "checkpoints=last", "data=synthetic", *sweep, *options(rendered)))
    assert (trained / "robustness-synthetic-002.png").stat().st_size > 1000
    with (trained / "robustness-synthetic-002.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["scale"], row["right"], row["down"]) for row in rows] == [
        ("1.0", "0.0", "0.0"), ("1.5", "0.0", "0.0"), ("1.0", "0.15", "0.0"), ("1.0", "0.0", "0.15"),
    ]  # fmt: skip
    assert float(rows[0]["mpjpe_mm"]) == pytest.approx(at_training[2]["mpjpe_mm"], abs=1e-3)
    assert len({row["mpjpe_mm"] for row in rows}) == 4

    # By another protocol the figures have another name, and the run's own stay what they are.
    arrays = {**load_annotations(rendered / "val.npz").to_arrays()}
    assert arrays["S"][..., 3].any()
    evaluate(
        compose("evaluate", f"run={trained}", "data=synthetic", "protocol=mpi_inf_3dhp", *options(rendered)),
    )
    _, values = figures(trained)[-1]
    assert "synthetic/mpjpe_mm" not in values
    assert 0 <= values["synthetic:mpi_inf_3dhp/auc_percent"] <= values["synthetic:mpi_inf_3dhp/pck150_percent"] <= 100


def test_a_run_is_scored_on_its_own_sets_and_by_its_best_checkpoint_that_has_a_figure(
    quick: list[str], rendered: Path, hmr_light: Command
) -> None:
    run_dir = train(compose("train", *quick, "trainer.epochs=0"))
    first = run_dir / "checkpoints" / "epoch-000.pt"
    content = torch.load(first, weights_only=True)
    for epoch, error in ((1, float("nan")), (2, float("inf"))):
        save(first.with_name(f"epoch-{epoch:03d}.pt"), content | {"epoch": epoch, "metrics": {"mpjpe_mm": error}})
    done = hmr_light("evaluate", f"run={run_dir}", "tracking=journal", "threads=1", "device=cpu")
    assert done.returncode == 0, done.stderr
    step, values = figures(run_dir)[-1]
    assert step == 0
    assert values["synthetic/mpjpe_mm"] == pytest.approx(content["metrics"]["mpjpe_mm"], rel=1e-5)

    # The coded file of a checkpoint is the same row.
    write_hmrz(run_dir / "model.hmrz", load_checkpoint(first))
    told = len(figures(run_dir))
    evaluate(compose("evaluate", f"checkpoint={run_dir / 'model.hmrz'}", "data=synthetic", *options(rendered)))
    assert len(figures(run_dir)) == told + 1
    assert figures(run_dir)[-1][1]["synthetic/mpjpe_mm"] == pytest.approx(values["synthetic/mpjpe_mm"])
    (rows,) = summarize_run(run_dir).checkpoints.values()
    assert {row["path"] for row in rows} == {"checkpoints/epoch-000.pt"}


def test_the_next_step_is_the_table_of_the_runs_experiment(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "epoch-001.pt"
    network = {"backbone": {"name": "resnet18"}, "regressor": {"name": "spin"}, "data": {"image_size": 96}}
    checkpoint = Checkpoint(path, network | {"tracking": {"experiment": "other"}}, 1, "", {}, {})
    config = compose("evaluate", f"checkpoint={path}")
    started = f"hmr-light train init={path} trainer.epochs=0"
    assert next_step([checkpoint], config).startswith(f"a row of the table: {started}")
    called = replace(checkpoint, config=checkpoint.config | {"row": "my model"})
    assert f"{started} 'row=\"my model\"'" in next_step([called], config)
    elsewhere = compose("evaluate", f"checkpoint={path}", "tracking.uri=sqlite:////x/other.db")
    assert next_step([checkpoint], elsewhere).endswith(" tracking.uri=sqlite:////x/other.db")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").touch()
    assert next_step([checkpoint], config) == "hmr-light table tracking.experiment=other"
    config = compose("evaluate", f"run={tmp_path / 'run'}", "tracking=journal")
    assert next_step([checkpoint], config) == f"hmr-light sync run_dir={tmp_path / 'run'}"


def test_the_mean_pose_is_scored_as_plain_numpy_scores_it(trained: Path, rendered: Path) -> None:
    evaluate(compose("evaluate", f"run={trained}", "data=synthetic_test", "checkpoints=last", *options(rendered)))
    _, values = figures(trained)[-1]

    body = load_body()
    regressor = body.h36m_regressor.numpy().astype(np.float64)
    labels, people = load_annotations(rendered / "test.npz"), load_annotations(rendered / "train.npz")
    rotations = axis_angle_to_matrix(torch.tensor(people.pose).double().view(-1, 24, 3)).mean(0).numpy()
    left, _, right = np.linalg.svd(rotations)
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
    mean = torch.from_numpy(left @ right).float()[None], torch.from_numpy(people.shape.mean(0))[None]

    def joints(vertices: torch.Tensor) -> np.ndarray:
        all17 = regressor @ vertices[0].numpy().astype(np.float64)
        return (all17 - all17[0])[[6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]]

    predicted = joints(body(*mean).vertices)
    errors = []
    for pose, shape in zip(labels.pose, labels.shape, strict=True):
        turned = axis_angle_to_matrix(torch.tensor(pose).view(1, 24, 3))
        truth = joints(body(turned, torch.tensor(shape)[None]).vertices)
        errors.append(1000 * np.linalg.norm(predicted - truth, axis=1).mean())
    assert values["synthetic_test/mean_pose_mpjpe_mm"] == pytest.approx(np.mean(errors), rel=1e-4)


def test_people_without_smpl_labels_cannot_be_scored(trained: Path, rendered: Path, tmp_path: Path) -> None:
    arrays = {key: load_annotations(rendered / "test.npz").to_arrays()[key] for key in ("imgname", "center", "scale")}
    save_annotations(tmp_path / "test.npz", Annotations.from_arrays(arrays))
    where = f"data.evaluation.synthetic_test.annotations={tmp_path / 'test.npz'}"
    with pytest.raises(UserError, match="without SMPL pose and shape"):
        evaluate(compose("evaluate", f"run={trained}", "data=synthetic_test", *options(rendered), where))


def test_people_with_2d_labels_alone_are_scored_joint_by_joint(
    trained: Path, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = load_annotations(rendered / "test.npz").to_arrays()
    save_annotations(
        tmp_path / "test.npz",
        Annotations.from_arrays({key: labels[key] for key in ("imgname", "center", "scale", "part")}),
    )
    where = f"data.evaluation.synthetic_test.annotations={tmp_path / 'test.npz'}"
    two_d = ["protocol=keypoints_2d", "data=synthetic_test", where]
    (figures,) = evaluate(compose("evaluate", f"run={trained}", *two_d, *options(rendered)))
    printed = capsys.readouterr().out
    assert "right_ankle" in printed
    assert "PCK@0.1" in printed
    prefix = "synthetic_test:keypoints_2d"
    for name in ("error_2d_percent", "pck2d_10_percent", "mean_pose_pck2d_10_percent"):
        assert np.isfinite(figures[f"{prefix}/{name}"])
    of_joints = [value for name, value in figures.items() if name.startswith(f"{prefix}/joints/")]
    assert np.mean(of_joints) == pytest.approx(figures[f"{prefix}/pck2d_10_percent"])
    for picture in ("keypoints-synthetic_test.png", "predictions-synthetic_test.png"):
        assert (trained / picture).is_file()


def test_what_is_no_checkpoint_is_refused(trained: Path, rendered: Path, tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(UserError) as caught:
            evaluate(compose("evaluate", f"checkpoint={path}", "data=synthetic_test", *options(rendered)))
        return caught.value.message

    assert "there is no checkpoint" in message(tmp_path / "absent.pt")
    whole = (trained / "checkpoints" / "epoch-001.pt").read_bytes()
    cut, flipped, foreign = tmp_path / "cut.pt", tmp_path / "flipped.pt", tmp_path / "foreign.pt"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in message(cut)
    flipped.write_bytes(b"\x80" + whole[1:300])
    assert "cannot be read" in message(flipped)
    torch.save({"weights": torch.zeros(3)}, foreign)
    assert "is not a checkpoint of hmr_light" in message(foreign)
    # last.pt is a whole training state, not a row of the table.
    assert "is the state of a training run" in message(trained / "checkpoints" / "last.pt")


@pytest.mark.parametrize("value", [None, True, 0, {}])
@pytest.mark.parametrize("missing", ["data.image_size", "data", "backbone.name", "regressor.name", "regressor"])
def test_a_configuration_that_lacks_what_commands_read_is_told_in_one_sentence(
    tmp_path: Path, missing: str, value: object
) -> None:
    config = {"backbone": {"name": "squeezenet1_1"}, "regressor": {"name": "spin"}, "data": {"image_size": 64}}
    content = {"format": 1, "config": config, "epoch": 1, "saved": "260101-000000", "metrics": {}, "model": {}}
    save(tmp_path / "whole.pt", content)
    assert load_checkpoint(tmp_path / "whole.pt").config == config
    node, _, key = missing.partition(".")
    (config[node] if key else config)[key or node] = value
    save(tmp_path / "lacking.pt", content)
    with pytest.raises(UserError, match=f"its config lacks '{re.escape(missing)}" + ("'" if value != {} else "")):
        load_checkpoint(tmp_path / "lacking.pt")


def test_weights_of_another_backbone_are_refused(trained: Path, rendered: Path, tmp_path: Path) -> None:
    content = torch.load(trained / "checkpoints" / "epoch-001.pt", weights_only=True)
    content["config"]["backbone"] = {"name": "resnet18", "adapter": {"name": "pooled"}}
    torch.save(content, tmp_path / "epoch-001.pt")
    with pytest.raises(UserError, match=r"weights of another model: \d+ missing: .*\d+ unexpected: "):
        evaluate(
            compose("evaluate", f"checkpoint={tmp_path / 'epoch-001.pt'}", "data=synthetic_test", *options(rendered))
        )


def test_another_body_than_that_of_the_checkpoint_is_said() -> None:
    def of(body: str | None) -> Checkpoint:
        return Checkpoint(Path("a.pt"), {"body": {"name": body}} if body else {}, 1, "261121-120000", {}, {})

    assert body_notes([of("embedded"), of(None)], "embedded") == []
    (note,) = body_notes([of("smpl"), of("embedded"), of("smpl")], "embedded")
    assert "note: trained with body=smpl, scored with body=embedded" in note


def test_a_model_without_a_finite_error_is_told_after_its_table(
    trained: Path, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load_checkpoint(max(trained.glob("checkpoints/epoch-*.pt")))
    model = checkpoint.build()
    with torch.no_grad():
        model.regressor.decpose.weight.fill_(3e38)  # finite, but no product of it is
    broken = tmp_path / "broken.pt"
    save_model(broken, model, checkpoint.config, 1, {})
    with pytest.raises(UserError, match=r"broken.pt has no finite error on synthetic") as told:
        evaluate(compose("evaluate", f"checkpoint={broken}", *options(rendered)))
    assert "diverged" in told.value.remedy
    assert "nan" in capsys.readouterr().out


def test_figures_of_other_people_take_no_ones_place(trained: Path, rendered: Path) -> None:
    before = figures(trained)
    other = ["+data.evaluation.synthetic.split=held_out", f"data.evaluation.synthetic.annotations={rendered}/test.npz"]
    for change in other:
        with pytest.raises(UserError, match=r"data\.evaluation\.synthetic holds other people") as told:
            evaluate(compose("evaluate", f"run={trained}", "data=synthetic", change, *options(rendered)))
        assert "a name of its own" in told.value.remedy
    assert figures(trained) == before
