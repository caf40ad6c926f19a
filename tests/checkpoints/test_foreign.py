"""Other systems' checkpoints against their equations, written here once more from the papers, in plain torch."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from scipy.spatial.transform import Rotation

from hmr_light.checkpoints.loading import load_checkpoint, start_from
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize
from hmr_light.model.regressors import SmplParameters

State = dict[str, torch.Tensor]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()


def encoder(name: str, seed: int) -> tuple[torch.nn.Module, State]:
    """A network in float64 with statistics as after some training, without classifier, and its weights in float32."""
    torch.manual_seed(seed)
    network = torchvision.models.get_model(name, weights=None)
    setattr(network, "classifier" if name.startswith("densenet") else "fc", torch.nn.Identity())
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
    weights = dict(network.state_dict())
    return network.eval().double(), weights


def spin_head(features: int, seed: int, box: int = 0) -> State:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"fc1": (64, features + box + 157), "fc2": (64, 64), "decpose": (144, 64), "decshape": (10, 64)}
    state: State = {}
    for layer, shape in (shapes | {"deccam": (3, 64)}).items():
        state[f"{layer}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        state[f"{layer}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    for name, size in {"init_pose": 144, "init_shape": 10, "init_cam": 3}.items():
        state[name] = torch.randn(1, size, generator=generator)
    return state


def spin(head: State, features: torch.Tensor, in_blocks: bool = False) -> SmplParameters:
    """SPIN's head: three passes without activation, then Gram-Schmidt on 3×2 numbers a joint, in either order."""
    head = {name: value.double() for name, value in head.items()}
    pose, shape, camera = (head[name].expand(len(features), -1) for name in ("init_pose", "init_shape", "init_cam"))
    for _ in range(3):
        x = torch.cat([features, pose, shape, camera], 1)
        for layer in ("fc1", "fc2"):
            x = x @ head[f"{layer}.weight"].T + head[f"{layer}.bias"]
        pose = pose + x @ head["decpose.weight"].T + head["decpose.bias"]
        shape = shape + x @ head["decshape.weight"].T + head["decshape.bias"]
        camera = camera + x @ head["deccam.weight"].T + head["deccam.bias"]
    six = pose.reshape(-1, 24, 6)
    a1, a2 = (six[..., :3], six[..., 3:]) if in_blocks else (six[..., 0::2], six[..., 1::2])
    b1 = a1 / a1.norm(dim=-1, keepdim=True)
    b2 = a2 - (b1 * a2).sum(-1, keepdim=True) * b1
    b2 = b2 / b2.norm(dim=-1, keepdim=True)
    return SmplParameters(torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -1), shape, camera)


def images(seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def normalised(seed: int) -> torch.Tensor:
    return (images(seed).double() / 255 - MEAN[:, None, None]) / STD[:, None, None]


@torch.no_grad()
def check(
    path: Path, expected: SmplParameters, seed: int, allow: list[str] | None = None, *, within: float = 1e-9
) -> None:
    """What the file's model, in float64, says of the images is what is expected."""
    torch.testing.assert_close(normalize(images(seed)).double(), normalised(seed), rtol=1e-5, atol=1e-5)
    model = load_checkpoint(path, allow or []).build()
    for name, value in model.double()(normalised(seed))._asdict().items():
        assert value.dtype == torch.float64
        assert (value - getattr(expected, name)).abs().max() < within, f"{name}, seed {seed}"


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize("container", ["published", "trainer"])
@torch.no_grad()
def test_spins_checkpoint_gives_what_its_equations_give(tmp_path: Path, container: str) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    network, weights = encoder("resnet50", seed)
    head = spin_head(2048, seed)
    state = OrderedDict(weights | head)
    content: dict[str, Any] = {"model": state}
    if container == "trainer":  # with what its trainer adds, by a torch that knew no zip and no count of batches
        state = OrderedDict((name, value) for name, value in state.items() if "num_batches" not in name)
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))], 5e-5).state_dict()
        content = {"model": state, "optimizer": optimizer, "epoch": 7, "batch_idx": 1, "batch_size": 64}
        content |= {"dataset_perm": torch.randperm(5), "total_step_count": 4000}
    torch.save(content, tmp_path / "model_checkpoint.pt", _use_new_zipfile_serialization=container == "published")
    check(tmp_path / "model_checkpoint.pt", spin(head, network(normalised(seed))), seed)
    checkpoint = load_checkpoint(tmp_path / "model_checkpoint.pt")
    assert (checkpoint.epoch, checkpoint.body) == (7 if container == "trainer" else 0, "smpl")


