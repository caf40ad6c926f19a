"""The joint maps mean what the joint names say."""

from __future__ import annotations

import numpy as np
import pytest

from hmr_light.body import joints as maps

LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
)  # fmt: skip
ALL_54 = maps.JOINT_NAMES_24_SMPL + maps.PICKED_NAMES + maps.EXTRA_NAMES


def swapped(name: str) -> str:
    words = {"left": "right", "right": "left"}
    return "_".join(words.get(word, word) for word in name.split("_"))


@pytest.mark.parametrize(
    ("names", "flip"),
    [
        (maps.JOINT_NAMES_24_SMPL, maps.SMPL_FLIP),
        (maps.OPENPOSE25_NAMES, maps.OPENPOSE25_FLIP),
        (maps.J24_NAMES, maps.J24_FLIP),
    ],
)
def test_flip_maps_exchange_left_and_right_by_name(names, flip):
    assert [names[i] for i in flip] == [swapped(name) for name in names]


def test_the_54_joints_have_distinct_names_except_the_two_noses_and_toes():
    assert len(ALL_54) == 54
    assert len(set(ALL_54)) == 54


def test_spin_joints_are_the_named_ones():
    openpose = [ALL_54[i] for i in maps.SPIN_JOINTS_49[:25]]
    expected = ["pelvis" if name == "mid_hip" else name for name in maps.OPENPOSE25_NAMES]
    assert openpose == expected
    assert tuple(ALL_54[i] for i in maps.SPIN_JOINTS_49[25:]) == maps.J24_NAMES


def test_human36m_regressor_rows_map_to_the_lsp_joints():
    assert tuple(maps.H36M_NAMES[i] for i in maps.H36M_TO_J14) == LSP


def test_j14_and_j17_of_the_24_joints_agree_with_those_of_the_regressor():
    def plain(name: str) -> str:
        return name.removesuffix("_lsp").removesuffix("_h36m").removesuffix("_mpii").replace("head_top", "head")

    assert tuple(plain(maps.J24_NAMES[i]) for i in maps.J24_TO_J14) == LSP
    # What Human3.6M's and MPI-INF-3DHP's annotations fill of the 24: no top of the head, no thorax, no face.
    assert {*maps.J24_TO_J14, *maps.J24_TO_J17} == {*range(13), 14, 16, 17, 18}
    assert [plain(maps.J24_NAMES[i]) for i in maps.J24_TO_J17] == [maps.H36M_NAMES[i] for i in maps.H36M_TO_J17]


def test_parents_come_before_their_children_and_sides_do_not_mix():
    for joint, parent in enumerate(maps.SMPL_PARENTS):
        assert parent < joint
        if joint:
            assert maps.SMPL_FLIP[parent] == maps.SMPL_PARENTS[maps.SMPL_FLIP[joint]]


def test_skeleton_is_one_connected_figure_and_mirrors_onto_itself():
    limbs = {frozenset(limb) for limb in maps.J24_SKELETON}
    assert {frozenset(maps.J24_FLIP[joint] for joint in limb) for limb in limbs} == limbs
    drawn = {joint for limb in limbs for joint in limb}
    reached = {0}
    for _ in drawn:
        reached |= {joint for limb in limbs if limb & reached for joint in limb}
    assert reached == drawn
    assert np.isin(range(12), list(drawn)).all()
