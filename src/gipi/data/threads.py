"""Work on many pictures at once."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TypeVar

MANY = 500  # items from which on a bar is shown
AHEAD = 8  # items a thread that are worked on or wait to be taken

A = TypeVar("A")
B = TypeVar("B")


def in_threads(work: Callable[[A], B], items: Sequence[A], take: Callable[[int, B], None], what: str) -> None:
    """take(number, work(item)) for each item in order: the work by as many threads as there are cores, the taking in this one.

    Pillow decodes and scales without Python's lock; it is silenced meanwhile.
    what: said beside the bar that a terminal shows if the items are many.
    """
    from rich.console import Console
    from rich.progress import Progress  # slow to import

    workers = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    quiet = len(items) <= MANY or not sys.stderr.isatty()
    numbers, waiting = count(), deque[Future[B]]()
    with (
        warnings.catch_warnings(),
        Progress(console=Console(stderr=True), disable=quiet) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        warnings.simplefilter("ignore")
        task = bar.add_task(what, total=len(items))

        def collect() -> None:
            take(next(numbers), waiting.popleft().result())
            bar.advance(task)

        for item in items:
            if len(waiting) == AHEAD * workers:
                collect()
            waiting.append(pool.submit(work, item))
        while waiting:
            collect()
