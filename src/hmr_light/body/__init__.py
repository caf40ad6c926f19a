"""The human body: SMPL's layer over smplx, joint names and maps, and the embedded body."""

from __future__ import annotations

from hmr_light.body.smpl import SMPL, BodyOutput, load_body

__all__ = ["SMPL", "BodyOutput", "load_body"]
