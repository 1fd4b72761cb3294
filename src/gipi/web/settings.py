"""What a service is asked to be: the options of `gipi serve`, checked."""

from __future__ import annotations

import importlib.util
import ipaddress
from dataclasses import dataclass, fields
from pathlib import Path

from gipi import catalog
from gipi.errors import ConfigError

LIMITS = {
    "port": (0, 65_535),
    "workers": (1, 256),
    "max_batch": (1, 1_024),
    "max_wait_ms": (0, 1_000),
    "queue": (1, 100_000),
    "deadline_s": (0.1, 3_600),
    "max_body_mb": (0.01, 1_024),
    "max_megapixels": (0.001, 50),
}


@dataclass(frozen=True)
class Settings:
    """models: files, run folders or shipped names; () is every shipped one that this machine can run.

    token: what a client must show, "" for nothing.  queue: pictures that may wait for a model.  deadline_s: seconds within which
    a request is answered or refused.  max_body_mb: of a request, 10**6 bytes.  max_megapixels: of a picture, 10**6 pixels.
    max_wait_ms: how long a batch that others are expected to join is kept open, see `batching.py`.
    Raises ConfigError for values out of range.
    """

    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    workers: int = 1
    max_batch: int = 64
    max_wait_ms: float = 2.0
    queue: int = 256
    deadline_s: float = 10.0
    max_body_mb: float = 16.0
    max_megapixels: float = 25.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in LIMITS:
                (low, high), value = LIMITS[field.name], getattr(self, field.name)
                if not low <= value <= high:
                    raise ConfigError(f"--{_flag(field.name)} is {value}, allowed are {low:g} to {high:,}")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ConfigError(
                "the token has a space or characters that no HTTP header can hold: allowed are ASCII letters, digits, signs"
            )

    @property
    def max_body(self) -> int:
        """Bytes."""
        return int(self.max_body_mb * 1e6)

    @property
    def max_pixels(self) -> int:
        return int(self.max_megapixels * 1e6)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    def names(self) -> dict[str, str]:
        """Of each model the name that clients call it by, and what it was given as. Raises ConfigError for equal names."""
        given = self.models or tuple(name for name in catalog.SHIPPED if name != "dqn-pong" or importlib.util.find_spec("ale_py"))
        names: dict[str, str] = {}
        for model in given:
            name = Path(model).stem if model.endswith(".safetensors") else Path(model).resolve().name
            if name in names:
                raise ConfigError(f"{names[name]} and {model} would both be called {name!r}: rename one of them, or leave it out")
            names[name] = model
        return names


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _flag(name: str) -> str:
    return {"deadline_s": "deadline"}.get(name, name.replace("_", "-"))
