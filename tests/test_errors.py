from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from hmr_light.errors import UserError, as_user_error, did_you_mean, out_of_memory, refused_by_the_system


def test_the_nearest_choice_is_named_and_else_all_of_them() -> None:
    assert did_you_mean("moblenet_v2", ["resnet50", "mobilenet_v2"]) == "Did you mean 'mobilenet_v2'?"
    assert did_you_mean("xyz", ["b", "a"]) == "Choose one of: a, b."
    assert did_you_mean("xyz", []) == ""


def test_initials_mean_the_name_of_these_words() -> None:
    names = ["optimizer", "optimizer.learning_rate", "loss.norm", "data.batch_size", "trainer.batch_size"]
    assert did_you_mean("lr", names) == did_you_mean("optimizer.lr", names) == "Did you mean 'optimizer.learning_rate'?"
    assert "Did you mean" not in did_you_mean("bs", names)  # two have them


def test_of_too_many_names_the_nearest_few_are_named() -> None:
    remedy = did_you_mean("abcxyz", [f"network{number}" for number in range(100)] + ["pqr", "abc_long_name"])
    assert remedy.startswith("Of the 102 names these are the nearest: abc_long_name, ")
    assert len(remedy) < 120


class Faulty(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        raise UserError("the third image is missing", "Put it back.")


def test_a_user_error_survives_the_way_from_a_loader_process() -> None:
    with pytest.raises(UserError) as caught:
        next(iter(DataLoader(Faulty(), num_workers=1)))
    assert (caught.value.message, caught.value.remedy) == ("the third image is missing", "Put it back.")


def test_what_the_system_refuses_is_told_with_the_place_and_other_errors_are_not() -> None:
    with pytest.raises(OSError, match="too long") as caught:
        open("/" + "x" * 300).close()  # noqa: PTH123
    refused = refused_by_the_system(caught.value)
    assert refused is not None
    assert "x" * 300 in refused.message
    assert refused.remedy
    assert refused_by_the_system(FileNotFoundError(2, "No such file", "a")) is None
    assert refused_by_the_system(OSError("anything")) is None


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: np.empty(2**52),
        lambda: torch.empty(2**50, dtype=torch.uint8),
        lambda: cv2.resize(np.zeros((9, 9, 3), np.uint8), (2**20, 2**20)),
        lambda: bytearray(2**60),
    ],
)
def test_a_failed_allocation_is_one_message(allocate: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has an error of its own
        allocate()
    told = out_of_memory(caught.value)
    assert told is not None
    assert "the memory is not enough" in told.message
    assert "fewer or smaller images" in told.remedy


def test_memory_of_a_gpu_is_named_and_other_errors_are_not_taken_for_it() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of …")
    told = out_of_memory(error)
    assert told is not None
    assert told.message == "the memory of the GPU is not enough: 2.50 GiB more were asked for"
    assert out_of_memory(RuntimeError("shapes cannot be multiplied")) is None
    assert out_of_memory(UserError("out of memory")) is None


def test_the_home_of_a_user_who_does_not_exist_is_one_message() -> None:
    with pytest.raises(RuntimeError) as caught:
        Path("~no-such-user/a").expanduser()
    told = as_user_error(caught.value)
    assert told is not None
    assert told.remedy == "Write the whole path."
    assert as_user_error(RuntimeError("ours")) is None
    assert as_user_error(ZeroDivisionError()) is None
