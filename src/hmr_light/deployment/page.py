"""A checkpoint → a folder with a web page that runs it in the visitor's browser; any static server can hold it.

The page's own files are those in `web/`. ONNX Runtime Web is not part of the package: in a checkout
`scripts/get_onnxruntime_web.sh` fetches it, and without it the folder says which files belong where.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hmr_light.body import SMPL
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.deployment.export import Exported, export_file
from hmr_light.deployment.finder import export_finder
from hmr_light.deployment.runtime.joints import COCO_JOINTS
from hmr_light.deployment.scoring import Scored
from hmr_light.errors import UserError
from hmr_light.model.file_predictor import METADATA, FilePredictor
from hmr_light.model.hmr import HMR
from hmr_light.model.onnx_predictor import open_session
from hmr_light.paths import atomic_folder, sample_photograph, zoo_file

WEB = Path(__file__).with_name("web")
RUNTIME = "onnxruntime"
"""The folder of ONNX Runtime Web, in `WEB` and in the page's folder."""
RUNTIME_PACKAGE = "onnxruntime-web"
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""Of that npm package's folder `dist`; the last three are for WebGPU alone."""
RUNTIME_VERSION = "1.30.0"
"""The version that the page was tried with."""


class ExportedPage(NamedTuple):
    """A folder that was written."""

    network: Exported
    """The network's file in it."""
    missing: tuple[str, ...]
    """The files of ONNX Runtime Web that are not in it."""


def export_page(
    checkpoint: Checkpoint,
    body: SMPL,
    out: Path,
    *,
    precision: str | None = None,
    tracking_uri: str | None = None,
    judge: Callable[[HMR, FilePredictor], Scored | None] = lambda model, file: None,
) -> ExportedPage:
    """Write the folder `out`, whole or not at all; its network passes what `export_file` asks for.

    `body` is in the network's file. Raises `UserError` as `export_file` does, and for a network with contrasts that the
    page does not make.
    """
    if checkpoint.config["data"].get("contrast"):
        raise UserError(
            f"{checkpoint.path} sees crops with another contrast, which the page does not make",
            "Export another model, or format=onnx.",
        )
    with atomic_folder(out) as folder:
        exported = export_file(
            checkpoint,
            body,
            folder / "model.onnx",
            precision=precision,
            outputs="mesh",
            tracking_uri=tracking_uri,
            judge=judge,
        )
        finder = export_finder(folder / "finder.onnx").path
        for file in WEB.iterdir():
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        shutil.copyfile(sample_photograph(), folder / "example.png")
        faces = body.faces.cpu().numpy()
        (folder / "faces.bin").write_bytes(faces.astype("<u2").tobytes())
        model = _said(exported.path)
        page = {
            "name": f"{_name(checkpoint)}, {exported.precision}",
            "model": model,
            "finder": _said(finder),
            "coco_joints": list(COCO_JOINTS),
        }
        (folder / "page.json").write_text(json.dumps(page), encoding="utf-8")
        missing = _copy_runtime(folder / RUNTIME)
        (folder / "README.txt").write_text(_readme(model["licence"]), encoding="utf-8")
    return ExportedPage(replace(exported, path=out / exported.path.name), missing)


def _said(file: Path) -> dict[str, Any]:
    """The metadata in an exported file, which a browser cannot read out of it."""
    said: dict[str, Any] = json.loads(open_session(file).get_modelmeta().custom_metadata_map[METADATA])
    return said


def _name(checkpoint: Checkpoint) -> str:
    """What the page calls the network."""
    if zoo_file(checkpoint.path.stem) == checkpoint.path:
        return checkpoint.path.stem
    return str(checkpoint.config.get("row") or checkpoint.config["backbone"]["name"])


def _copy_runtime(folder: Path) -> tuple[str, ...]:
    """Put ONNX Runtime Web into `folder`, as far as it is here; returns the names of what is missing."""
    folder.mkdir()
    source = WEB / RUNTIME
    for file in source.iterdir() if source.is_dir() else ():
        shutil.copyfile(file, folder / file.name)
    return tuple(name for name in RUNTIME_FILES if not (folder / name).is_file())


def _readme(licences: list[str]) -> str:
    files = "\n".join(f"  {name}" for name in RUNTIME_FILES)
    return _README.format(
        folder=RUNTIME, package=RUNTIME_PACKAGE, version=RUNTIME_VERSION, files=files, licences="\n".join(licences)
    )


_README = """This folder is a web page that finds people in pictures and shows their bodies in 3D.
Everything is computed in the visitor's browser; the page sends nothing anywhere.

How to serve it
---------------
Any static server can hold it. On this machine alone:

  python -m http.server --bind 127.0.0.1 8000

and open http://127.0.0.1:8000/. The camera needs https://, or this machine itself.
The page uses several threads where the server sends these headers:

  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp

ONNX Runtime Web
----------------
The folder {folder}/ must hold these files of the npm package {package} {version}, from its folder dist/
(the last three are for WebGPU alone):

{files}

Licences
--------
hmr_light, whose page this is, is under the Apache License, Version 2.0.
model.onnx:
{licences}
finder.onnx is MoveNet Lightning, copyright Google LLC, under the Apache License, Version 2.0.
example.png is by Lav Varshney, CC0 1.0.
ONNX Runtime Web is copyright Microsoft Corporation, under the MIT License.
"""
