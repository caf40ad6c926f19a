"""The sets of images that a model is evaluated on."""

from __future__ import annotations

from hmr_light.config.schema import DataConfig, SetConfig
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.protocols import Protocol


def open_evaluation(data: DataConfig, protocol: Protocol, *, keep_faulty: bool = False) -> dict[str, MeshDataset]:
    """The evaluation sets by name, unaugmented. Raises `UserError` for a set without the labels of `protocol`."""
    return {
        name: _open_evaluation_set(name, config, data, protocol, keep_faulty)
        for name, config in data.evaluation.items()
    }


def _open_evaluation_set(
    name: str, config: SetConfig, data: DataConfig, protocol: Protocol, keep_faulty: bool
) -> MeshDataset:
    dataset = MeshDataset(
        config.annotations,
        config.images,
        image_size=data.image_size,
        contrast=data.contrast,
        keep_faulty=keep_faulty,
        limit=config.limit,
    )
    protocol.check(f"data.evaluation.{name} ({config.annotations})", dataset.annotations)
    return dataset
