"""Requests as careless and hostile clients send them, byte by byte over raw sockets, and the good clients beside them.

`bad` makes any number of them from a seed; `siege` sends them to a service at work and says what was not as it must be: an answer
5xx other than 503, a traceback, an answer 2xx to nonsense, a good request answered wrongly or not at all.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

TOKEN = "a-long-word-that-nobody-guesses"
PATIENCE_S = 50.0  # seconds after which an answer is missed
REFUSED = frozenset({*range(400, 500), 503})
NOTHING = 0  # in place of a status: the connection ended without an answer
LOST = REFUSED | {NOTHING}
ANY = LOST | {200}
LEAKS = (b"Traceback", b'File "', b"site-packages", b"/src/gipi")


@dataclass(frozen=True)
class Bad:
    """parts: what is sent, `pause_s` between them.  allowed: statuses of all answers that may come.

    end: wait for the answer; close only our half and wait; leave at once; or leave by a reset.
    """

    family: str
    parts: tuple[bytes, ...]
    allowed: frozenset[int] = REFUSED
    pause_s: float = 0.0
    end: str = "wait"


@dataclass
class Report:
    """wrong: sentences.  statuses: how often each family got which.  good, refused: requests of the good clients, and those of
    them that had to be asked again after a 503.
    """

    wrong: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    good: int = 0
    refused: int = 0


def head(method: str, target: str, *headers: str, token: str = TOKEN) -> bytes:
    """Of a request, after whose answer the service closes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(body: bytes, content: str, model: str, query: str = "") -> bytes:
    """A request for an answer of a model."""
    kind = [f"Content-Type: {content}"] if content else []
    return head("POST", f"/v1/models/{model}/predict{query}", *kind, f"Content-Length: {len(body)}") + body


def picture(kind: str, rng: random.Random, side: int = 64) -> bytes:
    file = BytesIO()
    Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side)).save(file, kind)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes, extra: bytes = b"") -> bytes:
    """Grey, with that for its rows."""
    start = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + extra + png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b"")


