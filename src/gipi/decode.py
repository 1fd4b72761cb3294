"""Dataclasses from plain JSON values: an unknown key or a wrong type is an error that names the place and what is allowed."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar

from gipi.errors import ConfigError, nearest

T = TypeVar("T")


def read(cls: type[T], value: Any, where: str) -> T:
    """A dataclass from plain JSON values. Raises ConfigError, speaking of `where`, for an unknown key or a wrong type."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be an object, got {value!r}")
    hints = typing.get_type_hints(cls)
    for key in value:
        if key not in hints:
            raise ConfigError(f"{where} has no key {key!r}{nearest(key, hints)}")
    return cls(**{f.name: _value(hints[f.name], value[f.name], f"{where}.{f.name}") for f in fields(cls) if f.name in value})  # pyright: ignore[reportArgumentType]


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return read(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be an object, got {value!r}")
        return {str(k): _value(typing.get_args(hint)[1], v, f"{where}.{k}") for k, v in value.items()}
    if typing.get_origin(hint) is Literal:
        if value not in (allowed := typing.get_args(hint)):
            raise ConfigError(f"{where} is {value!r}{nearest(str(value), allowed)}")
        return value
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in kinds and type(value) is int:
        if value.bit_length() > 1000:  # more than a float can hold
            raise ConfigError(f"{where} is too large a number")
        return value if int in kinds else float(value)
    if type(value) not in kinds:
        raise ConfigError(f"{where} must be {' or '.join(k.__name__ for k in kinds)}, got {value!r}")
    return value


def _items(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list, got {value!r}")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        raise ConfigError(f"{where} must have {len(hints)} items, got {len(value)}")
    return tuple(_value(hint, item, where) for hint, item in zip(hints, value, strict=True))
