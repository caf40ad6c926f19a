"""Checkpoints: written, read without trusting them, changed, and taken over from other systems."""
