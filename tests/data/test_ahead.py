"""Fetching ahead changes neither the batches nor the state that a resume goes on from."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from gipi.data.ahead import Ahead
from gipi.data.stream import ImageSet, ImageStream


def stream() -> ImageStream:
    images = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1)
    return ImageStream(ImageSet("made", "train", ("a", "b"), images, torch.arange(20) % 2), 3, seed=4)


def drawn(source: Any, count: int) -> list[list[int]]:
    return [next(source).number.tolist() for _ in range(count)]


def test_the_batches_are_those_of_the_stream():
    assert drawn(Ahead(stream(), lambda batch: batch), 15) == drawn(stream(), 15)


@pytest.mark.parametrize("taken", [0, 1, 7])
def test_a_resumed_stream_goes_on_where_it_was(taken: int):
    straight, ahead = drawn(stream(), taken + 5), Ahead(stream(), lambda batch: batch)
    drawn(ahead, taken)
    assert ahead.state_dict() == {"drawn": taken}
    other = Ahead(stream(), lambda batch: batch)
    drawn(other, 2)  # has one in flight that must not be handed out
    other.load_state_dict(ahead.state_dict())
    assert drawn(other, 5) == straight[taken:]
    plain = stream()
    plain.load_state_dict(ahead.state_dict())
    assert drawn(plain, 5) == straight[taken:]


def test_a_batch_is_made_ready_on_another_thread_while_the_one_before_is_computed():
    threads, ready = [], threading.Event()

    def prepare(batch: Any) -> Any:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            ready.set()
        return batch

    ahead = Ahead(stream(), prepare)
    next(ahead)
    assert ready.wait(5), "the second is fetched before it is asked for"
    assert threading.current_thread() not in threads


def test_an_error_comes_with_the_batch_that_it_is_of():
    calls = []

    def prepare(batch: Any) -> Any:
        calls.append(batch)
        if len(calls) == 3:
            raise OSError("the disk is gone")
        return batch

    ahead = Ahead(stream(), prepare)
    drawn(ahead, 2)
    time.sleep(0.1)
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
