"""PCK and reprojection error against 2D labels: by numpy's own arithmetic, joint by joint, box by box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body import SMPL, load_body
from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import Annotations
from hmr_light.errors import UserError
from hmr_light.evaluation.keypoints import KeypointProtocol, KeypointScorer, KeypointSums
from hmr_light.evaluation.protocols import build_protocol
from hmr_light.model.regressors.base import SmplParameters

SIZE = 96
GENDER = np.array([], str)


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


def protocol(**options: Any) -> KeypointProtocol:
    built = build_protocol({"name": "keypoints_2d", "labels": "part", "margin": 1.2} | options)
    assert isinstance(built, KeypointProtocol)
    return built


def random_people(rng: np.random.Generator, count: int, body: SMPL) -> tuple[SmplParameters, np.ndarray]:
    """Predictions, and where their 49 joints are in the crop, -1 to 1: a pinhole of 5000 pixels, as the losses have."""
    turns = Rotation.random(24 * count, rng=rng).as_matrix().reshape(count, 24, 3, 3)
    camera = np.column_stack([rng.uniform(0.5, 1, count), rng.normal(0, 0.2, (count, 2))])
    parameters = SmplParameters(
        torch.from_numpy(turns).float(),
        torch.from_numpy(rng.normal(size=(count, 10))).float(),
        torch.from_numpy(camera).float(),
    )
    joints = body.joints(parameters.rotations, parameters.betas).double().numpy()
    depth = joints[..., 2] + 2 * 5000 / (SIZE * camera[:, :1])
    return parameters, (joints[..., :2] + camera[:, None, 1:]) / depth[..., None] * 5000 / (SIZE / 2)


@pytest.mark.parametrize(("labels", "which"), [("part", slice(25, 49)), ("openpose", slice(0, 25)), ("all", slice(49))])
def test_the_figures_are_means_over_the_joints_of_shares_of_the_tight_box(
    body: SMPL, labels: str, which: slice
) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    rng = np.random.default_rng(seed)
    count, margin = 30, rng.uniform(1, 1.5)
    parameters, projected = random_people(rng, count, body)
    offsets = rng.normal(0, 0.1, projected.shape)
    for threshold in (0.05, 0.1):  # within 1e-4 of it, the rounding of float32 might decide
        shares = np.linalg.norm(offsets, axis=2, keepdims=True) / 2 * margin
        offsets = np.where(np.abs(shares - threshold) < 1e-4, 1.02 * offsets, offsets)
    said = projected + offsets
    confidence = rng.choice([0, 0.5, 0.51, 1], (count, 49))
    confidence[0] = 0  # one whom nobody has labelled
    confidence[:, [3, 30]] = 0  # and joints that nobody has labelled
    keypoints = torch.from_numpy(np.concatenate([said, confidence[..., None]], 2)).float()

    scorer = protocol(labels=labels, margin=margin).scorer(body, image_size=SIZE)
    truth = scorer.truth({"keypoints_2d": keypoints}, GENDER)
    sums = scorer.new_sums()
    for part in (slice(0, 7), slice(7, count)):
        predicted = scorer.predicted(SmplParameters(*(value[part] for value in parameters)))
        sums.add(scorer.compare(predicted, truth._replace(joints=truth.joints[part])))

    # From -1 to 1 is the annotated box, which is `margin` times as large as the tight one.
    distances = np.linalg.norm(projected - said, axis=2)[:, which] / 2 * margin
    labelled = confidence[:, which] > 0.5
    each = [distances[labelled[:, joint], joint] for joint in range(labelled.shape[1])]
    expected = {
        "error_2d_percent": np.mean([100 * one.mean() for one in each if len(one)]),
        "pck2d_05_percent": np.mean([100 * (one < 0.05).mean() for one in each if len(one)]),
        "pck2d_10_percent": np.mean([100 * (one < 0.1).mean() for one in each if len(one)]),
    }
    assert sums.figures() == pytest.approx(expected, abs=2e-3), seed
    assert (sums.count, sums.dropped) == (count - 1, 1)
    names = {"part": J24_NAMES, "openpose": OPENPOSE25_NAMES}.get(labels, tuple(range(49)))
    per_joint = list(sums.per_joint().values())
    assert len(per_joint) == len([one for one in each if len(one)]) < len(names)
    for found, one in zip(per_joint, [one for one in each if len(one)], strict=True):
        assert found["people"] == len(one)
        assert found["pck2d_10_percent"] == pytest.approx(100 * (one < 0.1).mean(), abs=1e-3), seed
    person = int(np.flatnonzero(labelled.any(1))[0])
    of_one = scorer.errors(parameters, truth)["error_2d_percent"][person]
    assert of_one == pytest.approx(100 * distances[person, labelled[person]].mean(), abs=1e-3)


def test_a_joint_that_every_person_has_right_is_right(body: SMPL) -> None:
    parameters, projected = random_people(np.random.default_rng(), 3, body)
    keypoints = torch.from_numpy(np.concatenate([projected, np.ones((3, 49, 1))], 2)).float()
    scorer = protocol().scorer(body, image_size=SIZE)
    sums = scorer.new_sums()
    sums.add(scorer.compare(scorer.predicted(parameters), scorer.truth({"keypoints_2d": keypoints}, GENDER)))
    figures = sums.figures()
    assert figures["pck2d_05_percent"] == figures["pck2d_10_percent"] == 100
    assert figures["error_2d_percent"] < 1e-3
    assert set(sums.by_joint()) == {f"joints/{name}_pck2d_10_percent" for name in J24_NAMES}


def test_who_has_a_prediction_that_is_not_finite_is_dropped_and_harms_no_other(body: SMPL) -> None:
    rng = np.random.default_rng()
    parameters, projected = random_people(rng, 4, body)
    said = projected + rng.normal(0, 0.1, projected.shape)
    keypoints = torch.from_numpy(np.concatenate([said, np.ones((4, 49, 1))], 2)).float()
    scorer = protocol().scorer(body, image_size=SIZE)
    errors = scorer.compare(scorer.predicted(parameters), scorer.truth({"keypoints_2d": keypoints}, GENDER))
    others = scorer.new_sums()
    others.add({name: value[[0, 1, 3]] for name, value in errors.items()})
    parameters.camera[2] = torch.nan
    sums = scorer.new_sums()
    sums.add(scorer.compare(scorer.predicted(parameters), scorer.truth({"keypoints_2d": keypoints}, GENDER)))
    assert (sums.count, sums.dropped) == (3, 1)
    assert sums.figures() == pytest.approx(others.figures(), rel=1e-12)


def test_sums_of_two_processes_are_those_of_one() -> None:
    rng = np.random.default_rng()
    table = torch.from_numpy(np.where(rng.random((9, 24)) < 0.3, np.nan, rng.uniform(0, 20, (9, 24))))
    table[:, 5] = torch.nan

    def summed(people: slice) -> KeypointSums:
        sums = KeypointSums(J24_NAMES)
        sums.add(dict.fromkeys(sums.metrics, table[people]))
        return sums

    whole, first, second = summed(slice(9)), summed(slice(4)), summed(slice(4, 9))
    other = torch.cat((second._sums, second._joints.flatten()))
    first.pool(lambda own: own + other)
    assert first.figures() == pytest.approx(whole.figures(), rel=1e-12)
    assert (first.count, first.dropped) == (whole.count, whole.dropped)
    assert first.per_joint().keys() == whole.per_joint().keys()
    assert all(np.isnan(value) for value in KeypointSums(J24_NAMES).means().values())


def test_larger_boxes_do_not_change_the_unit(body: SMPL) -> None:
    rng = np.random.default_rng()
    parameters, projected = random_people(rng, 3, body)
    factor, said = rng.uniform(1, 2), projected + rng.normal(0, 0.1, projected.shape)
    scorer = protocol().scorer(body, image_size=SIZE)

    def errors(scorer: KeypointScorer, found: np.ndarray, said: np.ndarray) -> torch.Tensor:
        keypoints = torch.from_numpy(np.concatenate([said, np.ones((3, 49, 1))], 2)).float()
        predicted = scorer.predicted(parameters)
        moved = predicted._replace(joints=predicted.joints * torch.from_numpy((found / projected)[:, 25:]))
        return scorer.compare(moved, scorer.truth({"keypoints_2d": keypoints}, GENDER))["error_2d_percent"]

    # The same distances in pixels are so much smaller shares of the larger box.
    torch.testing.assert_close(
        errors(scorer.for_boxes(factor), projected / factor, said / factor),
        errors(scorer, projected, said),
        rtol=1e-4,
        atol=1e-3,
    )


def labels(**changes: np.ndarray) -> Annotations:
    return Annotations.from_arrays(
        {"imgname": np.array(["a.jpg", "b.jpg"]), "center": np.full((2, 2), 50.0), "scale": np.ones(2), **changes}
    )


def test_who_has_no_label_does_not_count_and_a_set_without_any_is_refused() -> None:
    part, detected = np.zeros((2, 24, 3)), np.zeros((2, 25, 3))
    part[1, 4] = (3, 4, 0.6)
    part[0, 4] = (3, 4, 0.5)
    detected[0, 7] = (3, 4, 1)
    assert protocol().people(labels(part=part)).tolist() == [1]
    assert protocol(labels="all").people(labels(part=part, openpose=detected)).tolist() == [0, 1]
    protocol().check("a set", labels(part=part))
    with pytest.raises(UserError, match="nobody in a set has one in 'part'") as caught:
        protocol().check("a set", labels(openpose=detected))
    assert "protocol.labels=openpose" in caught.value.remedy
    with pytest.raises(UserError, match="'part or openpose'") as caught:
        protocol(labels="all").check("a set", labels())
    assert "protocol=lsp14" in caught.value.remedy


@pytest.mark.parametrize("options", [{"labels": "parts"}, {"margin": 0.0}, {"margin": -1.0}, {"margin": float("inf")}])
def test_odd_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"protocol.{next(iter(options))}"):
        protocol(**options)
