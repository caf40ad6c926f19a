"""Scores models on annotated images: protocols, metrics, robustness."""

from hmr_light.evaluation import keypoints  # registers its protocol

__all__ = ["keypoints"]
