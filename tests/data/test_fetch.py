"""Downloads against a local server whose mirrors are broken in every way we know of."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data import fetch
from gipi.data.fetch import RemoteFile, data_folders, local_files
from gipi.errors import ConfigError, DataError

CONTENT = bytes(range(256)) * 40
PACKED = gzip.compress(CONTENT)
NAME = "letters.gz"
LIMIT = len(CONTENT)
PAGE = b"<!DOCTYPE html><html><body>Please log in to the network</body></html>"


class Mirror(ThreadingHTTPServer):
    """Answers by the first part of the path; counts requests; `go` lets the hanging answers end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[str] = []
        self.go = threading.Event()
        self.asked = threading.Event()

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{kind}/{NAME}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class Answer(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def reply(self, body: bytes, status: int = 200, length: int | None = None, location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        self.server.requests.append(kind)
        self.server.asked.set()
        if kind == "good":
            self.reply(PACKED)
        elif kind == "repacked":
            self.reply(gzip.compress(CONTENT, compresslevel=1, mtime=1))
        elif kind == "moved":
            self.reply(b"", 302, location=self.server.url("good"))
        elif kind == "tofile":
            self.reply(b"", 302, location="file:///etc/hostname")
        elif kind == "toftp":
            self.reply(b"", 302, location="ftp://127.0.0.1/letters.gz")
        elif kind == "missing":
            self.reply(PAGE, 404)
        elif kind == "page":
            self.reply(PAGE)
        elif kind == "empty":
            self.reply(b"")
        elif kind == "short":  # the connection closes early
            self.reply(PACKED[:-20], length=len(PACKED))
        elif kind == "cut":  # the mirror's own copy is cut off
            self.reply(PACKED[:-20])
        elif kind == "other":
            self.reply(gzip.compress(CONTENT[::-1]))
        elif kind == "unpacked":
            self.reply(CONTENT)
        elif kind == "bomb":
            self.reply(gzip.compress(bytes(1000 * LIMIT)))
        elif kind == "large":
            self.reply(bytes(LIMIT + 1))
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif kind == "silent":
            self.server.go.wait(20)
        elif kind == "stalled":
            self.reply(PACKED[:100], length=len(PACKED))
            self.server.go.wait(20)
        elif kind == "trickle":
            self.reply(PACKED[:1], length=len(PACKED))
            with suppress(OSError):
                while not self.server.go.wait(0.02):
                    self.wfile.write(b"\0")
        elif kind == "held":
            self.server.go.wait(20)
            self.reply(PACKED)


# Each kind of broken mirror with the reason that must be told.
BROKEN = {
    "missing": "404",
    "page": "got an HTML page",
    "empty": "SHA-256",
    "short": "ended before|IncompleteRead",
    "cut": "ended before",
    "other": "SHA-256",
    "unpacked": "[Nn]ot a gzipped file",
    "bomb": "unpacks to more than the allowed 10,240 bytes",
    "large": "sends more than the allowed 10,240 bytes",
    "endless": "sends more than the allowed 10,240 bytes",
    "silent": "timed out|no answer within",
    "stalled": "timed out",
    "trickle": "sends less than 20,000 bytes a second",
    "tofile": "not allowed|unknown url type",
    "toftp": "unknown url type",
}


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that downloads of data set 'abc' go to; nothing else on this machine is looked at."""
    for name in ("GIPI_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIPI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "data" / "abc"


def remote(*urls: str) -> RemoteFile:
    return RemoteFile(NAME, urls, hashlib.sha256(CONTENT).hexdigest(), LIMIT)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# Where files are looked for


def test_folders_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    shared = tmp_path / "shared" / "data" / "fashion_mnist"
    for folder in (checkout, shared, tmp_path / "own"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(fetch, "CHECKOUT", checkout)
    cache = tmp_path / "cache" / "data" / "fashion_mnist"
    assert data_folders("fashion-mnist") == [cache], "no pyproject.toml: an installed gipi has no checkout"
    (checkout / "pyproject.toml").touch()
    assert data_folders("fashion-mnist") == [shared, cache]
    assert data_folders("abc") == [tmp_path / "cache" / "data" / "abc"], "a shared folder that does not exist is left out"
    monkeypatch.setenv("GIPI_DATA", str(tmp_path / "own"))
    assert data_folders("fashion-mnist") == [tmp_path / "own" / "fashion_mnist", shared, cache]


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIPI_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert data_folders("abc") == [tmp_path / ".cache" / "gipi" / "data" / "abc"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data_folders("abc") == [tmp_path / "xdg" / "gipi" / "data" / "abc"]
    monkeypatch.setenv("GIPI_CACHE", "~/mine")
    assert data_folders("abc") == [tmp_path / "mine" / "data" / "abc"]


def test_gipi_data_that_is_no_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path / "typo"))
    with pytest.raises(ConfigError, match=r"GIPI_DATA must name a folder, got .*typo"):
        data_folders("abc")


def test_found_files_are_not_downloaded(tmp_path: Path, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    file = remote(mirror.url("good"))
    cache.mkdir(parents=True)
    (cache / "letters").write_bytes(CONTENT)
    assert local_files("abc", [file]) == [cache / "letters"], "unpacked"
    (cache / NAME).write_bytes(PACKED)
    assert local_files("abc", [file]) == [cache / NAME], "packed comes first"
    own = tmp_path / "own" / "abc"
    own.mkdir(parents=True)
    (own / NAME).mkdir()  # a folder is no file
    (own / "letters").write_bytes(CONTENT)
    monkeypatch.setenv("GIPI_DATA", str(own.parent))
    assert local_files("abc", [file]) == [own / "letters"], "GIPI_DATA comes before the cache"
    assert mirror.requests == []


# Good and bad mirrors


@pytest.mark.parametrize("kind", ["good", "repacked", "moved"])
def test_good_mirror(kind: str, cache: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    file = remote(mirror.url(kind), mirror.url("missing"))
    (path,) = local_files("abc", [file])
    assert path == cache / NAME
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert visible(cache) == [NAME]
    asked = len(mirror.requests)
    assert local_files("abc", [file]) == [path]
    assert len(mirror.requests) == asked, "the second time nothing is asked for"
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"downloading {path}\n"


@pytest.mark.parametrize("kind", BROKEN)
def test_second_mirror_after_a_broken_one(kind: str, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    (path,) = local_files("abc", [remote(mirror.url(kind), mirror.url("good"))])
    assert mirror.requests == [kind, "good"]
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert visible(cache) == [NAME]


@pytest.mark.parametrize(("kind", "reason"), BROKEN.items())
def test_all_mirrors_broken(kind: str, reason: str, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    with pytest.raises(DataError, match=rf"{mirror.url(kind)}: .*({reason})"):
        local_files("abc", [remote(mirror.url(kind))])
    assert visible(cache) == [], "nothing partial stays"


def test_the_message_of_a_failure(cache: Path, mirror: Mirror) -> None:
    one = remote(mirror.url("missing"), mirror.url("page"))
    two = RemoteFile("numbers.gz", (mirror.url("good"),), one.sha256, LIMIT)
    with pytest.raises(DataError) as failure:
        local_files("abc", [one, two])
    message = str(failure.value)
    for part in ("'abc'", "letters.gz, numbers.gz", str(cache), *one.urls, "404", "HTML page", "--data digits"):
        assert part in message
    assert mirror.requests == ["missing", "page"], "the first file that cannot be had ends it"


def test_failure_names_only_what_is_still_missing(mirror: Mirror) -> None:
    here = RemoteFile("numbers.gz", (mirror.url("good"),), hashlib.sha256(CONTENT).hexdigest(), LIMIT)
    with pytest.raises(DataError, match=r"needs letters\.gz:"):
        local_files("abc", [here, remote(mirror.url("missing"))])


def test_closed_port_fails_and_names_the_reason() -> None:
    url = f"http://127.0.0.1:{closed_port()}/{NAME}"
    with pytest.raises(DataError, match="refused"):
        local_files("abc", [remote(url, url)])


def test_a_hanging_name_lookup_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        go.wait(20)
        raise socket.gaierror("too late")

    monkeypatch.setattr(fetch, "TIMEOUT", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        with pytest.raises(DataError, match=r"no answer within 0\.1 s"):
            local_files("abc", [remote("http://nowhere.invalid/letters.gz")])
    finally:
        go.set()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/letters.gz", "data:,abc"])
def test_only_http(url: str) -> None:
    with pytest.raises(DataError, match="unknown url type"):
        local_files("abc", [remote(url)])


def test_a_cache_that_cannot_be_made(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"letters\.gz.*(\n.*)*--data digits"):
        local_files("abc", [remote(mirror.url("good"))])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_passes_is_the_content(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Damage anywhere is refused, unless it is in a part of the gzip header that means nothing."""
    at = data.draw(st.integers(0, len(PACKED) - 1))
    value = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3)) * len(PACKED) // 4
    part = tmp_path_factory.mktemp("part") / NAME
    part.write_bytes((PACKED[:at] + bytes([value]) + PACKED[at + 1 :])[: len(PACKED) - cut])
    with suppress(DataError, OSError, EOFError, fetch.zlib.error):
        fetch._verify(part, remote())
        assert gzip.decompress(part.read_bytes()) == CONTENT


