"""The losses against loops in numpy, and what must not change them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.spatial.transform import Rotation

from hmr_light.errors import UserError
from hmr_light.model.losses import LossConfig, LossTerm, build_loss_config, compute_losses
from hmr_light.model.regressors import SmplParameters
from hmr_light.paths import conf_dir

SIZE = 192
VERTICES = 30


def preset(name: str, **changes: Any) -> LossConfig:
    config = OmegaConf.to_container(OmegaConf.load(conf_dir() / "loss" / f"{name}.yaml"))
    return build_loss_config({**config, **changes})  # type: ignore[dict-item]


def random_case(
    seed: int, batch: int = 6, labelled: float = 0.5
) -> tuple[SmplParameters, torch.Tensor, torch.Tensor, dict]:
    """A random prediction (with gradients), its joints and vertices, and labels that some samples lack; float64."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(batch * 24 * 2, rng=rng).as_matrix().reshape(2, batch, 24, 3, 3)
    camera = np.stack((rng.uniform(0.3, 1.2, batch), *rng.normal(0, 0.2, (2, batch))), axis=1)
    prediction = SmplParameters(
        *(torch.from_numpy(value).requires_grad_() for value in (rotations[0], rng.normal(size=(batch, 10)), camera))
    )
    joints = torch.from_numpy(rng.normal(0, 0.4, (batch, 49, 3))).requires_grad_()
    vertices = torch.from_numpy(rng.normal(0, 0.4, (batch, VERTICES, 3))).requires_grad_()
    labels = {
        "keypoints_2d": np.concatenate((rng.normal(0, 0.5, (batch, 49, 2)), rng.uniform(0, 1, (batch, 49, 1))), -1),
        "joints_3d": np.concatenate((rng.normal(0, 0.5, (batch, 24, 3)), rng.uniform(0, 1, (batch, 24, 1))), -1),
        "pose": rotations[1],
        "betas": rng.normal(size=(batch, 10)),
        "vertices": rng.normal(0, 0.4, (batch, VERTICES, 3)),
        "has_smpl": (rng.uniform(size=batch) < labelled).astype(np.float64),
        "has_joints_3d": (rng.uniform(size=batch) < labelled).astype(np.float64),
    }
    return prediction, joints, vertices, {name: torch.from_numpy(value) for name, value in labels.items()}


def total(terms: dict[str, LossTerm], config: LossConfig) -> torch.Tensor:
    weights = config.term_weights()
    return torch.stack([weights[name] * term.sum / term.count.clamp(min=1e-12) for name, term in terms.items()]).sum()


def numpy_terms(
    prediction: SmplParameters, joints: torch.Tensor, vertices: torch.Tensor, batch: dict, config: LossConfig
) -> dict[str, float]:
    """Each term's mean, number by number, as SPIN's text and code define them."""
    rotations, betas, camera = (value.detach().numpy() for value in prediction)
    joint, vertex = joints.detach().numpy(), vertices.detach().numpy()
    label = {name: value.numpy() for name, value in batch.items()}
    error = (lambda x: x**2) if config.norm == "mse" else abs
    lists: dict[str, list[float]] = {name: [] for name in config.term_weights()}

    def put(name: str, value: float) -> None:
        if name in lists:
            lists[name].append(value)

    for b in range(len(joint)):
        s, tx, ty = camera[b]
        tz = 2 * 5000 / (SIZE * s + 1e-9)
        for j in range(49):
            x, y, z = joint[b, j] + [tx, ty, tz]
            u, v, confidence = label["keypoints_2d"][b, j]
            confidence *= config.openpose_weight if j < 25 else config.gt_weight
            put("keypoints_2d", confidence * error(5000 * x / z / (SIZE / 2) - u))
            put("keypoints_2d", confidence * error(5000 * y / z / (SIZE / 2) - v))
        if label["has_joints_3d"][b]:
            own, true = joint[b, 25:], label["joints_3d"][b, :, :3]
            for j in range(24):
                for axis in range(3):
                    a = own[j, axis] - (own[2, axis] + own[3, axis]) / 2
                    t = true[j, axis] - (true[2, axis] + true[3, axis]) / 2
                    put("keypoints_3d", label["joints_3d"][b, j, 3] * error(a - t))
        if label["has_smpl"][b]:
            for name, own, true in (("pose", rotations[b], label["pose"][b]), ("betas", betas[b], label["betas"][b])):
                for a, t in zip(own.ravel(), true.ravel(), strict=True):
                    put(name, error(a - t))
            for a, t in zip(vertex[b].ravel(), label["vertices"][b].ravel(), strict=True):
                put("vertices", abs(a - t))
        put("camera", np.exp(-10 * s) ** 2)
    return {name: float(np.mean(values)) if values else 0.0 for name, values in lists.items()}


@pytest.mark.parametrize("name", ["spin", "l1"])
@pytest.mark.parametrize("seed", range(4))
def test_every_term_is_spins_mean(seed: int, name: str) -> None:
    config = preset(name, vertices=0.5, openpose_weight=0.25, gt_weight=0.75)
    prediction, joints, vertices, batch = random_case(seed)
    terms = compute_losses(prediction, joints, vertices, batch, config, SIZE)
    expected = numpy_terms(prediction, joints, vertices, batch, config)
    assert terms.keys() == expected.keys() == config.term_weights().keys()
    for term, value in expected.items():
        found = (terms[term].sum / terms[term].count.clamp(min=1e-12)).item()
        assert found == pytest.approx(value, rel=1e-10), (seed, term)


