"""Stopping a training kindly: Ctrl-C and SIGTERM are noted, and acted on at the next step boundary."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signal(*, once: bool = False) -> Iterator[list[str]]:
    """A list that holds the signal's name once one came; a second one then ends the process as usual.

    once: a second one changes nothing, as a launcher sends one to each process that the terminal has sent one already.
    """
    got: list[str] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield got
        return

    def note(number: int, frame: object) -> None:
        got[:] = [signal.Signals(number).name]
        if not once:
            restore()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        for number in before:
            signal.signal(number, note)
        yield got
    finally:
        restore()
