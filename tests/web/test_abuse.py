"""The service under careless and hostile clients: the good ones beside them are answered, and nothing breaks or leaks.

The requests are those of bench/bad_requests.py, of which bench/abuse.py sends a thousand.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gipi.engine.place import decide_place
from gipi.model import WEIGHTS
from gipi.tasks.classifier import Classifier
from gipi.tasks.images import load_images

pytest.importorskip("fastapi", reason="needs gipi[serve]")
pytest.importorskip("httptools", reason="needs gipi[serve]")
MODELS = ("deepconvnet-mnist", "dcgan-mnist", "dqn-catch")


@pytest.fixture
def bad_requests(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root / "bench"))
    import bad_requests

    return bad_requests


@pytest.fixture
def service(tmp_path: Path, bad_requests: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """(process, port)"""
    token = tmp_path / "token"
    token.write_text(bad_requests.TOKEN)
    words = [sys.executable, "-m", "gipi", "serve", *MODELS, "--port", "0", "--token-file", str(token)]
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(words, stderr=log, text=True)
        try:
            port = asyncio.run(_port(process, tmp_path / "log"))
            yield process, port
        finally:
            process.terminate()
            process.wait(30)


async def _port(process: subprocess.Popen[str], log: Path) -> int:
    for _ in range(1_200):
        assert process.poll() is None, log.read_text()
        if said := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(said[1])
        await asyncio.sleep(0.05)
    pytest.fail(f"not up within a minute: {log.read_text()}")


def test_good_requests_are_answered_amid_bad_ones(service: tuple[subprocess.Popen[str], int], bad_requests: Any, tmp_path: Path):
    process, port = service
    model = Classifier.load(WEIGHTS / "deepconvnet-mnist.safetensors", decide_place(device="cpu", precision="fp32"))
    files = []
    for image in load_images("digits", "test").images[:60, 0]:
        drawn = BytesIO()
        Image.fromarray(image.numpy()).save(drawn, "PNG")
        files.append(drawn.getvalue())
    answers = [model.predict(file) for file in files]
    sure = [number for number, answer in enumerate(answers) if answer.score > 0.9][:20]  # in any number format
    asks = bad_requests.good_asks(MODELS[0], [files[number] for number in sure], [answers[number].label for number in sure])
    report = asyncio.run(bad_requests.siege(port, bad_requests.bad(150, MODELS, seed=0), asks, clients=2))
    assert report.wrong == []
    assert report.good > 20
    assert {family for family, _ in report.statuses} >= {"bad JSON", "bomb", "slow", "wrong token", "strange HTTP"}
    assert process.poll() is None
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "went wrong" not in log


def test_the_siege_tells_what_is_not_as_it_must_be(bad_requests: Any):
    """A service that knows one answer only, a wrong one."""

    async def careless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        body = b'{"detail": "Traceback (most recent call last)"}'
        writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def both() -> Any:
        server = await asyncio.start_server(careless, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        request = bad_requests.Bad("path trick", (bad_requests.head("GET", "/%2e%2e"),))
        asks = bad_requests.good_asks("a", [b""], ["1"])
        report = await bad_requests.siege(port, [request], asks, clients=1)
        server.close()
        return report

    wrong = "\n".join(asyncio.run(both()).wrong)
    assert "answered with 500" in wrong
    assert "tells of the code" in wrong
    assert "a good request got 500" in wrong
