"""The body in numpy is that of the main package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.body import SMPL
from hmr_light.body.files import EMBEDDED_BODY, read_body
from hmr_light.deployment.runtime.body import Body, load_body
from hmr_light.deployment.runtime.errors import UserError


@pytest.mark.parametrize("posedirs", ["none", "random"])
def test_vertices_and_joints_are_those_of_the_main_package(posedirs: str) -> None:
    rng = np.random.default_rng()
    arrays = read_body(EMBEDDED_BODY)
    if posedirs == "random":
        arrays["posedirs"] = rng.normal(0, 0.001, arrays["posedirs"].shape).astype(np.float32)
    rotations = np.linalg.qr(rng.normal(size=(3, 24, 3, 3)))[0].astype(np.float32)
    betas = rng.uniform(-2, 2, (3, 10)).astype(np.float32)
    # Both compute in float32, whose rounding errors are some 1e-7 m each: so many of the other's are allowed.
    expected = SMPL(arrays, "test").double()(torch.from_numpy(rotations), torch.from_numpy(betas))
    vertices, joints = Body(arrays)(rotations, betas)
    assert np.abs(vertices - expected.vertices.numpy()).max() < 2e-6
    assert np.abs(joints - expected.joints.numpy()).max() < 2e-6
    assert vertices.dtype == joints.dtype == np.float32


def test_faces_and_files(tmp_path: Path) -> None:
    body = load_body(EMBEDDED_BODY)
    assert np.array_equal(body.faces, read_body(EMBEDDED_BODY)["f"])
    for name, content in (("missing.npz", None), ("text.npz", b"no npz")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            load_body(tmp_path / name)
    arrays = dict(np.load(EMBEDDED_BODY)) | {"weights": np.zeros((5, 24))}
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(UserError, match="weights are not SMPL's"):
        load_body(tmp_path / "wrong.npz")
    with pytest.raises(UserError, match="no body"):
        load_body()  # comes with the wheel alone
