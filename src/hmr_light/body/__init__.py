"""The body model: pose and shape of a person → mesh and joints.

`SMPL` and `load_body` are imported when first asked for: `body.npy` and `body.joints` are used where torch is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmr_light.body.smpl import SMPL, BodyOutput, load_body

__all__ = ["SMPL", "BodyOutput", "load_body"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from hmr_light.body import smpl

    return getattr(smpl, name)
