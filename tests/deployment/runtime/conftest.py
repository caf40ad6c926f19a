from __future__ import annotations

from pathlib import Path

import pytest

from hmr_light.deployment.finder import export_finder


@pytest.fixture(scope="session")
def finder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finder, exported."""
    return export_finder(tmp_path_factory.mktemp("finder") / "finder.onnx").path
