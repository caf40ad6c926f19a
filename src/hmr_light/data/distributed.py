"""One process or many: `torchrun --nproc-per-node=N -m hmr_light train …` sets the environment that is read here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from hmr_light.errors import UserError


@dataclass(frozen=True)
class Distributed:
    """This process' place among the training processes."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def all_reduce_sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of `tensor` over all processes."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def broadcast(self, value: Any) -> Any:
        """The main process' `value`, on every process."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def all_gather(self, value: Any) -> list[Any]:
        """Every process' `value`, by rank, on every process."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def broadcast_tensors(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give the main process' values to the `tensors` of every process."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any process."""
        if self.world_size == 1:
            return flag
        return bool(self.all_reduce_sum(torch.tensor(float(flag), device=self.device)).item())


@contextmanager
def init_distributed(device_name: str) -> Iterator[Distributed]:
    """Join the other processes (gloo on CPUs, NCCL on GPUs) for the length of the block."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = choose_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world_size == 1:
        yield Distributed(0, 1, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Distributed(rank, world_size, device)
    except RuntimeError as error:
        if is_peer_failure(error):
            raise UserError("another training process has ended", "Its own message says why.") from error
        raise
    finally:
        dist.destroy_process_group()


def is_peer_failure(error: RuntimeError) -> bool:
    """Whether torch raised it because another process is gone."""
    return re.search(r"Connection (closed|reset) by peer|Broken pipe|Socket closed|NCCL", str(error)) is not None


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that `name` (auto, cpu or cuda) means here. Raises `UserError` for a GPU that is not there."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("device=cuda, but torch finds no GPU", "Use device=cpu, or check the driver with nvidia-smi.")
    return torch.device("cuda", local_rank % torch.cuda.device_count())
