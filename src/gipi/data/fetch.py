"""Finding the files of a data set on this machine, or downloading them from a mirror.

A download gets its final name only once its unpacked content has the known SHA-256, so a file of that name is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from urllib import request
from urllib.error import HTTPError

from gipi.errors import ConfigError, DataError

if sys.platform != "win32":
    import fcntl

TIMEOUT = 5.0  # seconds a mirror may take to answer, and to stay silent
SLOWEST = 20_000  # bytes a second below which a mirror is given up
CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class RemoteFile:
    """A file on several mirrors.

    sha256: of a gzip file its unpacked content's, for mirrors pack the same content into different bytes; of a file that is taken
    `as_is` its own, or the first digits of it where no more are published.
    limit: bytes; neither the download nor its unpacked content may be longer.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    limit: int
    as_is: bool = False


def cache_folder() -> Path:
    """Where downloads and what can be made anew are kept: `$GIPI_CACHE`, or `gipi` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("GIPI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gipi").expanduser()


def data_folders(name: str) -> list[Path]:
    """Where the files of data set `name` are looked for, in order; downloads go to the last.

    `$GIPI_DATA`, then `../shared/data` beside a source checkout, then `data` in the cache; in each a folder with the data set's
    name, `-` written as `_`. Raises ConfigError if `$GIPI_DATA` is not a folder.
    """
    folder, given = name.replace("-", "_"), os.environ.get("GIPI_DATA")
    if given and not Path(given).expanduser().is_dir():
        raise ConfigError(f"GIPI_DATA must name a folder, got {given!r}; make the folder or unset the variable")
    own = [Path(given).expanduser() / folder] if given else []
    shared = [CHECKOUT.parent / "shared" / "data" / folder] if (CHECKOUT / "pyproject.toml").is_file() else []
    return [*own, *filter(Path.is_dir, shared), cache_folder() / "data" / folder]


def local_files(dataset: str, files: Sequence[RemoteFile]) -> list[Path]:
    """The paths of `files` on this machine: found in `data_folders`, packed or unpacked (no `.gz`), or downloaded.

    Files that are found are not compared with their SHA-256: you may put your own there.
    Raises DataError if a file is not found and no mirror gives it.
    """
    folders = data_folders(dataset)
    try:
        return [_find(folders, file.name) or download(file, folders[-1]) for file in files]
    except (DataError, OSError) as failure:
        missing = [file.name for file in files if _find(folders, file.name) is None]
        raise DataError(
            f"data set {dataset!r} needs {', '.join(missing)}: not found in {', '.join(map(str, folders))}, "
            f"and the download failed:\n{failure}\n"
            f"Put the files, packed or unpacked, into {folders[-1]}, or work without them: --data digits"
        ) from failure


def _find(folders: Sequence[Path], name: str) -> Path | None:
    candidates = (folder / spelling for folder in folders for spelling in (name, name.removesuffix(".gz")))
    return next((path for path in candidates if os.path.isfile(path)), None)


def download(file: RemoteFile, folder: Path) -> Path:
    """Put `file` into `folder` from the first good mirror. Raises DataError with each mirror's reason."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / file.name, folder / f"{file.name}.{os.getpid()}.part"
    with lock(folder / f".{file.name}.lock"):
        if found := _find([folder], file.name):  # another process was faster
            return found
        for leftover in folder.glob(f"{file.name}.*.part"):  # of a process that was killed
            with suppress(OSError):
                leftover.unlink()
        if not sys.stderr.isatty():
            sys.stderr.write(f"downloading {path}\n")
        reasons = []
        for url in file.urls:
            try:
                _stream(url, part, file)
                _verify(part, file)
                part.replace(path)
                return path
            except (DataError, OSError, EOFError, zlib.error, HTTPException) as error:
                reasons.append(f"  {url}: {error or type(error).__name__}")
            finally:
                part.unlink(missing_ok=True)
    raise DataError("\n".join(reasons))


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep out other processes. Windows has no flock: there each one downloads, and the rename keeps that harmless."""
    with path.open("ab") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stream(url: str, part: Path, file: RemoteFile) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # slow to import

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    start, received = time.monotonic(), 0
    with _open(url) as response, part.open("wb") as out, bar:
        task = bar.add_task(file.name, total=(total := response.length))
        while block := response.read1(1 << 16):
            received += len(block)
            if received > file.limit:
                raise DataError(f"sends more than the allowed {file.limit:,} bytes")
            if time.monotonic() - start > TIMEOUT + received / SLOWEST:
                raise DataError(f"sends less than {SLOWEST:,} bytes a second")
            out.write(block)
            bar.update(task, completed=received)
        if total and received < total:
            raise DataError(f"ended before its last {total - received:,} bytes")
        out.flush()
        os.fsync(out.fileno())


def _open(url: str) -> HTTPResponse:
    """The mirror's answer within TIMEOUT seconds.

    urllib's own timeout leaves out the name look-up and starts anew with every address of a host; hence the thread.
    """
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,  # refuses any other scheme, redirected to or not
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
        request.HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    answer: Queue[HTTPResponse | Exception] = Queue()

    def ask() -> None:
        try:
            answer.put(opener.open(url, timeout=TIMEOUT))
        except Exception as error:
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
            answer.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        got = answer.get(timeout=TIMEOUT)
    except Empty:
        raise TimeoutError(f"no answer within {TIMEOUT:g} s") from None
    if isinstance(got, Exception):
        raise got
    return got


def _verify(part: Path, file: RemoteFile) -> None:
    """Raises DataError, or what gzip raises, unless `part` unpacks to the content of `file`."""
    with part.open("rb") as raw:
        head = raw.read(1024).lower()
    if b"<html" in head or b"<!doctype html" in head:
        raise DataError("got an HTML page")
    sha, size = hashlib.sha256(), 0
    with part.open("rb") if file.as_is else gzip.open(part) as content:
        while block := content.read(1 << 20):
            size += len(block)
            if size > file.limit:
                raise DataError(f"unpacks to more than the allowed {file.limit:,} bytes")
            sha.update(block)
    if not sha.hexdigest().startswith(file.sha256):
        raise DataError(f"content has SHA-256 {sha.hexdigest()}, expected {file.sha256}")
