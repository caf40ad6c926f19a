"""The names that older checkpoints have for what is called otherwise now."""

from __future__ import annotations

from typing import Any

# What the reference tables were called, in the names of backbones and of a layout.
_OLD, _NOW = "seeds", "reference"


def with_current_names(config: dict[str, Any]) -> dict[str, Any]:
    """`config`, of a checkpoint, with today's names for its backbone and the backbone's layout."""
    backbone = dict(config["backbone"])
    name = str(backbone["name"])
    if name.endswith(f"_{_OLD}"):
        backbone["name"] = name.removesuffix(_OLD) + _NOW
    if backbone.get("layout") == _OLD:
        backbone["layout"] = _NOW
    return {**config, "backbone": backbone}
