"""Train, track, measure and compare lightweight 3D human mesh regressors."""

__version__ = "0.1.0"
