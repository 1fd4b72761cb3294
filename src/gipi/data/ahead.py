"""Batches fetched ahead: while one is computed, the next is read from memory or disk and sent to the device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

B = TypeVar("B")
C = TypeVar("C", covariant=True)


class Stream(Protocol[C]):
    def __next__(self) -> C: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Ahead(Generic[B]):
    """The batches of `stream`, `ready` called on each, one of them ahead on another thread. Its state is that of a stream whose
    batches have been taken as far as here, so a resumed training misses none.
    """

    def __init__(self, stream: Stream[B], ready: Callable[[B], B]) -> None:
        self._stream, self._ready = stream, ready
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._state = stream.state_dict()
        self._next: Future[B] | None = None

    def __iter__(self) -> Ahead[B]:
        return self

    def __next__(self) -> B:
        batch = (self._next or self._fetch()).result()
        self._state = self._stream.state_dict()
        self._next = self._fetch()
        return batch

    def _fetch(self) -> Future[B]:
        return self._thread.submit(lambda: self._ready(next(self._stream)))

    def state_dict(self) -> dict[str, Any]:
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._next:
            self._next.result()
        self._stream.load_state_dict(state)
        self._state, self._next = state, None
