"""The published Inception file of FID: from a local server, a folder or the cache, or not to be had."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gipi.data.fetch import data_folders
from gipi.engine.place import Place, decide_place
from gipi.errors import DataError, WeightsError
from gipi.models.inception import FidInception
from gipi.tasks import fid
from gipi.tasks.fid import load_inception

PUBLISHED = fid.FILE
REAL = [folder / PUBLISHED.name for folder in data_folders("imagenet_weights")]


class Server(ThreadingHTTPServer):
    """Answers with `body`; counts requests."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.body, self.requests = body, 0


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Made up, in float16, which halves the file."""
    torch.manual_seed(0)
    halves = {key: value.half() if value.is_floating_point() else value for key, value in FidInception().state_dict().items()}
    return halves | {"fc.weight": torch.zeros(1008, 2048, dtype=torch.half), "fc.bias": torch.zeros(1008, dtype=torch.half)}


@pytest.fixture(scope="module")
def body(weights: dict[str, Tensor]) -> bytes:
    return pth(weights)


def pth(weights: dict[str, Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a file may be put; nothing of this machine is looked at."""
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")
    (tmp_path / "imagenet_weights").mkdir()
    return tmp_path / "imagenet_weights"


@pytest.fixture
def server(body: bytes) -> Iterator[Server]:
    server = Server(body)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/file.pth"


def publish(monkeypatch: pytest.MonkeyPatch, content: bytes, *urls: str) -> None:
    """From here on that content is the published one, and it is there."""
    file = replace(PUBLISHED, urls=urls or (closed(),), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(fid, "FILE", file)


def closed() -> str:
    """An address where nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/file.pth"


def place() -> Place:
    return decide_place(device="cpu", precision="fp32")


def cached() -> Path:
    return Path(os.environ["GIPI_CACHE"]) / "data" / "imagenet_weights" / PUBLISHED.name


def test_what_is_published_is_named_as_pytorch_fid_names_it():
    assert PUBLISHED.as_is
    assert PUBLISHED.sha256.startswith(PUBLISHED.name.removesuffix(".pth").rpartition("-")[2])
    assert len(PUBLISHED.sha256) == 64
    assert all(url.startswith("https://") and url.endswith("inception-2015-12-05-6726825d.pth") for url in PUBLISHED.urls)
    floats = 21_785_568 + 2 * sum(value.numel() for key, value in FidInception().state_dict().items() if key.endswith("mean"))
    assert 4 * (floats + 1008 * 2049) < PUBLISHED.limit < 5 * floats


@torch.no_grad()
def test_a_file_in_the_data_folder_is_used_and_its_classifier_left_out(
    folder: Path, body: bytes, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
):
    publish(monkeypatch, body)
    (folder / PUBLISHED.name).write_bytes(body)
    before = torch.get_rng_state()
    net = load_inception(place())
    assert torch.equal(torch.get_rng_state(), before), "a training's random numbers do not depend on its judge"
    own = net.state_dict()
    assert weights.keys() - own.keys() == {"fc.weight", "fc.bias"}
    for key, value in own.items():
        assert torch.equal(value, weights[key].to(value.dtype)), key
    assert not net.training
    assert not any(weight.requires_grad or weight.dtype != torch.float32 for weight in net.parameters())
    assert net(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape == (1, 2048)


def test_a_download_is_kept_and_found_again(body: bytes, server: Server, url: str, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, body, closed(), url)
    first = load_inception(place())
    assert cached().read_bytes() == body
    assert server.requests == 1
    publish(monkeypatch, body)
    again = load_inception(place())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_a_download_of_another_content_is_refused(
    folder: Path, body: bytes, server: Server, url: str, monkeypatch: pytest.MonkeyPatch
):
    publish(monkeypatch, body, url)
    server.body = body[:-1] + b"x"
    with pytest.raises(DataError, match=rf"content has SHA-256 [0-9a-f]{{64}}, expected (.|\n)*into {folder}"):
        load_inception(place())
    assert not cached().exists()


def test_without_file_and_network_the_message_says_where_to_put_it(folder: Path, body: bytes, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, body)
    with pytest.raises(DataError) as failure:
        load_inception(place())
    for part in (PUBLISHED.name, str(folder), str(cached().parent), fid.FILE.urls[0], "refused", "--gan.judge auto"):
        assert part in str(failure.value)


def test_a_file_of_another_content_is_named_and_not_read(folder: Path, body: bytes, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, body)
    (folder / PUBLISHED.name).write_bytes(body[: len(body) // 2])
    monkeypatch.setattr(fid, "read_state_dict", lambda path: pytest.fail("it is read"))
    with pytest.raises(
        WeightsError, match=rf"{folder}/{PUBLISHED.name} is cut off or another file: .*, expected .* fetch it anew"
    ):
        load_inception(place())


def test_weights_that_do_not_fit_are_named(folder: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch):
    other = {key: value for key, value in weights.items() if not key.startswith("Mixed_7c")} | {
        "AuxLogits.fc.bias": torch.zeros(9)
    }
    content = pth(other)
    publish(monkeypatch, content)
    (folder / PUBLISHED.name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"does not fit the net: missing Mixed_7c\..* more"):
        load_inception(place())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, body: bytes, url: str, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, body, url)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GIPI_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot be kept in .*; set GIPI_CACHE"):
        load_inception(place())


@torch.no_grad()
@pytest.mark.skipif(not any(map(Path.is_file, REAL)), reason=f"needs {PUBLISHED.name} in imagenet_weights of a data folder")
def test_the_published_file_sees_a_difference_between_noise_and_a_plain_image(folder: Path):
    found = next(filter(Path.is_file, REAL))
    (folder / PUBLISHED.name).symlink_to(found)
    noise = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    features = load_inception(place())(torch.cat([noise, torch.full_like(noise[:1], 128)]))
    assert torch.dist(features[0], features[2]) > 2 * torch.dist(features[0], features[1]) > 0
