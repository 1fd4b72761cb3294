"""Limits: who asks, how much, how slowly."""

import base64
import socket
import struct
import threading
import time
import tracemalloc
import zlib

import pytest

from gipi.errors import ConfigError
from gipi.web.app import create
from gipi.web.settings import Settings
from oracle.service import png, service

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def served():
    with service(
        models=("deepconvnet-mnist", "fcn-scenes"), max_body_mb=0.1, max_megapixels=0.5, queue=4, deadline_s=0.5
    ) as found:
        yield found


@pytest.fixture(scope="module")
def locked():
    with service(models=("deepconvnet-mnist",), token=TOKEN) as found:
        yield found


def head(path="/v1/models/deepconvnet-mnist/predict", *lines):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: image/png", *lines, "", ""]).encode()


def talk(served, *parts, pause=0.05):
    """What comes back of bytes sent one after another, until the other side has closed or has nothing to say for a second."""
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.settimeout(3)
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        got = b""
        try:
            while part := line.recv(65536):
                got += part
                if b"\r\n\r\n" in got and got.endswith(b"}"):
                    break
        except TimeoutError:
            pass
        return got


def status(answer):
    return int(answer.split(b" ", 2)[1])


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(served):
    answer = talk(served, head("/v1/models/deepconvnet-mnist/predict", "Content-Length: 100001"))
    assert status(answer) == 413
    assert b"100,001 bytes or more, allowed are 100,000" in answer


def test_a_body_that_goes_on_and_on_is_refused_on_its_way(served):
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    answer = talk(served, head("/v1/models/deepconvnet-mnist/predict", "Transfer-Encoding: chunked"), *[chunk] * 8)
    assert status(answer) == 413
    assert b"allowed are 100,000" in answer


def bomb(width, height):
    """A PNG of that size in few bytes; its pixels are never asked for."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(9)))
    )


@pytest.mark.parametrize("size", [(1000, 501), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_any_is_decoded(served, monkeypatch, size):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    tracemalloc.start()
    answer = served.predict("deepconvnet-mnist", bomb(*size))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == 413
    assert "500,000" in answer.json()["detail"]
    assert most < 5_000_000


def test_a_second_size_in_a_picture_is_not_overlooked(served):
    small = bomb(10, 10)
    assert served.predict("deepconvnet-mnist", small[:33] + bomb(9000, 9000)[8:]).status_code == 413


def test_a_picture_that_would_be_scaled_up_too_far_is_refused(served):
    assert served.predict("fcn-scenes", bomb(1, 20_000)).status_code == 413


def test_slow_requests_are_ended(served, monkeypatch):
    for name, seconds in {"HEAD_S": 0.2, "BODY_S": 0.2, "LOOK_S": 0.1}.items():
        monkeypatch.setattr(f"gipi.web.connection.{name}", seconds)
    late = talk(served, b"GET / HTTP/1.1\r\n", pause=0.4)
    assert status(late) == 408
    assert b"the head of the request did not come" in late
    late = talk(served, head("/v1/models/deepconvnet-mnist/predict", "Content-Length: 50"), b"half of it", pause=0.4)
    assert status(late) == 408
    assert b"the body did not come" in late
    with socket.create_connection(("127.0.0.1", served.port), timeout=3) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in line.recv(65536)
        line.sendall(b"\r\n")  # takes away uvicorn's own timer
        assert status(line.recv(65536)) == 408


def test_a_head_without_end_is_refused(served):
    answer = talk(served, b"GET / HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: " + b"a" * 20_000 + b"\r\n"] * 4)
    assert status(answer) == 431


def test_what_is_no_http_is_refused(served):
    answer = talk(served, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert status(answer) == 400
    assert b'{"detail": "' in answer


def test_too_many_connections_are_refused(served, monkeypatch):
    served.client.get("/healthz")
    monkeypatch.setattr("gipi.web.connection.CONNECTIONS", 1)
    assert status(talk(served, b"")) == 503
    monkeypatch.undo()
    assert served.client.get("/healthz").status_code == 200


class Held:
    """A model's thread at rest until it is let go."""

    def __init__(self, served):
        self.model, self.go, self.begun = served.app.state.models["deepconvnet-mnist"].model, threading.Event(), threading.Event()

    def __enter__(self):
        answer = type(self.model).answer

        def later(framed):
            self.begun.set()
            assert self.go.wait(10)
            return answer(self.model, framed)

        self.model.answer = later
        return self

    def __exit__(self, *error):
        self.go.set()
        del self.model.answer


def test_a_full_queue_and_a_passed_deadline_are_told_with_when_to_ask_again(served, digits):
    answers = []
    with Held(served) as held:
        threads = [
            threading.Thread(target=lambda: answers.append(served.predict("deepconvnet-mnist", digits[0]))) for _ in range(7)
        ]
        threads[0].start()
        assert held.begun.wait(10)
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [503] * 7
    assert all(answer.headers["retry-after"] == "1" for answer in answers)
    told = [answer.json()["detail"] for answer in answers]
    assert sum("waiting, allowed are 4" in text for text in told) == 2
    assert sum("no answer within 0.5 s" in text for text in told) == 5
    assert served.predict("deepconvnet-mnist", digits[0]).status_code == 200


def test_the_service_ends_after_work_that_nobody_waits_for(digits):
    """A thread that the interpreter's end stops amid PyTorch's work would abort the process."""
    ended = threading.Event()
    with service(models=("digitnet-tiny-mnist",), deadline_s=0.2) as busy:
        model = busy.app.state.models["digitnet-tiny-mnist"].model
        model.answer = lambda framed: time.sleep(1) or ended.set() or []
        assert busy.predict("digitnet-tiny-mnist", digits[0]).status_code == 503
        assert not ended.is_set()
    assert ended.is_set()