@pytest.mark.parametrize("layout", ["CLIFF", "BEDLAM", "mmhuman3d", "4D-Humans"])
@torch.no_grad()
def test_other_layouts_give_what_their_equations_give(tmp_path: Path, layout: str) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    network, weights = encoder("resnet18", seed)
    head = spin_head(512, seed, box=3 if layout == "CLIFF" else 0)
    features, allow = network(normalised(seed)), []
    seen = head
    if layout == "CLIFF":
        content: dict[str, Any] = {"model": prefixed("module.encoder.", weights) | prefixed("module.", head)}
        # Without the box's three numbers it is another network, and only with leave: as if they were nought.
        assert "1 unexpected: bbox_info" in message(content, tmp_path / "refused.pt")
        allow = ["bbox_info"]
        seen = head | {"fc1.weight": torch.cat([head["fc1.weight"][:, :512], head["fc1.weight"][:, 515:]], 1)}
    elif layout == "BEDLAM":
        content = {"state_dict": prefixed("model.backbone.", weights) | prefixed("model.head.", head), "epoch": 3}
    elif layout == "mmhuman3d":
        content = {"state_dict": prefixed("backbone.", weights) | prefixed("head.", head), "meta": {"epoch": 10}}
    else:
        renamed = {"init_pose": "init_body_pose", "init_shape": "init_betas"}
        named = {renamed.get(name, name): value for name, value in head.items()}
        others = {"discriminator.D_conv1.weight": torch.zeros(3)}
        content = {"state_dict": prefixed("backbone.", weights) | prefixed("smpl_head.", named) | others}
        allow = ["discriminator.*"]
    torch.save(content, tmp_path / "other.ckpt")
    check(tmp_path / "other.ckpt", spin(seen, features, in_blocks=layout == "4D-Humans"), seed, allow)


@pytest.mark.parametrize(("name", "num_features"), [("resnet18", 512), ("densenet121", 1024)])
@torch.no_grad()
def test_hmrs_port_gives_what_its_equations_give(tmp_path: Path, name: str, num_features: int) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    network, weights = encoder(name, seed)
    generator = torch.Generator().manual_seed(seed)
    sizes = [num_features + 85, 64, 64, 85]
    layers: list[tuple[torch.Tensor, torch.Tensor]] = [
        (torch.randn(rows, columns, generator=generator) / columns**0.5, 0.1 * torch.randn(rows, generator=generator))
        for columns, rows in pairwise(sizes)
    ]
    theta_mean = torch.randn(85, generator=generator)
    # As its trainer writes it: wrapped for many devices, and with the mean once for each sample of a batch.
    state = prefixed("encoder.", weights) | {"regressor.mean_theta": theta_mean.repeat(6, 1)}
    state["encoder.classifier.weight"] = torch.zeros(1000, num_features)  # its DenseNets keep theirs, unused
    for number, (weight, bias) in enumerate(layers):
        state |= {f"regressor.fc_blocks.regressor_fc_{number}.weight": weight}
        state |= {f"regressor.fc_blocks.regressor_fc_{number}.bias": bias}
    torch.save(prefixed("module.", state), tmp_path / "hmr.pth")

    features = network(2 * (images(seed)[:, [2, 1, 0]].double() / 255) - 1)  # of BGR, which is what OpenCV reads
    theta = theta_mean.expand(2, -1).double()
    layers = [(weight.double(), bias.double()) for weight, bias in layers]
    for _ in range(3):
        x = torch.cat([features, theta], 1)
        for weight, bias in layers[:2]:
            x = (x @ weight.T + bias).clamp(min=0)
        theta = theta + x @ layers[2][0].T + layers[2][1]
    turns = Rotation.from_rotvec(theta[:, 3:75].reshape(-1, 3).numpy()).as_matrix().reshape(2, 24, 3, 3)
    expected = SmplParameters(torch.from_numpy(turns), theta[:, 75:], theta[:, :3])
    # Its other colours and range are folded into the first layer's weights, which are float32.
    check(tmp_path / "hmr.pth", expected, seed, ["encoder.classifier.*"], within=1e-5)

    state["regressor.mean_theta"] = torch.randn(6, 85, generator=generator)
    assert "not one mean" in message(state, tmp_path / "means.pth")


@pytest.fixture
def small() -> State:
    """A file of SPIN's layout with ResNet-18, as its `model`."""
    return encoder("resnet18", 0)[1] | spin_head(512, 0)


def message(content: Any, path: Path, allow: list[str] | None = None) -> str:
    torch.save(content, path)
    with pytest.raises(UserError) as caught:
        load_checkpoint(path, allow or [])
    assert caught.value.remedy
    return caught.value.message


