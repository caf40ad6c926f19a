from __future__ import annotations

import numpy as np
import pytest

from hmr_light.errors import UserError
from hmr_light.training.sampler import EpochBatches, epoch_order

RNG = np.random.default_rng()


def test_an_epoch_visits_every_sample_once_and_epochs_differ() -> None:
    length, seed = int(RNG.integers(50, 500)), int(RNG.integers(2**31))
    first, second = epoch_order(length, seed, 0), epoch_order(length, seed, 1)
    assert sorted(first) == sorted(second) == list(range(length))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, epoch_order(length, seed, 0))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_many_processes_train_on_the_batches_of_one(world_size: int) -> None:
    length, seed, size = int(RNG.integers(60, 200)), int(RNG.integers(2**31)), 8
    one = list(EpochBatches(length, size, seed, epochs=3))
    shares = [
        list(EpochBatches(length, size, seed, epochs=3, rank=rank, world_size=world_size)) for rank in range(world_size)
    ]
    joined = [[pair for share in batch for pair in share] for batch in zip(*shares, strict=True)]
    assert joined == one
    assert len(EpochBatches(length, size, seed, epochs=3)) == len(one)


def test_a_continued_order_is_the_rest_of_the_whole_one() -> None:
    length, seed = int(RNG.integers(60, 200)), int(RNG.integers(2**31))
    whole = EpochBatches(length, 8, seed, epochs=3)
    epoch, step = int(RNG.integers(3)), int(RNG.integers(whole.steps_per_epoch))
    rest = EpochBatches(length, 8, seed, epochs=3, epoch=epoch, step=step)
    assert list(rest) == list(whole)[epoch * whole.steps_per_epoch + step :]
    assert len(rest) == len(list(rest))


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be shared by 3"):
        EpochBatches(100, 8, 0, 1, world_size=3)
    with pytest.raises(UserError, match="more than the 5 training samples"):
        EpochBatches.steps(5, 8)
