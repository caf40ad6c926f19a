"""Which folder `resume=` means, whatever lies among the runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import compose

from hmr_light.config.strict import plain
from hmr_light.errors import UserError
from hmr_light.training import run_directory


@pytest.mark.parametrize("content", [b"seed: [", b"\xff\xfe", b"- 1", b"", b"seed: ${nowhere}"])
def test_a_run_with_a_damaged_configuration_is_not_continued_and_keeps_no_other_from_it(
    home: Path, content: bytes
) -> None:
    config = compose("train", "resume=auto")
    whole = run_directory.create(config, plain(config))
    damaged = whole.with_name(f"9{whole.name[1:]}")
    damaged.mkdir()
    (damaged / "config.yaml").write_bytes(content)
    assert run_directory.find(config, plain(config)) == whole
    config.resume = str(damaged)
    with pytest.raises(UserError, match="made with another configuration"):
        run_directory.find(config, plain(config))
