"""What a run writes down: the journal in its folder is the truth, MLflow is a view of it."""

from hmr_light.tracking.tracker import Tracker, continue_tracking, find_run_dir, start_tracking

__all__ = ["Tracker", "continue_tracking", "find_run_dir", "start_tracking"]
