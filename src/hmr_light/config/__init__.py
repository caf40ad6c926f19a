"""The typed configuration: what a user may choose, checked before anything is done."""

from hmr_light.config.strict import typed

__all__ = ["typed"]