# Files that are taken as they are


def as_is(sha256: str, *urls: str) -> RemoteFile:
    return RemoteFile(NAME, urls, sha256, 10_000, as_is=True)


@pytest.mark.parametrize("digits", [64, 8])
def test_a_file_as_is_is_known_by_its_own_digits(digits: int, cache: Path, mirror: Mirror) -> None:
    own, content = hashlib.sha256(PACKED).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    assert len(PACKED) <= 10_000 < len(CONTENT), "what it unpacks to is not measured"
    (path,) = local_files("abc", [as_is(own[:digits], mirror.url("repacked"), mirror.url("good"))])
    assert mirror.requests == ["repacked", "good"]
    assert path.read_bytes() == PACKED
    path.unlink()
    with pytest.raises(DataError, match=rf"content has SHA-256 {own}, expected {content[:digits]}"):
        local_files("abc", [as_is(content[:digits], mirror.url("good"))])
    assert visible(cache) == []


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind not in ("unpacked", "bomb")])
def test_broken_mirrors_of_a_file_as_is(kind: str, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    reason = (
        "SHA-256" if kind == "cut" else "sends more than the allowed 10,000" if kind in ("large", "endless") else BROKEN[kind]
    )
    with pytest.raises(DataError, match=rf"{mirror.url(kind)}: .*({reason})"):
        local_files("abc", [as_is(hashlib.sha256(PACKED).hexdigest()[:8], mirror.url(kind))])
    assert visible(cache) == [], "nothing partial stays"


# Interruptions and company


def test_leftover_of_a_killed_process_is_swept(cache: Path, mirror: Mirror) -> None:
    cache.mkdir(parents=True)
    (cache / f"{NAME}.4711.part").write_bytes(PACKED[:50])
    (cache / "other.gz.4711.part").write_bytes(b"of another file")
    local_files("abc", [remote(mirror.url("good"))])
    assert visible(cache) == [NAME, "other.gz.4711.part"]


def test_ctrl_c_leaves_nothing(cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        assert len(visible(cache)) == 1, "the download was under way"
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        local_files("abc", [remote(mirror.url("good"))])
    assert visible(cache) == []


def another_process(url: str) -> subprocess.Popen[str]:
    code = (
        "import sys; from gipi.data.fetch import RemoteFile, local_files; print('ready', flush=True)\n"
        "name, url, sha256, limit = sys.argv[1:]\n"
        "print(*local_files('abc', [RemoteFile(name, (url,), sha256, int(limit))]))"
    )
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    process = subprocess.Popen(
        [sys.executable, "-c", code, NAME, url, sha256, str(LIMIT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="without flock both processes download")
def test_two_processes_download_once(cache: Path, mirror: Mirror) -> None:
    first = another_process(mirror.url("held"))
    assert mirror.asked.wait(10)
    second = another_process(mirror.url("held"))
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)  # it waits for the first, which waits for the mirror
    mirror.go.set()
    for process in (first, second):
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert out == f"{cache / NAME}\n"
    assert mirror.requests == ["held"]
    assert visible(cache) == [NAME]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX kill")
def test_a_killed_process_leaves_no_file_and_no_lock(cache: Path, mirror: Mirror) -> None:
    victim = another_process(mirror.url("held"))
    assert mirror.asked.wait(10)
    victim.kill()
    victim.communicate(timeout=10)
    assert NAME not in visible(cache)
    (path,) = local_files("abc", [remote(mirror.url("good"))])
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert visible(cache) == [NAME]


# What is shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    local_files("abc", [remote(mirror.url("good"))])
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert NAME in shown
    assert "downloading" not in shown
    assert f"{len(PACKED)}/{len(PACKED)} bytes" in shown


def test_import_is_light() -> None:
    code = "import sys, gipi.data.fetch; print(sorted({'torch', 'numpy', 'rich'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert out.stdout == "[]\n"
