"""Scores models on annotated images: protocols, metrics, robustness."""
