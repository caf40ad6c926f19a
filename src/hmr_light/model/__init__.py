"""The network (backbone → regressor → SMPL parameters) and its losses."""
