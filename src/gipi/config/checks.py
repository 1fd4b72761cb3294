"""Whether a value of a configuration is allowed."""

from __future__ import annotations

import math
import typing
from typing import Any

from gipi.errors import ConfigError, nearest


def within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name} is {value}, allowed are {low} to {high}")


def among(name: str, value: str, allowed: Any) -> None:
    if value not in (names := typing.get_args(allowed)):
        raise ConfigError(f"{name} is {value!r}{nearest(str(value), names)}")
