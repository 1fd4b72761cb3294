"""The routes of the service."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from gipi import __version__, catalog
from gipi.errors import GipiError
from gipi.web import play, predict, schemas
from gipi.web.guard import Budget, Guard, Refusal, answer, busy
from gipi.web.metrics import CONTENT, Metrics
from gipi.web.served import Served, load_models
from gipi.web.settings import Settings
from gipi.web.strict import sentence

LOG = logging.getLogger("gipi")
MOST_BYTES = 256_000_000  # of requests that are being read or wait, and of their pictures once decoded
PREDICT = "/v1/models/{name}/predict"
ALWAYS = (401, 413, 421, 500, 503)


class Service(FastAPI):
    """FastAPI behind the guard. Predictions go past its layers, which would take more than half of a request's time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.state.guard(scope, receive, send)

    async def past_guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and (match := predict.PATH.fullmatch(scope["path"])):
            scope["label"] = PREDICT
            served = predict.found(self.state.models, match[1], scope)
            await answer(200, await predict.predict(served, scope, receive), send)
        elif scope["type"] == "http" and scope["method"] == "HEAD":  # a GET of whose answer uvicorn sends the head only
            asked = {**scope, "method": "GET"}
            try:
                await super().__call__(asked, receive, send)
            finally:
                scope.update(asked, method="HEAD")  # route and model, for the metrics
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        if self.state.settings.token:
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
        return document


def create(settings: Settings) -> FastAPI:
    """The service with its models loaded; it is ready a little after its lifespan began, see /readyz.

    Raises ConfigError, WeightsError and DeviceError for models that cannot be had.
    """
    models: dict[str, Served] = {}
    app = Service(title="gipi", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan)
    state = app.state
    state.settings, state.models, state.ready, state.draining = settings, models, False, False
    most = max(MOST_BYTES, settings.max_body + 3 * settings.max_pixels)  # a single picture always has room
    state.metrics, state.budget, state.pool = Metrics(), Budget(most), ThreadPoolExecutor(2, "gipi aside")
    models.update({name: Served(name, model, settings, state) for name, model in load_models(settings).items()})
    state.guard = Guard(app.past_guard, settings, state)
    for error in (GipiError, RequestValidationError, HTTPException):
        app.add_exception_handler(error, _told)
    _add_routes(app, models)
    app.include_router(play.router(models))
    return app


def _add_routes(app: FastAPI, models: Mapping[str, Served]) -> None:
    """Their docstrings stand in the OpenAPI document."""
    state, free, problems = app.state, {"security": []}, schemas.problems
    named = Path(description="of a model, as /v1/models tells it", json_schema_extra={"enum": [*models]})

    @app.get("/healthz", responses=problems(421), openapi_extra=free)
    async def healthz() -> schemas.Status:
        """Whether the process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", responses=problems(421, 503), openapi_extra=free)
    async def readyz() -> schemas.Status:
        """Whether it is ready for work: the models are warm, and it is not about to stop."""
        if state.draining or not state.ready:
            raise busy("the service is stopping" if state.draining else "the models are not warm yet: ask again in a second")
        return {"status": "ok"}

    @app.get("/metrics", responses={200: schemas.TEXT, **problems(*ALWAYS)}, response_class=Response)
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(await asyncio.to_thread(state.metrics.text), media_type=CONTENT)

    @app.get("/v1/models", responses=problems(*ALWAYS))
    async def list_models() -> schemas.Models:
        """What models there are."""
        return {"models": [_row(served) for served in models.values()]}

    @app.get("/v1/models/{name}", responses=problems(*ALWAYS, 404, 422))
    async def model(request: Request, name: str = named) -> schemas.ModelCard:
        """One of them."""
        served = predict.find(models, name, request)
        return {**_row(served), "card": asdict(served.model.card)}

    @app.post(
        PREDICT, responses={200: {"model": schemas.Predicted}, **problems(*schemas.PROBLEMS)}, openapi_extra=schemas.asked()
    )
    async def ask(request: Request, name: str = named) -> Response:
        """What a model says of pictures or of what is seen, or what images it makes."""
        body = await predict.predict(predict.find(models, name, request), request.scope, request.receive)
        return Response(body, media_type="application/json")


def _row(served: Served) -> schemas.Model:
    card, shipped = served.model.card, catalog.SHIPPED.get(served.name)
    about = shipped.about if shipped else catalog.KINDS[served.kind].about
    return {
        "name": served.name,
        "kind": served.kind,
        "net": card.net,
        "classes": list(card.classes),
        "image": list(card.image),
        "metrics": card.metrics,
        "about": about,
    }


async def _told(request: Request, error: Exception) -> Response:
    """Any error as a sentence."""
    if isinstance(error, RequestValidationError):
        return _problem(422, sentence(error.errors()))
    if not isinstance(error, HTTPException):
        return _problem(422, str(error))
    ours = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} does not go with {request.url.path}"}
    told = error.detail if isinstance(error, Refusal) else ours.get(error.status_code, error.detail)
    return _problem(error.status_code, told, error.headers)


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps({"detail": sentence}), status, headers, "application/json")  # ASCII, whatever the request held


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Models are warmed while others are already asked; then what answers faster takes over."""
    warming = asyncio.create_task(_warm(app))
    with _noticed(app):
        yield
        app.state.draining = True
        warming.cancel()
        app.state.pool.shutdown(wait=False, cancel_futures=True)
        for served in app.state.models.values():
            await asyncio.to_thread(served.close)


async def _warm(app: FastAPI) -> None:
    models = list(app.state.models.values())
    try:
        await asyncio.gather(*(served.alone(served.warm) for served in models))
        app.state.ready = True
        for served in models:
            await served.aside(lambda model=served.model: model.expect(10**9))
            LOG.info("%s: answered by %s", served.name, served.model.runtime)
        gc.freeze()  # what is there stays: looking through all of PyTorch again and again stops requests for a sixth of a second
    except Exception:
        LOG.exception("a model could not be warmed" if not app.state.ready else "what answers fastest could not be measured")


@contextmanager
def _noticed(app: FastAPI) -> Iterator[None]:
    """A signal to stop is noted before the server acts on it; the same one a second time ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    got: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number in got:
            os._exit(128 + number)
        got.append(number)
        app.state.draining = True
        if callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