def tiff(*tags: tuple[int, int, int, int]) -> bytes:
    """(tag, type, count, value or offset) as a directory."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4)


def bombs() -> Iterator[tuple[bytes, frozenset[int]]]:
    """Small files of large pictures. Some are within the limits, and are answered or not, as they wish."""
    zeros = bytes(1_000_000)
    yield png(50_000, 50_000, zeros), REFUSED
    yield png(2**31 - 1, 2**31 - 1, b""), REFUSED
    yield png(30_000, 1, zeros), ANY
    yield png(1, 5_000_000, zeros), ANY
    yield png(4_900, 4_900, bytes(4_901 * 4_900)), ANY  # 24 million pixels, white on nothing
    yield png(28, 28, bytes(29 * 28), png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))), ANY
    yield png(28, 28, bytes(29 * 28), png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))), ANY
    yield png(28, 28, bytes(29 * 28), png_chunk(b"tEXt", b"a\0" + bytes(5_000_000))), ANY
    yield b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;", REFUSED
    yield tiff((256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 9)), REFUSED
    yield tiff((256, 4, 1, 28), (257, 4, 1, 28), (273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8)), REFUSED
    yield tiff((256, 2, 2**31, 4), (257, 12, 2**28, 4), (330, 4, 2**30, 8)), REFUSED
    yield b"II*\0" + struct.pack("<I", 8) + b"\xff\xff" + bytes(40), REFUSED  # 65,535 tags
    yield b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0), REFUSED
    yield b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0\xff\xd9", REFUSED  # JPEG, 65,500 x 65,500
    yield b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0", REFUSED  # WebP, 16,384 x 16,384


def truncated(rng: random.Random, model: str) -> Bad:
    file = picture(rng.choice(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")), rng)
    return Bad("truncated picture", (post(file[: rng.randrange(len(file) * 9 // 10)], "image/png", model),))


def damaged(rng: random.Random, model: str) -> Bad:
    file = bytearray(picture(rng.choice(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")), rng))
    for _ in range(rng.randrange(1, 30)):
        file[rng.randrange(len(file))] = rng.randrange(256)
    return Bad("damaged picture", (post(bytes(file), "application/octet-stream", model),), ANY)


def bomb(rng: random.Random, model: str) -> Bad:
    body, allowed = rng.choice(BOMBS)
    if rng.random() < 0.3:
        body = json.dumps({"images": [base64.b64encode(body).decode()] * rng.choice((1, 3))}).encode()
        return Bad("bomb in JSON", (post(body, "application/json", model),), allowed)
    return Bad("bomb", (post(body, "image/png", model),), allowed)


def huge(rng: random.Random, model: str) -> Bad:
    path, block = f"/v1/models/{model}/predict", bytes(1 << 20)
    which = rng.randrange(4)
    if which == 0:
        return Bad("huge, announced", (head("POST", path, "Content-Type: image/png", "Content-Length: 99999999999"),), LOST)
    if which == 1:
        start = head("POST", path, "Content-Type: image/png", f"Content-Length: {20 << 20}")
        return Bad("huge, sent", (start, *[block] * 20), LOST)
    kind = "image/png" if which == 2 else "application/json"
    start = head("POST", path, f"Content-Type: {kind}", "Transfer-Encoding: chunked")
    return Bad("huge, in chunks", (start, *[b"100000\r\n" + block + b"\r\n"] * 20, b"0\r\n\r\n"), LOST)


def wrong_type(rng: random.Random, model: str) -> Bad:
    content = rng.choice(
        (
            "",
            "text/plain",
            "text/html",
            "multipart/form-data; boundary=x",
            "application/xml",
            "video/mp4",
            "image",
            "/",
            "*/*",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
            "a" * 5_000,
        )
    )
    return Bad("wrong type", (post(picture("PNG", rng, 28), content, model),))


def no_picture(rng: random.Random, model: str) -> Bad:
    body = rng.choice(
        (
            b"",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"PK\3\4" + bytes(99),
            b"\x7fELF" + bytes(99),
            b"%PDF-1.7",
            b"P6 99999999 99999999 255\n",
            b"8BPS\0\1" + bytes(99),
            rng.randbytes(500),
            b"../../etc/passwd",
        )
    )
    return Bad("no picture", (post(body, rng.choice(("image/png", "image/svg+xml", "application/octet-stream")), model),))


def any_json(rng: random.Random, depth: int = 0) -> str:
    """Text that is JSON, nearly JSON or what Python takes for it."""
    leaf = (
        "null",
        "true",
        "NaN",
        "-Infinity",
        "1e999",
        "-0",
        "9" * 5_000,
        "0.1e-99999",
        '"\\ud800"',
        '"\\u0000"',
        '"' + "A" * 999 + '"',
        '"AAA="',
        '"====="',
        "-1",
        "65",
        "2.5",
        "[]",
        "{}",
        '"iVBORw0KGgo="',
        "'x'",
        "01",
        "truex",
        '"\x01"',
    )
    if depth > 4 or rng.random() < 0.5:
        return rng.choice(leaf)
    inner = [any_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if rng.random() < 0.5:
        return "[" + ",".join(inner) + "]"
    names = ("images", "draw", "score", "count", "seed", "class", "observations", "__proto__", "", "\\ud800")
    return "{" + ",".join(f'"{rng.choice(names)}":{each}' for each in inner) + "}"


def bad_json(rng: random.Random, model: str) -> Bad:
    good = base64.b64encode(picture("PNG", rng, 28)).decode()
    bodies: tuple[Callable[[], str | bytes], ...] = (
        lambda: "[" * 100_000,
        lambda: '{"images":' * 50_000,
        lambda: '{"images":[' + "[" * 20_000 + "]" * 20_000 + "]}",
        lambda: '{"observations":' + "[" * 900 + "1" + "]" * 900 + "}",
        lambda: json.dumps({"images": [good] * 65}),
        lambda: json.dumps({"images": [good[:-3]]}),
        lambda: json.dumps({"images": [good + "\n"], "nonsense": 1}),
        lambda: json.dumps({"images": [f"data:image/png;base64,{good}", good], "draw": "yes"}),
        lambda: json.dumps({"images": [good], "score": rng.choice([2, -1, "a", None, 10**400, [0.5]])}),
        lambda: f'{{"images":["{good}"],"draw":NaN}}',
        lambda: f'{{"count":{rng.choice(["0", "65", "1e3", "-1", "true", "9" * 4_000])}}}',
        lambda: f'{{"seed":{rng.choice(["-1", "1.5", "1e400", "9" * 30, "4294967295"])},"count":64}}',
        lambda: '{"observations":[[1,2],[3]]}',
        lambda: '{"observations":[[' + "1e39," * 5 + "1]]}",
        lambda: '{"observations":["\\ud800"]}',
        lambda: b"\xff\xfe" + '{"images":[]}'.encode("utf-16-le"),
        lambda: b'{"images":["\xc3\x28"]}',
        lambda: b"\xef\xbb\xbf[]",
        lambda: b"",
        lambda: any_json(rng),
        lambda: '{"images":[' + any_json(rng) + "]}",
        lambda: '{"observations":' + any_json(rng) + "}",
    )
    body = rng.choice(bodies)()
    # An object without fields is a good request for an image of a generator.
    allowed = REFUSED if body != "{}" else ANY
    return Bad("bad JSON", (post(body.encode() if isinstance(body, str) else body, "application/json", model),), allowed)


def path_trick(rng: random.Random, model: str) -> Bad:
    target = rng.choice(
        (
            "/v1/models/..%2f..%2f..%2fetc%2fpasswd/predict",
            "/v1/models/%2e%2e/predict",
            "/v1/models//predict",
            f"//v1//models/{model}/predict",
            f"/v1/models/{model}%00/predict",
            f"/v1/models/{model}/../{model}x/predict",
            "/v1/models/" + "a" * 8_000 + "/predict",
            "/v1/models/%ff%fe/predict",
            "/v1/models/%F0%9F%98%80/predict",
            "/v1/models/\\..\\windows/predict",
            "/v1/models/%252e%252e/predict",
            "/v1/models/%s%n/predict",
            "/v1/models/$(reboot)/predict",
            "/v1/models/;ls/predict",
            f"/v1/models/{model}.safetensors/predict",
            "/v1/models/~root/predict",
            "/v1/models/file:%2f%2f%2fetc%2fpasswd/predict",
            f"/V1/MODELS/{model}/predict",
            "/static/../app.py",
            "/static/..%2fapp.py",
            "/static/%2e%2e/%2e%2e/__init__.py",
            "/static//etc/passwd",
            "/static/%00",
            "/static/.",
            "/../../../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/proc/self/environ",
            "/.git/config",
            "/docs",
            "/redoc",
            "/v1/models/?x=" + "b" * 9_000,
        )
    )
    method = "GET" if "predict" not in target else "POST"
    return Bad("path trick", (head(method, target, "Content-Type: image/png", "Content-Length: 0"),))


def wrong_query(rng: random.Random, model: str) -> Bad:
    query = rng.choice(
        (
            "?draw=maybe",
            "?score=2",
            "?score=nan",
            "?beam=-1",
            "?temperature=1e999",
            "?seed=" + "9" * 5_000,
            "?unknown=1",
            "?draw=1&draw=1",
            "?=&&&===",
            "?%00=%00",
            "?draw=%ff",
            "?" + "&".join(f"a{number}=1" for number in range(2_000)),
            "?best[]=1",
        )
    )
    return Bad("wrong query", (post(picture("PNG", rng, 28), "image/png", model, query),))


def wrong_method(rng: random.Random, model: str) -> Bad:
    method = rng.choice(("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "PROPFIND", "P" * 300))
    target = rng.choice((f"/v1/models/{model}/predict", "/v1/models", "/healthz", "/metrics", "/"))
    return Bad("wrong method", (head(method, target, "Content-Length: 0"),), LOST)


def strange_http(rng: random.Random, model: str) -> Bad:
    """Requests that two servers in a row may read differently, and what is none. A hidden request must not be answered."""
    path = f"/v1/models/{model}/predict"
    hidden = head("GET", "/v1/models")
    both = head("POST", path, "Content-Type: image/png", f"Content-Length: {len(hidden) + 5}", "Transfer-Encoding: chunked")
    get = head("GET", "/v1/nothing")
    start = b"GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    parts: tuple[tuple[bytes, ...], ...] = (
        (both, b"0\r\n\r\n" + hidden),
        (head("POST", path, "Content-Length: 5", "Content-Length: 6"), b"123456"),
        (head("POST", path, "Transfer-Encoding: xchunked", "Content-Length: 3"), b"abc" + hidden),
        (head("POST", path, "Transfer-Encoding: chunked, identity"), b"0\r\n\r\n"),
        (head("POST", path, "Transfer-Encoding:\x0bchunked"), b"0\r\n\r\n"),
        (head("POST", path, "Content-Length: -1"), b"x"),
        (head("POST", path, "Content-Length: +5"), b"12345"),
        (head("POST", path, "Content-Length: 0x10"), b"1" * 16),
        (head("POST", path, "Content-Length: 5,5"), b"12345"),
        (head("POST", path, "Content-Length: " + "9" * 40), b"x"),
        (head("POST", path, "Transfer-Encoding: chunked"), b"FFFFFFFFFFFFFFFFF\r\nx"),
        (head("POST", path, "Transfer-Encoding: chunked"), b"-5\r\nx\r\n0\r\n\r\n"),
        (head("POST", path, "Transfer-Encoding: chunked"), b"5;" + b"a" * 200_000 + b"\r\n12345\r\n0\r\n\r\n"),
        (head("POST", path, "Content-Type : image/png", "Content-Length: 0"),),
        (head("GET", "/v1/nothing", "X: a\r\n folded"),),
        (head("GET", "/v1/nothing", "X: \0"),),
        (head("GET", "/v1/nothing", "X: " + "a" * 200_000),),
        (head("GET", "/v1/nothing", *[f"X{number}: a" for number in range(3_000)]),),
        (get.replace(b"\r\n", b"\n"),),
        (get.replace(b"Host: 127.0.0.1\r\n", b""),),
        (get.replace(b"HTTP/1.1", b"HTTP/9.9"),),
        (get.replace(b"HTTP/1.1", b"ICY/1.0"),),
        (b"GET /v1/nothing\r\n\r\n",),
        (b"GET " + b"/" * 150_000 + b" HTTP/1.1\r\n\r\n",),
        (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",),
        (b"GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50),),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(300),),
        (rng.randbytes(2_000),),
        (b"\r\n" * 3_000,),
        (
            start
            + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + b"A" * 22
            + b"==\r\n\r\n",
        ),
        (start + b"Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n",),
        (get.replace(b"Connection: close", b"Connection: keep-alive") * 20 + get,),
    )
    chosen = rng.choice(parts)
    return Bad("strange HTTP", chosen, LOST, end="half" if chosen[0] in (b"\r\n" * 3_000,) else "wait")


def expecting(rng: random.Random, model: str) -> Bad:
    """A body is announced, waited for and never sent; or sent although it was refused."""
    start = head("POST", f"/v1/models/{model}/predict", "Content-Type: image/png", "Content-Length: 100", "Expect: 100-continue")
    return Bad("unkept promise", (start,), LOST | {100}, end="leave" if rng.random() < 0.5 else "half")


def gone(rng: random.Random, model: str) -> Bad:
    """A client that ends its half, leaves or resets: within the head, within the body, or before the answer."""
    whole = post(picture("PNG", rng, 200), "image/png", model)
    sent = whole if rng.random() < 0.4 else whole[: rng.randrange(1, len(whole))]
    end = rng.choice(("half", "leave", "reset"))
    return Bad(f"client gone ({end})", (sent,), ANY, end=end)


def slow(rng: random.Random, model: str) -> Bad:
    """Byte by byte for a while, then gone."""
    whole = post(picture("PNG", rng, 28), "image/png", model)
    start = rng.choice((0, len(whole) - 300))
    parts = (whole[:start], *[whole[place : place + 1] for place in range(start, start + 20)])
    return Bad("slow", tuple(part for part in parts if part), LOST, pause_s=0.05, end=rng.choice(("leave", "reset")))


def stuck(rng: random.Random, model: str) -> Bad:
    """Begun and never gone on with: the service must end it."""
    whole = post(picture("PNG", rng, 28), "image/png", model)
    return Bad("stuck", (whole[: rng.choice((0, 20, len(whole) - 10))],), LOST)


def wrong_token(rng: random.Random, model: str) -> Bad:
    target = rng.choice((f"/v1/models/{model}/predict", "/v1/models", "/metrics", "/openapi.json"))
    method = "POST" if "predict" in target else "GET"
    right = f"Authorization: Bearer {TOKEN}"
    shown = rng.choice(
        (
            "",
            "Authorization:",
            "Authorization: Bearer",
            "Authorization: Bearer " + TOKEN[:-1],
            f"Authorization: Bearer {TOKEN}x",
            f"Authorization: Basic {TOKEN}",
            f"Authorization: Bearer {TOKEN.upper()}",
            f"X-Authorization: Bearer {TOKEN}",
            "Authorization: Bearer \xff\xfe",
            "Authorization: Bearer " + "a" * 50_000,
            f"Cookie: token={TOKEN}",
        )
    )
    said = head(method, target, "Content-Length: 0").decode("latin-1").replace(right + "\r\n", shown + "\r\n" if shown else "")
    return Bad("wrong token", (said.encode("latin-1"),), frozenset({401, 400, 431}))


BOMBS = tuple(bombs())
FAMILIES = (
    truncated,
    damaged,
    bomb,
    huge,
    wrong_type,
    no_picture,
    bad_json,
    path_trick,
    wrong_query,
    wrong_method,
    strange_http,
    expecting,
    gone,
    slow,
    wrong_token,
)
OFTEN = (bad_json, truncated, gone, strange_http, path_trick)  # of which more can go wrong


def bad(count: int, models: Sequence[str], seed: int, *, stuck_ones: int = 0) -> list[Bad]:
    """stuck_ones: how many of them only end when the service ends them, half a minute later."""
    rng = random.Random(seed)
    chosen = [(FAMILIES + OFTEN)[number % len(FAMILIES + OFTEN)] for number in range(count - stuck_ones)]
    made = [make(rng, rng.choice(models)) for make in chosen] + [stuck(rng, rng.choice(models)) for _ in range(stuck_ones)]
    rng.shuffle(made)
    return made


async def send(port: int, request: Bad) -> bytes:
    """All that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        try:
            for part in request.parts:
                writer.write(part)
                await writer.drain()
                if request.pause_s:
                    await asyncio.sleep(request.pause_s)
            if request.end == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if request.end in ("leave", "reset"):
                return b""
            if request.end == "half":
                writer.write_eof()
        except OSError:  # refused while it was sent: what was said of it can still be read
            pass
        got = b""
        try:
            while more := await reader.read(1 << 16):
                got += more
        except OSError:  # reset by the service, which did not want all of it
            pass
        return got
    finally:
        await _close(writer)


