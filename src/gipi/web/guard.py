"""What every request passes before anything is done for it: who asks, how much, how slowly; and no error leaves untold.

Plain ASGI; what happens before there is a request is in `connection.py`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gipi.errors import GipiError
from gipi.web.settings import Settings, is_loopback

LOG = logging.getLogger("gipi")
BODY_S = 30.0  # seconds within which a body comes
OPEN = ("/", "/healthz", "/readyz")  # what needs no token; beside /static/
POLICY = (
    b"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"content-security-policy", POLICY)]
NEVER_KEPT, ASKED_AGAIN = (b"cache-control", b"no-store"), (b"cache-control", b"no-cache")


class Refusal(HTTPException):
    """A request that is not served: a status and a sentence for its client."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, sentence, headers)


def busy(sentence: str) -> Refusal:
    return Refusal(503, sentence, {"Retry-After": "1"})


class Budget:
    """Bytes that all requests together may hold. For the event loop's thread only."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    def take(self, size: int) -> None:
        """Raises Refusal, 503, if they do not fit."""
        if self.held + size > self.most:
            raise busy(f"the service already holds {self.held:,} bytes of requests: ask again in a second")
        self.held += size

    def give(self, size: int) -> None:
        self.held -= size


class Guard:
    """state: of the app; `state.draining` once it is to stop.  A scope's "model" and "label" are for the metrics."""

    def __init__(self, app: ASGIApp, settings: Settings, state: State) -> None:
        self._app, self._state, self._most = app, state, settings.max_body
        self._token, self._deadline_s = settings.token.encode(), settings.deadline_s
        self._local = settings.local and not settings.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status, held, timer = time.perf_counter(), 0, 0, None
        task: Any = asyncio.current_task()
        budget, loop = self._state.budget, task.get_loop()

        def expire() -> None:
            if not status:
                scope["ended"] = "slow"
                task.cancel()

        async def limited() -> Message:
            nonlocal held, timer
            message = await receive()
            if size := len(message.get("body", b"")):
                budget.take(size)
                held += size
                if held > self._most:
                    raise self._too_large(held)
            if not timer and not message.get("more_body"):
                timer = loop.call_later(self._deadline_s, expire)
            return message

        async def safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                kept = ASKED_AGAIN if scope["path"].startswith("/static/") else NEVER_KEPT
                message["headers"] = [*message["headers"], *HEADERS, kept]
            await send(message)

        scope["task"] = task  # which `Connection` cancels once there is no reason to go on
        try:
            if not self._check(scope):  # no body will come
                timer = loop.call_later(self._deadline_s, expire)
            await self._app(scope, limited, safe)
        except (GipiError, HTTPException) as error:
            await _refuse(error, safe)
        except asyncio.CancelledError:
            why = scope.get("ended")
            if why == "late":
                await _refuse(Refusal(408, f"the body did not come within {BODY_S:g} s"), safe)
            elif why == "slow" or (not why and self._state.draining):
                await _refuse(busy(f"no answer within {self._deadline_s:g} s: ask again later"), safe)
            elif not why:
                raise
        except Exception as error:
            LOG.exception("%s %r went wrong", scope["method"], scope["path"])
            full = isinstance(error, MemoryError) or "allocate memory" in str(error)  # as PyTorch says it
            if not status:
                ours = Refusal(500, "something went wrong here; the service's log says what")
                await _refuse(busy("there is no memory left for it: ask again in a second") if full else ours, safe)
        finally:
            if timer:
                timer.cancel()
            budget.give(held)
            route = scope.get("label") or getattr(scope.get("route"), "path", "none")
            self._state.metrics.request(route, scope.get("model", ""), status or 499, time.perf_counter() - begun)

    def _check(self, scope: Scope) -> bool:
        """Whether a body follows. Raises Refusal by what the head of the request says."""
        host = length = shown = chunked = packed = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                shown = value
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                chunked = value
            elif name == b"content-encoding":
                packed = value
            elif name == b"host":
                host = value
        path = scope["path"]
        if self._local and host and not _is_here(host):
            raise Refusal(
                421,
                "this service is for this machine only and answers to localhost and 127.0.0.1, not to other names; "
                "with a token it answers to any",
            )
        if self._token and path not in OPEN and not path.startswith("/static/"):
            scheme, _, token = shown.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
                raise Refusal(401, "this service wants a token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if self._state.draining and path not in OPEN:
            raise busy("the service is stopping: ask again in a few seconds")
        if length and int(length) > self._most:
            raise self._too_large(int(length))
        follows = bool(chunked) or length.strip(b"0") != b""
        if follows and packed.lower() not in (b"", b"identity"):
            raise Refusal(415, f"the Content-Encoding is {packed.decode('latin-1')[:100]}: send the body as it is, not packed")
        return follows

    def _too_large(self, size: int) -> Refusal:
        return Refusal(413, f"the body has {size:,} bytes or more, allowed are {self._most:,}")


async def _refuse(error: GipiError | HTTPException, send: Send) -> None:
    refusal = Refusal(422, str(error)) if isinstance(error, GipiError) else error
    await answer(refusal.status_code, json.dumps({"detail": refusal.detail}).encode(), send, refusal.headers)


async def answer(status: int, body: bytes, send: Send, headers: Mapping[str, str] | None = None) -> None:
    """JSON."""
    told = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    told += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


@lru_cache(256)
def _is_here(host: bytes) -> bool:
    """Whether a Host header names this machine: a page of another name that points here is somebody else's (DNS rebinding)."""
    name = host.decode("latin-1").lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name)