def test_what_a_client_that_has_gone_asked_for_is_dropped(served, digits):
    with Held(served) as held:
        first = threading.Thread(target=served.predict, args=("deepconvnet-mnist", digits[0]))
        first.start()
        assert held.begun.wait(10)
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(head("/v1/models/deepconvnet-mnist/predict", f"Content-Length: {len(digits[1])}") + digits[1])
            wait(lambda: waiting(served) == 1)
        wait(lambda: waiting(served) == 0)
    first.join()


def waiting(served):
    return len(served.app.state.models["deepconvnet-mnist"]._line._waiting)


def wait(until):
    end = time.monotonic() + 5
    while not until():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_room_in_memory_is_given_back_and_limited(served, digits):
    assert served.app.state.budget.held == 0
    served.app.state.budget.held = served.app.state.budget.most
    answer = served.predict("deepconvnet-mnist", digits[0])
    served.app.state.budget.held = 0
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_what_would_never_fit_is_not_told_to_come_again(served, digits, monkeypatch):
    def ask(*bodies):
        answer = served.json("deepconvnet-mnist", {"images": [base64.b64encode(body).decode() for body in bodies]})
        return answer.status_code, answer.text

    status, told = ask(*[digits[0]] * 5)
    assert status == 422
    assert "5 pictures, but only 4 may wait" in told
    assert ask(*[digits[0]] * 4)[0] == 200
    monkeypatch.setattr(served.app.state.models["deepconvnet-mnist"], "_most_together", 28 * 28 + 1)
    status, told = ask(digits[0], digits[1])
    assert status == 413
    assert "1,568 pixels together, allowed are 785" in told
    assert ask(digits[0])[0] == 200


def test_one_picture_within_the_limits_always_has_room(monkeypatch):
    monkeypatch.setattr("gipi.web.app.MOST_BYTES", 1)
    settings = Settings(("digitnet-tiny-mnist",), max_body_mb=2, max_megapixels=3)
    [one] = create(settings).state.models.values()
    assert one._most_together == settings.max_pixels
    with one.room([bomb(2000, 1500)]) as sizes:
        assert sizes == [3_000_000]


def test_packed_bodies_are_refused_and_not_misread(served, digits):
    path = "/v1/models/deepconvnet-mnist/predict"
    for packed, expected in {"gzip": 415, "br, gzip": 415, "identity": 200}.items():
        headers = {"content-type": "image/png", "content-encoding": packed}
        answer = served.client.post(path, content=digits[0], headers=headers)
        assert answer.status_code == expected, packed
    assert served.client.get("/healthz", headers={"content-encoding": "gzip"}).status_code == 200


def test_an_unforeseen_error_is_a_sentence_and_goes_to_the_log(served, digits, monkeypatch, caplog):
    monkeypatch.setattr("gipi.tasks.classifier.Classifier.frame", lambda *_: 1 / 0)
    answer = served.predict("deepconvnet-mnist", digits[0])
    assert (answer.status_code, answer.json()) == (500, {"detail": "something went wrong here; the service's log says what"})
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.setattr("gipi.tasks.classifier.Classifier.frame", lambda *_: exec("raise MemoryError"))
    assert served.predict("deepconvnet-mnist", digits[0]).status_code == 503


@pytest.mark.parametrize(
    "shown",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, b"Bearer \xe9\xff", "Bearer " + "x" * 9000],
)
def test_without_the_token_nothing_is_told(locked, shown):
    headers = {} if shown is None else {"authorization": shown}
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nowhere", "/play/deepconvnet-mnist"):
        answer = locked.client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
    assert locked.client.get("/healthz", headers=headers).status_code == 200


def test_with_the_token_and_from_any_name_all_is_told(locked, digits):
    headers = {"authorization": f"bearer {TOKEN}", "content-type": "image/png", "host": "models.example"}
    assert locked.client.post("/v1/models/deepconvnet-mnist/predict", content=digits[0], headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", 200), ("127.0.0.1:99", 200), ("[::1]:8000", 200), ("LOCALHOST", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("[::2]", 421), ("10.0.0.1", 421)],
)  # fmt: skip
def test_only_names_of_this_machine_are_answered_without_a_token(served, host, expected):
    assert served.client.get("/v1/models", headers={"host": host}).status_code == expected


def test_browsers_are_told_what_not_to_do(served):
    for path in ("/", "/v1/models", "/nowhere"):
        headers = served.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"port": 70000}, "--port is 70000, allowed are 0 to 65,535"),
        ({"deadline_s": 0.0}, "--deadline is 0.0"),
        ({"max_megapixels": float("nan")}, "--max-megapixels is nan"),
        ({"workers": 0}, "--workers is 0"),
        ({"token": "two words"}, "the token has a space"),
        ({"token": "schlüssel"}, "the token has a space"),
    ],
)
def test_settings_out_of_range_are_refused(values, told):
    with pytest.raises(ConfigError, match=told):
        Settings(**values)


def test_models_of_equal_names_are_refused():
    with pytest.raises(ConfigError, match="would both be called 'a'"):
        Settings(models=("x/a.safetensors", "runs/a")).names()


def test_a_picture_is_answered_whatever_came_before(served):
    blank = png([[0] * 28] * 28)
    for body in (b"", blank[:20], b"\x89PNG\r\n\x1a\n", blank + b"x", b"\xff\xd8\xff", b"BM" + bytes(60)):
        assert served.predict("deepconvnet-mnist", body).status_code == 422, body
