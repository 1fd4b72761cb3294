"""What the service tells of itself to Prometheus; with several workers the sum of all of them."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # of workers that share their numbers; set before they import this


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._found: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._requests = Counter("gipi_requests", "Requests answered", ("route", "model", "status"), registry=self._registry)
        self._seconds = Histogram(
            "gipi_request_seconds",
            "From the head of a request to its answer",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._sizes = Histogram(
            "gipi_batch_size", "Pictures answered together", ("model",), buckets=SIZES, registry=self._registry
        )
        self._waiting = Gauge(
            "gipi_waiting", "Pictures that wait for a model", ("model",), registry=self._registry, multiprocess_mode="livesum"
        )

    def request(self, route: str, model: str, status: int, seconds: float) -> None:
        key = (route, model, status)
        if key not in self._found:  # to find a counter by its labels takes longer than to count
            self._found[key] = self._requests.labels(route, model, str(status)).inc, self._seconds.labels(route).observe
        count, observe = self._found[key]
        count()
        observe(seconds)

    def batch(self, model: str, size: int) -> None:
        self._sizes.labels(model).observe(size)

    def queue(self, model: str, change: int) -> None:
        self._waiting.labels(model).inc(change)

    def text(self) -> bytes:
        """In Prometheus's own format."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)
        return generate_latest(every)
