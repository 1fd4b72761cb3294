"""The line before a model: what waits, what goes together, what is dropped."""

import asyncio
import threading
from itertools import chain

import pytest

pytest.importorskip("prometheus_client")

from gipi.web.batching import Line
from gipi.web.guard import Refusal
from gipi.web.metrics import Metrics
from gipi.web.settings import Settings


class Model:
    """Notes what it is asked together; waits for `go` the first time."""

    def __init__(self):
        self.batches, self.go, self.begun = [], threading.Event(), threading.Event()

    def answer(self, works):
        self.batches.append(list(works))
        self.begun.set()
        assert self.go.wait(10)
        if "bad" in works:
            raise ValueError("bad")
        return [work * 2 for work in works]


LINES = []


def line(model, most=8, **settings):
    LINES.append(Line("m", model.answer, Settings(**settings), most, Metrics()))
    return LINES[-1]


@pytest.fixture(autouse=True)
def _closed():
    yield
    while LINES:
        LINES.pop().close()


async def begin(line, model, work):
    """The model at work, so that all else waits."""
    task = asyncio.create_task(line.put([work], "a"))
    while not model.begun.is_set():
        await asyncio.sleep(0.001)
    return task


def test_what_waits_is_answered_together_by_its_group_and_no_more_than_fit():
    model = Model()

    async def ask():
        one = line(model, most=3, max_wait_ms=0)
        first = await begin(one, model, 0)
        rest = [asyncio.create_task(one.put([number], "ab"[number % 2])) for number in range(1, 9)]
        await asyncio.sleep(0)
        model.go.set()
        return [(await task)[0] for task in (first, *rest)]

    assert asyncio.run(ask()) == [2 * number for number in range(9)]
    assert model.batches == [[0], [1, 3, 5], [2, 4, 6], [7], [8]]


def test_works_without_a_group_are_alone():
    model = Model()

    async def ask():
        one = line(model)
        first = await begin(one, model, 0)
        rest = [asyncio.create_task(one.put([number])) for number in (1, 2)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, *rest)

    asyncio.run(ask())
    assert model.batches == [[0], [1], [2]]


def test_a_full_line_takes_all_of_a_request_or_nothing():
    model = Model()

    async def ask():
        one = line(model, queue=4)
        first = await begin(one, model, 0)
        waiting = asyncio.create_task(one.put([1, 2, 3], "a"))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="3 waiting, allowed are 4") as full:
            await one.put([4, 5], "a")
        last = asyncio.create_task(one.put([6], "a"))
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, waiting, last)
        return full.value

    refusal = asyncio.run(ask())
    assert (refusal.status_code, refusal.headers) == (503, {"Retry-After": "1"})
    assert sorted(chain(*model.batches)) == [0, 1, 2, 3, 6]


def test_what_is_cancelled_before_it_begins_is_never_done_and_leaves_its_place():
    model = Model()

    async def ask():
        one = line(model, queue=2)
        first = await begin(one, model, 0)
        gone = asyncio.create_task(one.put([1, 2], "a"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        stays = asyncio.create_task(one.put([3, 4], "a"))
        await asyncio.sleep(0)
        model.go.set()
        return await first, await stays

    assert asyncio.run(ask()) == ([0], [6, 8])
    assert sorted(chain(*model.batches)) == [0, 3, 4]


def test_the_thread_goes_on_after_what_it_gave_time_to_gather_was_dropped():
    model = Model()
    model.go.set()

    async def ask():
        one = line(model, max_wait_ms=150)
        await one.put([0, 1, 2], "a")
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(one.put([3], "a"))  # waits for two more
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await asyncio.sleep(0.2)
        return await asyncio.wait_for(one.put([4], "a"), 5)

    assert asyncio.run(ask()) == [8]
    assert [3] not in model.batches


def test_one_that_fails_fails_alone():
    model = Model()

    async def ask():
        one = line(model)
        first = await begin(one, model, 0)
        rest = [asyncio.create_task(one.put([work], "a")) for work in (1, "bad", 2)]
        await asyncio.sleep(0)
        model.go.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    first, one, bad, two = asyncio.run(ask())
    assert (first, one, two) == ([0], [2], [4])
    assert isinstance(bad, ValueError)


def test_a_closed_line_ends_what_waits_and_takes_no_more():
    model = Model()

    async def ask():
        one = line(model)
        first = await begin(one, model, 0)
        waits = asyncio.create_task(one.put([1], "a"))
        await asyncio.sleep(0)
        one.close()
        with pytest.raises(Refusal, match="is stopping"):
            await one.put([2], "a")
        model.go.set()
        return await first, await waits

    assert asyncio.run(ask()) == ([0], [2])
    LINES[0]._thread.join(5)
    assert not LINES[0]._thread.is_alive()
