"""`import hmr_light` is the whole Python interface, costs nothing, and says the types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hmr_light


def test_importing_the_package_imports_none_of_its_parts_and_none_of_its_dependencies() -> None:
    code = "import sys, hmr_light; dir(hmr_light); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("hmr_light.")}
    assert loaded == set()
    assert not {"torch", "numpy", "cv2", "hydra", "mlflow"} & set(done.stdout.split())


def test_every_public_name_is_there() -> None:
    assert set(hmr_light.__all__) <= set(dir(hmr_light))
    for name in hmr_light.__all__:
        assert callable(getattr(hmr_light, name))
    assert {"mobilenet_v2", "resnet50"} <= set(hmr_light.list_backbones())
    assert hmr_light.sample_photograph().is_file()
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = hmr_light.load_modle


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(hmr_light.__file__).parent / "py.typed").is_file()