def test_missing_and_unexpected_weights_are_listed_and_refused_unless_allowed(small: State, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    changed = {name: value for name, value in small.items() if name not in ("init_cam", "fc2.bias")}
    changed["fc3.weight"] = torch.zeros(2)
    assert "2 missing: regressor.fc2.bias, regressor.init_cam; 1 unexpected: fc3.weight" in message(
        {"model": changed}, path
    )
    assert "1 missing: regressor.init_cam" in message({"model": changed}, path, ["fc3.*", "regressor.fc2.bias"])
    model = load_checkpoint(path, ["fc3.*", "regressor.fc2.bias", "*.init_*"]).build()
    assert model.regressor.init_cam.flatten().tolist() == pytest.approx([0.9, 0, 0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"conv1.weight": None, "layer": None, "stage2.0.branches.0.weight": torch.zeros(1)}, "an HRNet"),
        ({"layer": None, "blocks.0.attn.qkv.weight": torch.zeros(1)}, "a vision transformer"),
        ({"decshape.weight": torch.zeros(11, 64)}, "24 joints and 11 betas"),
        ({"decpose.weight": torch.zeros(132, 64)}, "22 joints and 10 betas"),
        ({"fc1.weight": None}, "not iterative"),
        ({"decpose": None}, "layout is not known"),
        ({"fc1.weight": torch.zeros(64, 999)}, "1 of another shape: regressor.fc1.weight"),
    ],
)
def test_a_network_that_is_none_of_ours_is_refused_by_name(
    small: State, tmp_path: Path, changes: dict[str, torch.Tensor | None], says: str
) -> None:
    for name, value in changes.items():
        small = {key: one for key, one in small.items() if not key.startswith(name)}
        small |= {} if value is None else {name: value}
    assert says in message({"model": small}, tmp_path / "model.pt")


class Options:
    """An object of a training script whose reading runs code."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return harm, (str(self.target),), {"rate": 1}


def harm(target: str) -> None:
    Path(target).touch()


class Getter:
    """An object that is made by a function of Python's own."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (Path, "touch")


def test_objects_beside_the_weights_are_neither_made_nor_needed(small: State, tmp_path: Path) -> None:
    given = {"options": Options(tmp_path / "harmed"), "args": Namespace(rate=1), "best": np.float64(3)}
    given |= {"paths": {"out": tmp_path}, "kinds": [defaultdict(list)], "whole": torch.nn.Linear(1, 1)}
    torch.save({"model": small, **given}, tmp_path / "model.ckpt")
    model = load_checkpoint(tmp_path / "model.ckpt").build()
    assert torch.equal(model.backbone.trunk.conv1.weight, small["conv1.weight"])  # type: ignore[union-attr]
    assert not (tmp_path / "harmed").exists()
    assert "it holds a getattr, and reading that runs its code" in message(
        {"model": small, "a": Getter()}, tmp_path / "g"
    )
    assert "holds a torch.nn.modules.linear.Linear" in message(torch.nn.Linear(1, 1), tmp_path / "whole.pt")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("container", ["model", "state_dict", "model_state_dict", "net", None])
def test_wrapped_weights_are_read(small: State, tmp_path: Path, prefix: str, container: str | None) -> None:
    state = prefixed(prefix, small)
    torch.save({container: state, "epoch": 3} if container else state, tmp_path / "model.pt")
    model = load_checkpoint(tmp_path / "model.pt").build()
    assert torch.equal(model.backbone.trunk.conv1.weight, small["conv1.weight"])  # type: ignore[union-attr]


def test_training_starts_from_the_weights_that_it_is_given(small: State, tmp_path: Path) -> None:
    path = tmp_path / "model_checkpoint.pt"
    torch.save({"model": small}, path)
    config = {"backbone": {"name": "resnet18"}, "regressor": {"name": "spin", "hidden": 64}}
    model = build_model(config)
    start_from(model, path)
    assert torch.equal(model.regressor.fc1.weight, small["fc1.weight"])  # type: ignore[union-attr]
    assert torch.equal(model.backbone.trunk.conv1.weight, small["conv1.weight"])  # type: ignore[union-attr]

    other = build_model(config | {"regressor": {"name": "linear"}})
    before = other.regressor.correction.bias.clone()  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"2 missing: regressor.correction.bias.* 10 unexpected: regressor.deccam"):
        start_from(other, path)
    start_from(other, path, ["regressor.*"])
    assert torch.equal(other.backbone.trunk.conv1.weight, small["conv1.weight"])  # type: ignore[union-attr]
    assert torch.equal(other.regressor.correction.bias, before)  # type: ignore[union-attr]
