"""What each protocol compares: the body of the truth, the root, the joints, and who is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support import spin_reference
from support.cli import compose

from hmr_light.body import SMPL, load_body
from hmr_light.config.choices import choices
from hmr_light.data.annotations import Annotations
from hmr_light.errors import UserError
from hmr_light.evaluation.protocols import Protocol, Scorer, build_protocol, protocols
from hmr_light.model.regressors.base import SmplParameters

# Right ankle … head: LSP's 14 joints among the regressor's 17, and among the labels' 24.
LSP_14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
PELVIS = 14


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bodies")
    spin_reference.make_bodies(folder, np.random.default_rng(0))
    return folder


@pytest.fixture(scope="module")
def body(files: Path) -> SMPL:
    return load_body(files)


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        ("3dpw_test", "3dpw"),
        ("h36m_p1", "h36m_p1"),
        ("h36m_p2", "h36m_p2"),
        ("mpi_inf_3dhp_test", "mpi_inf_3dhp"),
        ("synthetic_test", "lsp14"),
    ],
)
def test_a_papers_test_set_is_scored_as_the_papers_do_it_unless_another_protocol_is_named(
    data: str, protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path))
    for command in (["train"], ["evaluate", "run=any"]):
        assert compose(*command, f"data={data}").protocol["name"] == protocol
        assert compose(*command, f"data={data}", "protocol=lsp14").protocol["name"] == "lsp14"
        assert compose(*command, "protocol=h36m_p2", f"data={data}").protocol["name"] == "h36m_p2"


def people(count: int = 4, seed: int = 0, **changes: Any) -> Annotations:
    rng = np.random.default_rng(seed)
    arrays = {
        "imgname": np.array([f"S9_Eating.{['60457274', '54138969'][i % 2]}_{i:06d}.jpg" for i in range(count)]),
        "center": np.full((count, 2), 100.0),
        "scale": np.ones(count),
        "S": np.concatenate([rng.normal(0, 0.4, (count, 24, 3)), np.ones((count, 24, 1))], 2),
        "pose": rng.normal(0, 0.4, (count, 72)),
        "shape": rng.normal(0, 1, (count, 10)),
        "gender": np.array(["m", "f"] * (count // 2)),
    }
    kept = {key: value for key, value in (arrays | changes).items() if value is not None}
    return Annotations.from_arrays(kept)


def batch(labels: Annotations) -> dict[str, torch.Tensor]:
    turns = Rotation.from_rotvec(labels.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    return {
        "pose": torch.from_numpy(turns).float(),
        "betas": torch.from_numpy(labels.shape),
        "joints_3d": torch.from_numpy(labels.S),
    }


def prediction(count: int, seed: int) -> SmplParameters:
    rng = np.random.default_rng(seed)
    turns = torch.from_numpy(Rotation.random(24 * count, rng=rng).as_matrix().reshape(count, 24, 3, 3)).float()
    return SmplParameters(turns, torch.from_numpy(rng.normal(size=(count, 10))).float(), torch.zeros(count, 3))


def pw3d(files: Path, **changes: Path) -> Protocol:
    return build_protocol({"name": "3dpw", "male": str(files), "female": str(files), **changes})


def from_root(vertices: np.ndarray, files: Path) -> tuple[np.ndarray, np.ndarray]:
    joints = np.load(files / "J_regressor_h36m.npy") @ vertices
    return (joints - joints[0])[LSP_14], vertices - joints[0]


def test_3dpws_truth_is_the_body_of_the_labels_gender(files: Path, body: SMPL) -> None:
    labels, seed = people(), int(np.random.default_rng().integers(10**6))
    predicted = prediction(4, seed)
    scorer = Scorer(pw3d(files), body)
    errors = scorer.errors(predicted, scorer.truth(batch(labels), labels.gender))
    bodies = spin_reference.read_bodies(files)
    for person, gender in enumerate(labels.gender):
        neutral = spin_reference.mesh(bodies["n"], *(value[person].double().numpy() for value in predicted[:2]))
        turns = np.stack([spin_reference.rotation_of(one) for one in labels.pose[person].astype(float).reshape(24, 3)])
        truth = spin_reference.mesh(bodies[str(gender)], turns, labels.shape[person].astype(float))
        (joints, vertices), (true_joints, true_vertices) = from_root(neutral, files), from_root(truth, files)
        expected = {
            "mpjpe_mm": np.linalg.norm(joints - true_joints, axis=1),
            "reconstruction_error_mm": np.linalg.norm(
                spin_reference.aligned(joints, true_joints) - true_joints, axis=1
            ),
            "pve_mm": np.linalg.norm(vertices - true_vertices, axis=1),
        }
        for name, distances in expected.items():
            assert abs(errors[name][person] - 1000 * distances.mean()) < 1e-3, f"{name}, seed {seed}"


def test_a_neutral_truth_is_another_protocol(files: Path, body: SMPL) -> None:
    labels = people()
    said = batch(labels)
    right = SmplParameters(said["pose"], said["betas"], torch.zeros(4, 3))
    neutral, gendered = Scorer(build_protocol({"name": "lsp14"}), body), Scorer(pw3d(files), body)
    assert all((e < 1e-3).all() for e in neutral.errors(right, neutral.truth(said, labels.gender)).values())
    errors = gendered.errors(right, gendered.truth(said, labels.gender))
    swapped = gendered.errors(right, gendered.truth(said, labels.gender[::-1]))
    assert (errors["mpjpe_mm"] > 1).all()
    assert (errors["pve_mm"] - swapped["pve_mm"]).abs().min() > 1e-2


@pytest.mark.parametrize(("name", "count"), [("h36m_p1", 14), ("mpi_inf_3dhp", 17)])
def test_measured_joints_are_compared_from_their_own_pelvis(body: SMPL, name: str, count: int) -> None:
    labels, predicted = people(), prediction(4, 1)
    scorer = Scorer(build_protocol({"name": name}), body)
    said = batch(labels)
    errors = scorer.errors(predicted, scorer.truth(said, labels.gender))
    assert errors.keys() == set(scorer.protocol.metrics)
    assert len(scorer.protocol.joints) == count

    elsewhere = said | {"joints_3d": said["joints_3d"] + torch.tensor([1.0, 2, 3, 0])}
    moved = scorer.errors(predicted, scorer.truth(elsewhere, labels.gender))
    for metric, value in errors.items():
        torch.testing.assert_close(moved[metric], value, atol=1e-2, rtol=0)  # float32 a few metres away

    # Joints that the protocol does not name may be anywhere, and may be missing.
    others = sorted(set(range(24)) - {*(scorer.protocol.label_joints or ()), PELVIS})
    changed = said["joints_3d"].clone()
    changed[:, others] = 0
    same = scorer.errors(predicted, scorer.truth(said | {"joints_3d": changed}, labels.gender))
    assert all(torch.equal(same[metric], value) for metric, value in errors.items())


# MPI-INF-3DHP's test order: head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head.
MPI_IN_LABELS = [18, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 14, 16, 17]
MPI_IN_REGRESSOR = [10, 8, 14, 15, 16, 11, 12, 13, 4, 5, 6, 1, 2, 3, 0, 7, 9]
# The groups of the evaluation that comes with the test set, counted from 1: head, neck, shoulders … ankles.
MPI_GROUPS = [[1], [2], [3, 6], [4, 7], [5, 8], [9, 12], [10, 13], [11, 14]]


def test_pck_and_auc_of_mpi_inf_3dhp_are_those_of_the_test_sets_own_groups(files: Path, body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    rng, predicted = np.random.default_rng(seed), prediction(4, seed)
    neutral = spin_reference.read_bodies(files)["n"]
    regressor = np.load(files / "J_regressor_h36m.npy")
    labels = people()
    S = np.ones((4, 24, 4))
    expected: dict[str, list[float]] = {"pck150_percent": [], "auc_percent": [], "mpjpe_mm": []}
    for person in range(4):
        mesh = spin_reference.mesh(neutral, *(value[person].double().numpy() for value in predicted[:2]))
        joints = (regressor @ mesh)[MPI_IN_REGRESSOR]
        offsets = rng.normal(0, 0.1, (17, 3))
        offsets -= offsets[14]
        # From the pelvis, in millimetres: near a threshold of AUC the rounding of float32 might decide.
        lengths = 1000 * np.linalg.norm(offsets, axis=1, keepdims=True)
        is_near = (np.abs(lengths - 5 * np.round(lengths / 5)) < 0.1) & (lengths > 0)
        truth = joints + np.where(is_near, (1 + 1 / lengths.clip(1e-9)) * offsets, offsets) + rng.normal(0, 0.1, 3)
        S[person, MPI_IN_LABELS, :3] = truth
        distances = 1000 * np.linalg.norm((joints - joints[14]) - (truth - truth[14]), axis=1)

        def total(threshold: float, distances: np.ndarray = distances) -> float:
            """The groups' shares of close joints, weighted by how many joints each has."""
            shares = [np.mean(distances[np.array(group) - 1] < threshold) * len(group) for group in MPI_GROUPS]
            return 100 * sum(shares) / sum(map(len, MPI_GROUPS))

        expected["pck150_percent"].append(total(150))
        expected["auc_percent"].append(np.mean([total(threshold) for threshold in range(0, 151, 5)]))
        expected["mpjpe_mm"].append(distances.mean())
    scorer = Scorer(build_protocol({"name": "mpi_inf_3dhp"}), body)
    said = batch(labels) | {"joints_3d": torch.from_numpy(S)}
    errors = scorer.errors(predicted, scorer.truth(said, labels.gender))
    for metric, values in expected.items():
        np.testing.assert_allclose(errors[metric].numpy(), values, atol=1e-2)
    assert scorer.protocol.describe().endswith("AUC (of 14 joints)")


