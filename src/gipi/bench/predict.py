"""A model's answers: latency and images/s, as gipi gives them and as plain PyTorch does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gipi.bench.timing import Spread, peak_memory, windows
from gipi.bench.worker import in_process
from gipi.engine.place import Place, decide_place
from gipi.model import find_model
from gipi.tasks.classifier import Classifier

BATCHES = (1, 32)
CALLS, CALLS_S = (20, 200), 3.0  # behind a latency: at least and at most so many calls, within about so many seconds
PATHS = ("default", "eager")  # as `gipi predict` does it, for
MANY = 1000  # pictures; and PyTorch without anything


@dataclass(frozen=True)
class Answering:
    """One path at one batch size. p50_ms, p95_ms: latency of a call, median and 95th percentile, milliseconds."""

    path: str
    batch: int
    images_per_s: Spread
    p50_ms: float
    p95_ms: float
    peak_bytes: int

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        numbers = {"p50_ms": self.p50_ms, "p95_ms": self.p95_ms, "peak_bytes": self.peak_bytes}
        return {"path": self.path, "batch": self.batch, "images_per_s": self.images_per_s.json(), **numbers}


@dataclass(frozen=True)
class Predict:
    """difference: the largest between the probabilities that the paths give for the same images."""

    model: str
    rows: tuple[Answering, ...]
    difference: float

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {"model": self.model, "rows": [row.json() for row in self.rows], "difference": self.difference}

    def text(self) -> str:
        """A table for a terminal."""
        table = [f"{'path':10}{'batch':>6}{'images/s':>12}{'low':>10}{'high':>10}{'p50 ms':>10}{'p95 ms':>10}"]
        for row in self.rows:
            speed = "".join(f"{value:>{width},.0f}" for value, width in zip(row.images_per_s[:3], (12, 10, 10), strict=True))
            table.append(f"{row.path:10}{row.batch:>6}{speed}{row.p50_ms:>10.2f}{row.p95_ms:>10.2f}")
        return "\n".join([*table, f"the paths differ by at most {self.difference:.1e} in a probability"])


def predict(model: str) -> Predict:
    """Measure a model file, a run folder or a shipped model at batch 1 and 32, each path in a process of its own.

    Raises WeightsError for what is no model.
    """
    find_model(model)
    answers = [
        in_process({"job": "predict", "model": model, "path": path, "batch": batch}) for batch in BATCHES for path in PATHS
    ]
    last = [torch.tensor(answer["probabilities"]) for answer in answers[-len(PATHS) :]]
    rows = [Answering(answer["path"], answer["batch"], Spread.of(tuple(answer["images_per_s"])), answer["p50_ms"],
                      answer["p95_ms"], answer["peak_bytes"]) for answer in answers]  # fmt: skip
    return Predict(model, tuple(rows), float((last[0] - last[1]).abs().max()))


def measure(model: str, path: str, batch: int) -> dict[str, Any]:
    """One path at one batch size, on random images."""
    place = Place(torch.device("cpu"), "fp32", 0, "contiguous")
    classifier = Classifier.load(find_model(model), decide_place(device="cpu") if path == "default" else place)
    if path == "default":
        classifier.expect(MANY)
    pixels = torch.randint(256, (batch, *classifier.card.image), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    answer = classifier.logits if path == "default" else _eager(classifier)
    logits = answer(pixels)  # the first one is cold
    latencies = _latencies(lambda: answer(pixels))
    return {
        "path": path,
        "batch": batch,
        "images_per_s": [batch / call_s for call_s in windows(lambda: answer(pixels), place)],
        "p50_ms": 1000 * statistics.median(latencies),
        "p95_ms": 1000 * statistics.quantiles(latencies, n=20)[-1],
        "probabilities": logits.softmax(1).tolist(),
        **peak_memory(place),
    }


def _eager(classifier: Classifier) -> Callable[[Tensor], Tensor]:
    """The net as a PyTorch script calls it."""

    @torch.no_grad()
    def answer(pixels: Tensor) -> Tensor:
        return classifier.net(classifier.scale(pixels))

    return answer


def _latencies(call: Callable[[], object]) -> list[float]:
    least, most = CALLS
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < least or (len(taken) < most and time.perf_counter() - begun < CALLS_S):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken
