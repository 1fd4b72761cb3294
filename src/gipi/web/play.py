"""The page, and what only it asks for: answers with every layer's maps, images of moved noise, games; and the table of layers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from gipi import live
from gipi.web.guard import Refusal
from gipi.web.predict import find, in_base64
from gipi.web.schemas import problems
from gipi.web.served import Served

PROBLEMS = (401, 404, 413, 421, 422, 500, 503)
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Reach(TypedDict):
    """The part of the image that one value depends on, see `inspect/reach.py`; each height and width in pixels."""

    field: list[float]
    jump: list[float]
    start: list[float]


class Layer(TypedDict):
    """shape: of the output.  reach: None behind a layer of unknown geometry."""

    name: str
    kind: str
    shape: list[int]
    parameters: int
    multiply_adds: int
    reach: Reach | None


class Layers(TypedDict):
    """Layers in the order in which one image of the size `image` (channels, height, width) runs through them."""

    image: list[int]
    layers: list[Layer]
    parameters: int
    multiply_adds: int


class Asked(BaseModel):
    """No value is changed to fit, none is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Class = Annotated[str | None, Field(alias="class")]


class Noise(Asked):
    """See `live.make`."""

    seed: Seed = 0
    label: Class = None
    sliders: list[float] = Field(default=[], max_length=live.DIRECTIONS)
    count: int = Field(default=16, ge=1, le=live.MOST_IMAGES)


class Walk(Asked):
    """See `live.walk`."""

    seeds: list[Seed] = Field(min_length=2, max_length=live.MOST_STOPS)
    label: Class = None
    count: int = Field(default=16, ge=1, le=live.MOST_IMAGES)


class Game(Asked):
    """See `live.game`."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    epsilon: float = Field(default=0.0, ge=0, le=1)
    steps: int = Field(default=live.MOST_STEPS, ge=1, le=live.MOST_STEPS)


def router(models: Mapping[str, Served]) -> APIRouter:
    """The routes of the page for the models that are served, by name."""
    routes = APIRouter()
    named = Path(description="of a model, as /v1/models tells it", json_schema_extra={"enum": [*models]})
    pages = {file.name: file.read_bytes() for file in files("gipi.web").joinpath("static").iterdir() if file.is_file()}

    @routes.get("/", include_in_schema=False)
    async def index() -> Response:
        return _page(pages, "index.html")

    @routes.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return _page(pages, name)

    @routes.get("/v1/models/{name}/layers", responses=problems(*PROBLEMS))
    async def layers(request: Request, name: str = named) -> Layers:
        """What each of its layers does to one image: shape, parameters, multiply-adds, what it sees."""
        served = find(models, name, request)
        return (await served.alone(lambda: live.table(served.model))).json()  # pyright: ignore[reportReturnType]

    @routes.get("/play/{name}", include_in_schema=False)
    async def about(name: str, request: Request) -> Response:
        return JSONResponse(live.about(find(models, name, request).model))

    @routes.get("/play/{name}/example", include_in_schema=False)
    async def example(name: str, request: Request, number: Annotated[int, Query(ge=0, lt=2**31)] = 0) -> Response:
        served = find(models, name, request)
        return Response(await served.alone(lambda: live.png(live.example(served.model, number))), media_type="image/png")

    @routes.post("/play/{name}/look", include_in_schema=False)
    async def look(name: str, request: Request) -> Response:
        served, body = find(models, name, request), await request.body()
        with served.room([body]):
            seen = await served.alone(lambda: live.look(served.model, body))
            return JSONResponse(await served.aside(lambda: _look(seen)))

    @routes.post("/play/{name}/make", include_in_schema=False)
    async def make(name: str, asked: Noise, request: Request) -> Response:
        served = find(models, name, request)

        def work() -> dict[str, Any]:
            sliders = tuple(asked.sliders)
            made = live.make(served.model, seed=asked.seed, label=asked.label, sliders=sliders, count=asked.count)
            return {"picture": in_base64(made.draw()), "classes": made.classes}

        return JSONResponse(await served.alone(work))

    @routes.post("/play/{name}/walk", include_in_schema=False)
    async def walk(name: str, asked: Walk, request: Request) -> Response:
        served = find(models, name, request)

        def work() -> dict[str, Any]:
            reel = live.walk(served.model, tuple(asked.seeds), label=asked.label, count=asked.count)
            return {"each_ms": reel.each_ms, "frames": [in_base64(frame) for frame in reel.frames]}

        return JSONResponse(await served.alone(work))

    @routes.post("/play/{name}/game", include_in_schema=False)
    async def game(name: str, asked: Game, request: Request) -> Response:
        served = find(models, name, request)

        def work() -> dict[str, Any]:  # drawn there, too: other models need the threads aside
            reel, drawn = live.game(served.model, seed=asked.seed, epsilon=asked.epsilon, steps=asked.steps)
            return _game(reel, drawn, served.model.card.classes)

        return JSONResponse(await served.alone(work))

    return routes


def _page(pages: Mapping[str, bytes], name: str) -> Response:
    """A file of the page, out of memory. Raises Refusal, 404."""
    if name not in pages:
        raise Refusal(404, f"the page has no file {name!r}")
    return Response(pages[name], media_type=TYPES[name[name.rindex(".") :]])


def _look(seen: live.Look) -> dict[str, Any]:
    words = seen.answer.draw_words() if isinstance(seen.answer, live.Captioning) else None
    return {
        "prediction": seen.answer.json(),
        "picture": in_base64(seen.answer.draw()),
        "words": words and in_base64(words),
        "framed": in_base64(seen.framed),
        "ms": round(seen.seconds * 1000, 1),
        "layers": [
            {"name": stage.name, "kind": stage.kind, "shape": stage.shape, "picture": in_base64(stage.picture)}
            for stage in seen.stages
        ],
    }


def _game(reel: live.GameReel, drawn: live.Drawn, actions: tuple[str, ...]) -> dict[str, Any]:
    frames = [
        {
            "picture": in_base64(picture),
            "values": kept.values.tolist(),
            "action": kept.action,
            "chance": kept.chance,
            "total": kept.total,
            "step": kept.step,
        }
        for picture, kept in zip(drawn, drawn.kept, strict=True)
    ]
    return {"actions": actions, "each_ms": reel.each_ms, "total": reel.total, "over": reel.over, "frames": frames}
