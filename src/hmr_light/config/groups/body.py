"""`body=`: the body model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING


@dataclass
class BodyConfig:
    """A body model file and the regressors of its extra joints."""

    name: str = MISSING
    """The name of the body, which a checkpoint remembers."""
    path: Path | None = None
    """An npz of `hmr-light prepare body=FILE`, an official pkl or npz, or a folder with a neutral body; null: the
    embedded body."""
    extra_regressor: Path | None = None
    """SPIN's `J_regressor_extra.npy`, (9, V); null: the one in the body's file, or beside it."""
    h36m_regressor: Path | None = None
    """SPIN's `J_regressor_h36m.npy`, (17, V); null: the one in the body's file, or beside it."""

    def files(self) -> dict[str, Path | None]:
        """The files, as `hmr_light.body.load_body` takes them."""
        return {"path": self.path, **self.regressors()}

    def regressors(self) -> dict[str, Path | None]:
        """The files of the joint regressors alone, which are the same for bodies of every gender."""
        return {"extra_regressor": self.extra_regressor, "h36m_regressor": self.h36m_regressor}
