"""The rendered dataset: people in random poses, clothes, lights and places, with everything about them known."""

from hmr_light.data.synthetic.config import SyntheticConfig
from hmr_light.data.synthetic.prepare import prepare_synthetic

__all__ = ["SyntheticConfig", "prepare_synthetic"]
