"""Work waits in a bounded line for a model's thread, which takes as much of it at a time as the model answers together.

The rule: the thread takes whatever waits as soon as it is free, so an idle model answers a lone request at once, and while it is
at work the next batch gathers by itself. Only if nothing waits after a batch of several does it give the next one time to gather,
`max_wait_ms` or until it is as large as the last: the clients that were just answered are about to ask again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gipi.web.guard import Refusal, busy
from gipi.web.metrics import Metrics
from gipi.web.settings import Settings


@dataclass(eq=False, slots=True)
class Job:
    """group: jobs of the same are answered together, those of None alone. future: gets the result, or the error."""

    work: Any
    group: object
    future: asyncio.Future[Any]


class Line:
    """answer: on the thread, of works of the same group the results in order, each a value or the error that it ends with.

    most: jobs that are answered together.
    """

    def __init__(
        self, name: str, answer: Callable[[Sequence[Any]], Sequence[Any]], settings: Settings, most: int, metrics: Metrics
    ) -> None:
        self._name, self._answer, self._most, self._metrics = name, answer, most, metrics
        self._room, self._wait_s = settings.queue, settings.max_wait_ms / 1000
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._thread: threading.Thread | None = None

    async def put(self, works: Sequence[Any], group: object = None) -> list[Any]:
        """What comes of each; all wait or none. Raises what the first of them ends with, and Refusal: 503, or 422 for too many.

        Once this is cancelled, what has not begun is dropped.
        """
        if len(works) > self._room:
            told = f"the request has {len(works)} pictures, but only {self._room} may wait for {self._name}: send fewer at a time"
            raise Refusal(422, told)
        loop = asyncio.get_running_loop()
        jobs = [Job(work, group, loop.create_future()) for work in works]
        with self._changed:
            if self._closed:
                raise busy("the service is stopping: ask again in a few seconds")
            if len(self._waiting) + len(jobs) > self._room:
                raise busy(f"{self._name} has {len(self._waiting)} waiting, allowed are {self._room}: ask again in a second")
            self._waiting.extend(jobs)
            self._changed.notify()
        if not self._thread:
            self._thread = threading.Thread(target=self._work, name=f"gipi {self._name}", daemon=True)
            self._thread.start()
        self._metrics.queue(self._name, len(jobs))
        try:
            return [await job.future for job in jobs]
        except BaseException:
            self._drop(jobs)
            raise

    def close(self) -> None:
        """Take no more work; the thread ends once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread:
            self._thread.join()

    def _drop(self, jobs: Sequence[Job]) -> None:
        with self._changed:
            for job in jobs:
                if job in self._waiting:
                    self._waiting.remove(job)
                    self._metrics.queue(self._name, -1)
        for job in jobs:
            if not job.future.cancel() and not job.future.cancelled():
                job.future.exception()  # so that asyncio does not complain of an error that nobody has looked at

    def _work(self) -> None:
        last = 1
        while jobs := self._next(last):
            last = len(jobs)
            self._metrics.batch(self._name, last)
            try:
                results = self._answer([job.work for job in jobs])
            except Exception as error:
                results = self._each(jobs, error)
            try:
                jobs[0].future.get_loop().call_soon_threadsafe(_hand_back, jobs, results)
            except RuntimeError:  # the loop has been closed: nobody waits any more
                return
            del jobs, results  # not kept while nothing is asked

    def _each(self, jobs: Sequence[Job], error: Exception) -> list[Any]:
        """Results one by one, where they cannot be had together."""
        if len(jobs) == 1:
            return [error]
        results: list[Any] = []
        for job in jobs:
            try:
                results += self._answer([job.work])
            except Exception as alone:
                results.append(alone)
        return results

    def _next(self, wanted: int) -> list[Job]:
        """The next jobs of one group, as many as go together; none once the line is closed and empty."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return []
                self._changed.wait()
                until = time.monotonic() + self._wait_s
                while 0 < len(self._waiting) < wanted and not self._closed and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
            first = self._waiting.popleft()
            jobs = [first]
            if first.group is not None:
                jobs += [job for job in self._waiting if job.group == first.group][: self._most - 1]
                if len(jobs) - 1 == len(self._waiting):
                    self._waiting.clear()
                else:
                    taken = set(map(id, jobs))
                    self._waiting = deque(job for job in self._waiting if id(job) not in taken)
        self._metrics.queue(self._name, -len(jobs))
        return jobs


def _hand_back(jobs: Sequence[Job], results: Sequence[Any]) -> None:
    """On the event loop; a future that is done belongs to a request that has gone."""
    for job, result in zip(jobs, results, strict=True):
        if not job.future.done():
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