def test_people_who_lack_a_joint_have_no_error(body: SMPL) -> None:
    scorer, labels = Scorer(build_protocol({"name": "h36m_p1"}), body), people()
    said = batch(labels)
    said["joints_3d"][1, PELVIS, 3] = 0
    said["joints_3d"][2, 6, 3] = 0
    errors = scorer.errors(prediction(4, 2), scorer.truth(said, labels.gender))
    assert errors["mpjpe_mm"].isnan().tolist() == [False, True, True, False]


def test_protocol_2_counts_the_frontal_camera_alone() -> None:
    assert build_protocol({"name": "h36m_p2"}).people(people()).tolist() == [0, 2]
    assert build_protocol({"name": "h36m_p1"}).people(people()).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("lsp14", {"pose": None, "shape": None}, "without SMPL pose and shape"),
        ("3dpw", {"gender": None}, "4 of 4 people in a set have no gender"),
        ("h36m_p1", {"S": None}, "nobody in a set has all of them"),
        ("h36m_p2", {"imgname": np.array(list("abcd"))}, "no image of a set is of the camera 60457274"),
    ],
)
def test_labels_that_a_protocol_needs_are_asked_for(files: Path, name: str, changes: dict[str, Any], says: str) -> None:
    protocol = pw3d(files) if name == "3dpw" else build_protocol({"name": name})
    protocol.check("a set", people())
    with pytest.raises(UserError, match=says):
        protocol.check("a set", people(**changes))


def test_missing_and_foreign_bodies_are_named(files: Path, body: SMPL, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3dpw needs SMPL's male body") as caught:
        Scorer(pw3d(files, male=tmp_path), body)
    assert "protocol.male=FILE" in caught.value.remedy
    with pytest.raises(UserError, match="not that of the body 'embedded'") as caught:
        Scorer(pw3d(files), load_body())
    assert "body=smpl" in caught.value.remedy


def test_every_protocol_has_its_choice_and_stamps_its_own_name(home: Path) -> None:
    assert choices("protocol") == protocols.names()
    for name in protocols.names():
        protocol = build_protocol(compose("evaluate", "run=x", f"protocol={name}").protocol)
        assert protocol.name == name
        assert protocol.describe().startswith(f"{name}: ")
    with pytest.raises(UserError, match=r"protocol\.joints"):
        build_protocol({"name": "lsp14", "joints": 17})