async def try_bad(port: int, request: Bad, report: Report) -> None:
    said = f"{request.family}, {request.parts[0][:150]!r}..., {sum(map(len, request.parts)):,} bytes"
    try:
        got = await asyncio.wait_for(send(port, request), PATIENCE_S)
    except (TimeoutError, asyncio.TimeoutError):
        report.wrong.append(f"{said}: no answer within {PATIENCE_S:g} s, and the connection is still open")
        return
    except OSError as error:
        report.wrong.append(f"{said}: no connection: {error}")
        return
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", got)] or [NOTHING]
    for status in statuses:
        report.statuses[request.family, status] += 1
        if status not in request.allowed and request.end not in ("leave", "reset"):
            report.wrong.append(f"{said}: answered with {status}: {got[-300:]!r}")
    if any(leak in got for leak in LEAKS):
        report.wrong.append(f"{said}: the answer tells of the code: {got[-600:]!r}")


async def good_client(port: int, asks: Sequence[tuple[bytes, Sequence[str]]], done: asyncio.Event, report: Report) -> None:
    """One that keeps its connection and asks again after a 503, until the others are done.

    asks: a request without "Connection: close" and the labels that are its answer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    turn = 0
    try:
        while not done.is_set():
            whole, labels = asks[turn % len(asks)]
            writer.write(whole)
            status, body = await asyncio.wait_for(_response(reader), PATIENCE_S)
            if status == 503:
                report.refused += 1
                await asyncio.sleep(0.05)
                continue
            if status != 200 or [row["label"] for row in json.loads(body)["predictions"]] != list(labels):
                report.wrong.append(f"a good request got {status}: {body[:300]!r} in place of {labels}")
                return
            report.good += 1
            turn += 1
    except (OSError, EOFError, TimeoutError, asyncio.TimeoutError) as error:
        report.wrong.append(f"a good request was not answered: {error!r}")
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # reset by the other side
        await writer.wait_closed()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    start = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", start.lower())
    assert length, start
    return int(start.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))


def good_asks(model: str, files: Sequence[bytes], labels: Sequence[str]) -> list[tuple[bytes, Sequence[str]]]:
    """Pictures one by one as they are, and four at a time as JSON."""
    asks: list[tuple[bytes, Sequence[str]]] = [
        (post(file, "image/png", model), [label]) for file, label in zip(files, labels, strict=True)
    ]
    for place in range(0, len(files) - 3, 4):
        body = json.dumps({"images": [base64.b64encode(file).decode() for file in files[place : place + 4]]}).encode()
        asks.append((post(body, "application/json", model), labels[place : place + 4]))
    return [(whole.replace(b"Connection: close\r\n", b""), expected) for whole, expected in asks]


async def siege(
    port: int, requests: Sequence[Bad], asks: Sequence[tuple[bytes, Sequence[str]]], *, clients: int = 4, at_once: int = 12
) -> Report:
    """All bad requests, `at_once` of them under way, while good clients ask without a pause."""
    report, done, places = Report(), asyncio.Event(), asyncio.Semaphore(at_once)

    async def one(request: Bad) -> None:
        if request.family == "stuck":  # they wait for long, and hold no place
            await try_bad(port, request, report)
        else:
            async with places:
                await try_bad(port, request, report)

    async def all_bad() -> None:
        await asyncio.gather(*map(one, requests))
        done.set()

    await asyncio.gather(
        all_bad(), *[good_client(port, asks[number:] + asks[:number], done, report) for number in range(clients)]
    )
    return report
