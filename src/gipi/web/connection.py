"""uvicorn's connections with limits of our own: how slowly requests may come, how long their heads are, how many are open."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gipi.web.guard import BODY_S

HEAD_S, READ_S = 10.0, 60.0  # seconds within which a request's head comes, and its answer is read
LOOK_S = 2.0  # seconds between two looks at them
HEAD_BYTES = 65_536
CONNECTIONS = 1_000  # that are open at once


class Connection(HttpToolsProtocol):
    """Ends connections whose requests come too slowly or whose heads are too long, and all above `CONNECTIONS`.

    A body that is refused is still read and thrown away for `BODY_S`, so that its client gets to read why.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head, self._begun, self._unread = 0, False, 0.0  # bytes of the head, whether it is complete, since when
        self._until: float | None = self.loop.time() + HEAD_S
        self._looks = self.loop.call_later(LOOK_S, self._look)
        if len(self.connections) > CONNECTIONS:
            self._end(503, "too many connections are open: ask again in a few seconds")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._looks.cancel()
        self._stop("gone")

    def data_received(self, data: bytes) -> None:
        if self._until is None and (self.cycle is None or self.cycle.response_complete):
            self._head, self._begun, self._until = 0, False, self.loop.time() + HEAD_S
        super().data_received(data)
        if self._until is not None and not self._begun:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._end(431, f"the head of the request has more than {HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._begun, self._until = 0, False, self.loop.time() + HEAD_S

    def on_headers_complete(self) -> None:
        self._begun, self._until = True, self.loop.time() + BODY_S
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._until = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._until is not None and self.expect_100_continue:
            self.transport.close()  # nobody can say whether the body still comes, or the next request

    def send_400_response(self, msg: str) -> None:
        self._end(400, "this is no HTTP request that can be read")

    def _look(self) -> None:
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self._unread = 0.0
        elif not self._unread:
            self._unread = now
        elif now - self._unread > READ_S:
            self.transport.abort()
            return
        if self._until is not None and now > self._until:
            self._until = None
            if not self._begun:
                self._end(408, f"the head of the request did not come within {HEAD_S:g} s")
            elif not self._stop("late"):
                self.transport.close()
        self._looks = self.loop.call_later(LOOK_S, self._look)

    def _stop(self, why: str) -> bool:
        """End the request that is being answered, if there is one: "gone" or "late"."""
        scope: dict[str, Any] = dict[str, Any]() if self.cycle is None or self.cycle.response_started else self.cycle.scope  # pyright: ignore
        if "task" not in scope:
            return False
        scope["ended"] = why
        return scope["task"].cancel()

    def _end(self, status: int, sentence: str) -> None:
        if self.cycle is None or self.cycle.response_complete:
            body = json.dumps({"detail": sentence}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
            head += b"retry-after: 1\r\n\r\n" if status == 503 else b"\r\n"
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
