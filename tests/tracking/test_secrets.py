"""The password of a tracking address is in no file and no message, whatever the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Command

from hmr_light.config.application import SCHEMAS
from hmr_light.config.strict import plain, typed

PASSWORDS = ("geheim", "geheim/geheim", "geheim?x=@geheim")


@pytest.mark.parametrize("arguments", [("sync", "-m", "run_dir=a,b"), ("sync", "run_dir=a")])
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_sweep_and_a_mistake_show_none(
    hmr_light: Command, home: Path, password: str, arguments: tuple[str, ...]
) -> None:
    result = hmr_light(*arguments, f"tracking.uri=http://someone:{password}@127.0.0.1:9")
    assert result.returncode != 0
    files = [path for path in home.rglob("*") if path.is_file()]
    assert ("-m" in arguments) == any(path.name == "multirun.yaml" for path in files)
    for text in (result.stdout, result.stderr, *(path.read_text() for path in files)):
        assert "geheim" not in text


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_written_configuration_has_none(password: str) -> None:
    tracking = {"name": "server", "uri": f"http://someone:{password}@host:5000", "experiment": "e"}
    config = typed(SCHEMAS["ui"], {"port": 5000, "tracking": tracking})
    assert "geheim" not in str(plain(config))


def test_a_server_without_an_address_is_told_in_our_words(hmr_light: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = hmr_light("table", "tracking=server")
    assert result.returncode == 2
    assert "the environment variable MLFLOW_TRACKING_URI, which is not set" in result.stderr
    assert "Traceback" not in result.stderr
