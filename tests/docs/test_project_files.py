"""The files that describe the project name what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_architecture_names_every_room() -> None:
    rooms = {path.name for path in (ROOT / "src" / "hmr_light").iterdir() if (path / "__init__.py").is_file()}
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert {room for room in rooms if f"`{room}/`" not in text} == set()
    for home in re.findall(r"\| [\w ]+ \| `([\w/.]+)` \|", text):
        assert (ROOT / "src" / "hmr_light" / home).exists(), home


def test_the_version_is_the_same_everywhere() -> None:
    import hmr_light
    from hmr_light.deployment import runtime

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == hmr_light.__version__ == runtime.__version__
    assert project["license"] == citation["license"]


def test_every_check_is_that_of_ci_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert [step["run"] for step in workflow["jobs"]["ci"]["steps"] if "run" in step] == [".ci/run"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy"}
