"""The sets of images that a model is evaluated on."""

from __future__ import annotations

from hmr_light.config.schema import DataConfig, SetConfig
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.protocols import Protocol
from hmr_light.tracking.records import part_name


def open_evaluation(data: DataConfig, protocol: Protocol, *, keep_faulty: bool = False) -> dict[str, MeshDataset]:
    """The evaluation sets by name, unaugmented; a set of which `limit` leaves people out is named as a part.

    Raises `UserError` for a set without the labels of `protocol`.
    """
    opened = {
        name: _open_evaluation_set(name, config, data, protocol, keep_faulty)
        for name, config in data.evaluation.items()
    }
    return {name if one.limit is None else part_name(name, one.limit): one for name, one in opened.items()}


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
        split=config.split,
        pixel_origin=config.pixel_origin,
    )
    protocol.check(f"data.evaluation.{name} ({config.annotations})", dataset.annotations)
    return dataset
