"""Reading what clients send: JSON without surprises, in the forms of `schemas.py`; what is wrong becomes one sentence."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from pydantic import ValidationError

from gipi.errors import ConfigError
from gipi.web.schemas import READERS

MOST_KEYS = 20  # of an object or an address; more are refused before each is looked at


def check(form: str, value: Any) -> Any:
    """The value, if it is of that form of `READERS`. Raises ConfigError with one sentence."""
    if isinstance(value, dict) and len(value) > MOST_KEYS:
        raise ConfigError(
            f"the request has {len(value):,} keys; allowed are {', '.join(READERS[form].json_schema()['properties'])}"
        )
    try:
        return READERS[form].validate_python(value)
    except ValidationError as error:
        raise ConfigError(sentence(error.errors(include_url=False, include_input=False, include_context=False))) from error
    except RecursionError as error:
        raise ConfigError("the JSON is nested too deeply") from error


def sentence(errors: Any) -> str:
    """Of Pydantic's findings the first, and how many there are."""
    first, more = errors[0], len(errors) - 1
    told = first["msg"] if first["msg"][1:2].isupper() else first["msg"][:1].lower() + first["msg"][1:]
    where = ".".join(map(str, first["loc"]))[:100] or "the request"
    return f"{where}: {told}{f', and {more} more faults' if more else ''}"


def read_json(body: bytes) -> Any:
    """Strict JSON in UTF-8: no key twice, no NaN. Raises ConfigError."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ConfigError("the body is nested too deeply") from error
    except ValueError as error:
        raise ConfigError(f"the body is no JSON in UTF-8: {error}") from error


def unpack(images: list[str]) -> list[bytes]:
    """Of base64. Raises ConfigError."""
    try:
        return [base64.b64decode(image, validate=True) for image in images]
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"images hold no base64: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")
