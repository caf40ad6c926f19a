from __future__ import annotations

import numpy as np
import pytest
import torch

from hmr_light.body import SMPL, load_body
from hmr_light.body.files import EMBEDDED_BODY, read_body


@pytest.mark.parametrize("posedirs", ["none", "random"])
def test_joints_without_the_mesh_are_those_of_the_mesh(posedirs: str) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    generator = torch.Generator().manual_seed(seed)
    arrays = read_body(EMBEDDED_BODY)
    if posedirs == "random":
        shape = arrays["posedirs"].shape
        arrays["posedirs"] = (0.01 * torch.randn(shape, generator=generator).numpy()).astype(np.float32)
    body = SMPL(arrays, "test").double()
    rotations = torch.linalg.qr(torch.randn(4, 24, 3, 3, generator=generator, dtype=torch.float64))[0].requires_grad_()
    betas = torch.randn(4, 10, generator=generator, dtype=torch.float64, requires_grad=True)

    through_mesh, alone = body(rotations, betas).joints, body.joints(rotations, betas)
    assert (through_mesh - alone).abs().max() < 1e-6, seed  # metres; the stored numbers are float32

    direction = torch.randn(through_mesh.shape, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad((through_mesh * direction).sum(), (rotations, betas))
    found = torch.autograd.grad((alone * direction).sum(), (rotations, betas))
    for one, other in zip(expected, found, strict=True):
        assert (one - other).abs().max() < 1e-5, seed


def test_a_checkpoint_never_contains_the_body() -> None:
    assert load_body().state_dict() == {}
