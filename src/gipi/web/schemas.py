"""What goes in and out, as the OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import NotRequired, TypedDict

MOST = 64  # pictures, images or observations of a request
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff", "application/octet-stream")
PROBLEMS = {
    401: "No token, or a wrong one",
    404: "No such model",
    408: "The body came too slowly",
    413: "The body or a picture is too large",
    415: "Not with this Content-Type",
    421: "Not by this name of the machine",
    422: "A picture or a value is not as it must be",
    500: "Something went wrong in the service",
    503: "No place, no time, or about to stop: see Retry-After",
}
HEADERS = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    503: {"Retry-After": {"required": True, "description": "seconds", "schema": {"type": "integer"}}},
}
TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}

Draw = Annotated[bool, Field(description="add a picture of each answer, PNG in base64")]
Score = Annotated[float, Field(ge=0, le=1, description="of a detector: least score of what is told; 0.5 if not given")]
Beam = Annotated[
    int, Field(ge=1, le=100, description="of a captioner: sentences that its search keeps at a time; 5 if not given")
]
Best = Annotated[int, Field(ge=1, le=100, description="of a captioner: sentences that are told; 1 if not given")]
Temperature = Annotated[
    float, Field(ge=0, le=100, description="of a captioner: draw words at random, 0.01 to 100; 0 searches for the likeliest")
]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1, description="of a captioner: of what is drawn at random; 0 if not given")]
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


@with_config(STRICT)
class Options(TypedDict, total=False):
    """Of a request with pictures. One that the model's kind does not have is refused."""

    draw: Draw
    score: Score
    beam: Beam
    best: Best
    temperature: Temperature
    seed: Seed


@with_config(STRICT)
class Pictures(Options):
    """For models that read pictures: PNG, JPEG, WebP, BMP, GIF or TIFF files in base64."""

    images: Annotated[list[Base64], Field(min_length=1, max_length=MOST)]


Noise = with_config(STRICT)(
    TypedDict(
        "Noise",
        {
            "count": NotRequired[Annotated[int, Field(ge=1, le=MOST, description="images to make; 1 if not given")]],
            "seed": NotRequired[
                Annotated[int, Field(ge=0, le=2**32 - MOST, description="of the first image; the others have the next ones")]
            ],
            "class": NotRequired[Annotated[str, Field(description="of all images, of a conditional generator")]],
        },
    )
)
Noise.__doc__ = "For generators."


@with_config(STRICT)
class Seen(TypedDict):
    """For players: what is seen, (channels, height, width) as nested lists; of numbers without a place a flat list will do."""

    observations: Annotated[list[list[Any]], Field(min_length=1, max_length=MOST)]


class Label(TypedDict):
    label: str
    score: float


class Classified(TypedDict):
    """probabilities: of all classes, up to 20."""

    label: str
    score: float
    top: list[Label]
    probabilities: NotRequired[dict[str, float]]
    picture: NotRequired[Base64]


class Share(TypedDict):
    name: str
    pixels: int
    share: float


class Segmented(TypedDict):
    """mask: PNG whose values are the numbers of the classes.  size: width, height."""

    classes: list[Share]
    size: list[int]
    mask: Base64
    picture: NotRequired[Base64]


class Box(TypedDict):
    """box: x0, y0, x1, y1 in pixels."""

    label: str
    score: float
    box: Annotated[list[float], Field(min_length=4, max_length=4)]


class Detected(TypedDict):
    boxes: list[Box]
    size: list[int]
    picture: NotRequired[Base64]


class Sentence(TypedDict):
    caption: str
    log_probability: float


class Captioned(Sentence):
    sentences: list[Sentence]
    picture: NotRequired[Base64]


Made = TypedDict("Made", {"class": str | None, "seed": int, "picture": Base64})


class Acted(TypedDict):
    """values: the discounted return that each action promises."""

    action: str
    values: dict[str, float]


class Predicted(TypedDict):
    """predictions: of each picture, image or observation, in order, by the model's kind."""

    model: str
    kind: Literal["classify", "segment", "detect", "caption", "generate", "act"]
    predictions: list[Classified | Segmented | Detected | Captioned | Made | Acted]


class Model(TypedDict):
    """image: channels, height, width of the net's input.  metrics: of the test set, as trained."""

    name: str
    kind: str
    net: str
    classes: list[str]
    image: Annotated[list[int], Field(min_length=3, max_length=3)]
    metrics: dict[str, float]
    about: str


class ModelCard(Model):
    """card: all that the model file says of itself."""

    card: dict[str, Any]


class Models(TypedDict):
    models: list[Model]


class Status(TypedDict):
    status: Literal["ok"]


class Problem(TypedDict):
    """What is wrong, what was got and what is allowed, in a sentence."""

    detail: str


READERS: Mapping[str, TypeAdapter[Any]] = {
    "options": TypeAdapter(Options),
    "generate": TypeAdapter(Noise),
    "act": TypeAdapter(Seen),
    "pictures": TypeAdapter(Pictures),
}
KNOBS = {
    "classify": {"draw"},
    "segment": {"draw"},
    "detect": {"draw", "score"},
    "caption": {"draw", "beam", "best", "temperature", "seed"},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses` of a route: the answers that are no success."""
    return {
        status: {"model": Problem, "description": PROBLEMS[status], "headers": HEADERS.get(status, {})}
        for status in sorted(statuses)
    }


def asked() -> dict[str, Any]:
    """Of the OpenAPI document: the options in the address, and the bodies of a request."""
    options = READERS["options"].json_schema()["properties"]
    bodies = [READERS[form].json_schema() for form in ("pictures", "generate", "act")]
    content = {"application/json": {"schema": {"anyOf": bodies}}}
    content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES}
    return {
        "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in options.items()],
        "requestBody": {"required": True, "content": content},
    }
