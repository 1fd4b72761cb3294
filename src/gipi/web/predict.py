"""POST /v1/models/NAME/predict: a picture, or JSON, to what the model says of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import torch
from PIL import Image
from starlette.requests import Request
from starlette.types import Receive, Scope

from gipi import api, live
from gipi.errors import ConfigError, nearest
from gipi.web.guard import Refusal
from gipi.web.schemas import KNOBS, READERS
from gipi.web.served import Answer, Asked, Served
from gipi.web.strict import MOST_KEYS, check, read_json, unpack

LARGEST = 1e30  # of what is seen
LONG = 65_536  # bytes of JSON above which it is not read between other requests
PATH = re.compile("/v1/models/([^/]+)/predict")
ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def find(models: Mapping[str, Served], name: str, request: Request) -> Served:
    """The model of that name, of which the metrics will tell, too. Raises Refusal, 404."""
    return found(models, name, request.scope)


def found(models: Mapping[str, Served], name: str, scope: Scope) -> Served:
    if name not in models:
        raise Refusal(404, f"no model {name[:100]!r}{nearest(name[:100], models)}")
    scope["model"] = name
    return models[name]


async def predict(served: Served, scope: Scope, receive: Receive) -> bytes:
    """The answer in JSON. Raises GipiError and Refusal."""
    asked = _options(scope["query_string"].decode("latin-1")) if scope["query_string"] else {}
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"").decode("latin-1")
    content, _, parameters = given.partition(";")
    content = content.strip().lower()
    if content == "application/json":
        if "charset" in parameters.lower() and "utf-8" not in parameters.lower():
            raise Refusal(415, f"JSON is in UTF-8, but the Content-Type says {parameters.strip()}")
        rows = await _from_json(served, await _body(receive), asked)
    elif content.startswith("image/") or content == "application/octet-stream":
        if served.kind in ("generate", "act"):
            raise Refusal(415, f"{served.name} reads no pictures: send application/json with {_wanted(served.kind)}")
        fitting = _fitting(served, asked)
        rows = await _rows(served, [await _body(receive)], fitting)
    else:
        allowed = "image/png, image/jpeg and the like, application/octet-stream and application/json"
        raise Refusal(415, f"the Content-Type is {content or 'missing'}, allowed are {allowed}")
    return ENCODE({"model": served.name, "kind": served.kind, "predictions": rows}).encode()


async def _body(receive: Receive) -> bytes:
    """All of it. Raises Refusal, see `Guard`; of a client that has gone there is no more, and nobody to answer."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(408, "the client has gone")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _from_json(served: Served, body: bytes, options: dict[str, Any]) -> list[dict[str, Any]]:
    read = partial(_read, served, body, options)
    value = read() if len(body) <= LONG else await served.aside(read)
    model = served.model
    if isinstance(model, api.Generator):
        return await served.alone(lambda: _make(model, **value))
    if isinstance(model, api.Player):
        return await served.alone(lambda: _act(model, value))
    return await _rows(served, *value)


def _read(served: Served, body: bytes, options: dict[str, Any]) -> Any:
    """Of the body what the model's kind wants: noise; what is seen, as a tensor; or pictures and options."""
    value = read_json(body)
    if served.kind in ("generate", "act"):
        if options:
            raise ConfigError(
                f"{', '.join(options)}: {served.name} has no such options; it wants JSON with {_wanted(served.kind)}"
            )
        value = check(served.kind, value)
        if served.kind == "act":
            return _seen(served, value["observations"])
        return {"count": value.get("count", 1), "seed": value.get("seed", 0), "label": value.get("class")}
    value = check("pictures", value)
    if twice := options.keys() & value.keys():
        raise ConfigError(f"{', '.join(sorted(twice))}: given in the address and in the body, once is enough")
    images = unpack(value.pop("images"))
    return images, _fitting(served, {**options, **value})


def _options(query: str) -> dict[str, Any]:
    """Of an address. Raises ConfigError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_KEYS)
    except ValueError as error:
        raise ConfigError(f"the address has more than {MOST_KEYS} options") from error
    words = dict(pairs)
    if len(words) < len(pairs):
        raise ConfigError("an option stands twice in the address")
    return check("options", {name: _value(word) for name, word in words.items()})


def _value(word: str) -> Any:
    """A word of an address as JSON has it; what is neither number nor true or false stays a word."""
    try:
        value = json.loads(word)
    except (ValueError, RecursionError):
        return word
    return value if type(value) in (bool, int, float) else word


def _fitting(served: Served, options: dict[str, Any]) -> Asked:
    """Raises ConfigError for options that the model's kind does not have."""
    for name in options:
        if name not in KNOBS[served.kind]:
            raise ConfigError(
                f"{name}: {served.name} does {served.kind} and has no such option{nearest(name, KNOBS[served.kind])}"
            )
    return Asked(**options)


async def _rows(served: Served, bodies: Sequence[bytes], asked: Asked) -> list[dict[str, Any]]:
    """What the model says of pictures."""
    with served.room(bodies) as sizes:
        return [await _row(served, answer, asked) for answer in await served.answers(bodies, sizes, asked)]


async def _row(served: Served, answer: Answer, asked: Asked) -> dict[str, Any]:
    row = answer.json()
    if isinstance(answer, api.Segmentation):
        row["mask"] = await served.aside(lambda: in_base64(answer.index_image()))
    if asked.draw:
        row["picture"] = await served.aside(lambda: in_base64(answer.draw()))
    return row


def _make(model: api.Generator, count: int, seed: int, label: str | None) -> list[dict[str, Any]]:
    made = model.make(count, seed, label)
    classes = made.classes or [None] * count
    return [
        {"class": name, "seed": seed + number, "picture": in_base64(picture)}
        for number, (name, picture) in enumerate(zip(classes, made.pictures(), strict=True))
    ]


def _act(model: api.Player, seen: torch.Tensor) -> list[dict[str, Any]]:
    actions, values = model.card.classes, model.values(seen)
    return [
        {"action": actions[best], "values": dict(zip(actions, row, strict=True))}
        for best, row in zip(values.argmax(1).tolist(), values.tolist(), strict=True)
    ]


def _seen(served: Served, observations: Sequence[Any]) -> torch.Tensor:
    """Float32 (n, c, h, w). Raises ConfigError for lists of another shape and what is no number."""
    shape = served.model.card.image
    try:
        seen = np.array(observations)
    except ValueError as error:
        raise ConfigError("observations are not lists of equal lengths") from error
    if seen.dtype.kind not in "iuf":
        raise ConfigError("observations hold something else than numbers")
    if seen.shape[1:] not in (shape, *([shape[:1]] if shape[1:] == (1, 1) else [])):
        raise ConfigError(f"an observation has the shape {seen.shape[1:]}, {served.name} sees {shape}: channels, height, width")
    if (np.abs(seen) > LARGEST).any():
        raise ConfigError(f"observations hold numbers beyond {LARGEST:g}")
    return torch.from_numpy(seen.astype(np.float32).reshape(-1, *shape))


def _wanted(kind: str) -> str:
    return " and ".join(READERS[kind].json_schema()["properties"])


def in_base64(picture: Image.Image) -> str:
    """Its PNG file."""
    return base64.b64encode(live.png(picture)).decode("ascii")