@pytest.mark.parametrize("seed", range(3))
def test_the_spin_preset_totals_as_in_spins_code(seed: int) -> None:
    prediction, joints, vertices, batch = random_case(seed, labelled=0.8)
    config = preset("spin")
    found = total(compute_losses(prediction, joints, vertices, batch, config, SIZE), config)
    mean = numpy_terms(prediction, joints, vertices, batch, config)
    expected = 60 * (
        5 * mean["keypoints_2d"] + 5 * mean["keypoints_3d"] + mean["pose"] + 0.001 * mean["betas"] + mean["camera"]
    )
    assert found.item() == pytest.approx(expected, rel=1e-10)


def test_a_perfect_prediction_costs_the_cameras_term_alone() -> None:
    prediction, joints, vertices, batch = random_case(0, labelled=1.1)
    config = preset("l1", vertices=1.0)
    batch |= {"pose": prediction.rotations, "betas": prediction.betas, "vertices": vertices}
    batch["joints_3d"] = torch.cat((joints[:, 25:] + 3.0, torch.ones(6, 24, 1)), dim=-1)  # wherever the root is
    x, y, z = (joints + _translation(prediction.camera)).unbind(-1)
    projected = torch.stack((x / z, y / z), dim=-1) * 5000 / (SIZE / 2)
    batch["keypoints_2d"] = torch.cat((projected, torch.ones(6, 49, 1)), dim=-1)
    terms = compute_losses(prediction, joints, vertices, batch, config, SIZE)
    for name, term in terms.items():
        assert (term.sum.item() < 1e-10) == (name != "camera"), name


def _translation(camera: torch.Tensor) -> torch.Tensor:
    return torch.stack((camera[:, 1], camera[:, 2], 2 * 5000 / (SIZE * camera[:, 0] + 1e-9)), dim=-1)[:, None]


@pytest.mark.parametrize("name", ["spin", "l1"])
@pytest.mark.parametrize("seed", range(3))
def test_parts_of_a_batch_add_up_to_the_whole(seed: int, name: str) -> None:
    config = preset(name, vertices=0.5)
    prediction, joints, vertices, batch = random_case(seed, batch=7)
    whole = compute_losses(prediction, joints, vertices, batch, config, SIZE)
    parts = [
        compute_losses(
            SmplParameters(*(value[part] for value in prediction)),
            joints[part],
            vertices[part],
            {key: value[part] for key, value in batch.items()},
            config,
            SIZE,
        )
        for part in (slice(0, 2), slice(2, 7))
    ]
    for term in whole:
        torch.testing.assert_close(whole[term].sum, parts[0][term].sum + parts[1][term].sum)
        assert whole[term].count == parts[0][term].count + parts[1][term].count


@pytest.mark.parametrize("name", ["spin", "l1"])
def test_samples_without_labels_cost_nothing_and_get_no_gradient(name: str) -> None:
    config = preset(name, vertices=0.5)
    prediction, joints, vertices, batch = random_case(1)
    batch["has_smpl"].zero_()
    batch["has_joints_3d"].zero_()
    terms = compute_losses(prediction, joints, vertices, batch, config, SIZE)
    assert {term for term in terms if terms[term].count == 0} == {"keypoints_3d", "pose", "betas", "vertices"}
    loss = total(terms, config)
    loss.backward()
    assert loss.isfinite()
    assert not prediction.betas.grad.any()
    assert not prediction.rotations.grad.any()
    assert joints.grad[:, 25:].any()
    assert not joints.grad[:, :25].any()  # OpenPose's keypoints weigh nothing in both presets


def test_confidence_zero_hides_a_keypoint() -> None:
    config = preset("spin")
    prediction, joints, vertices, batch = random_case(2, labelled=1.1)
    batch["keypoints_2d"][:, 30, 2] = 0
    batch["joints_3d"][:, 9, 3] = 0
    before = total(compute_losses(prediction, joints, vertices, batch, config, SIZE), config)
    batch["keypoints_2d"][:, 30, :2] += 100
    batch["joints_3d"][:, 9, :3] += 100
    assert torch.equal(before, total(compute_losses(prediction, joints, vertices, batch, config, SIZE), config))


def test_terms_of_weight_zero_are_not_computed() -> None:
    prediction, joints, _, batch = random_case(0)
    config = preset("spin", betas=0.0)
    terms = compute_losses(prediction, joints, None, batch, config, SIZE)
    assert terms.keys() == {"keypoints_2d", "keypoints_3d", "pose", "camera"}
    with pytest.raises(UserError, match="every loss has weight 0"):
        preset("spin", total=0.0)


def test_gradients_agree_with_differences() -> None:
    prediction, joints, vertices, batch = random_case(5, batch=2, labelled=1.1)

    def loss(rotations: torch.Tensor, betas: torch.Tensor, camera: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
        config = preset("spin")
        return total(
            compute_losses(SmplParameters(rotations, betas, camera), joints, vertices, batch, config, SIZE), config
        )

    assert torch.autograd.gradcheck(loss, (*prediction, joints), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "l2"}, "loss.norm=l2"),
        ({"pose": -1.0}, "loss.pose=-1.0"),
        ({"pose": float("nan")}, "loss.pose=nan"),
        ({"pose": "high"}, "loss.pose='high' is not a number"),
        ({"poze": 1.0}, "loss.poze"),
    ],
)
def test_a_wrong_choice_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        preset("spin", **changes)
    assert message in caught.value.message
    assert caught.value.remedy
