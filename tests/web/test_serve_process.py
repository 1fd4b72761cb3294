"""gipi serve as people start it: what it prints, how it drains and ends, several workers, what it refuses."""

import asyncio
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import gipi
from gipi import catalog
from gipi.cli.serve import serve
from gipi.errors import ConfigError, DeviceError, GipiWarning, RunError, WeightsError
from gipi.web.settings import Settings

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
running = pytest.importorskip("gipi.web.running")


@contextmanager
def started(tmp_path, *words, **environment):
    """(the process, its address, the file of what it says), once it is ready."""
    said = tmp_path / "said.txt"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path), **environment}
    with open(said, "w") as file:
        process = subprocess.Popen([sys.executable, "-m", "gipi", "serve", *words, "--port", "0"], stderr=file, env=env)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < until
            if found := re.search(r"http://127.0.0.1:\d+", said.read_text()):
                try:
                    if httpx.get(f"{found[0]}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
            time.sleep(0.05)
        yield process, found[0], said
    finally:
        process.kill()
        process.wait()


def test_what_has_begun_is_answered_after_sigterm_and_nothing_else(tmp_path, digits):
    with started(tmp_path, "deepconvnet-mnist") as (process, address, said):
        port = int(address.rpartition(":")[2])
        head = f"POST /v1/models/deepconvnet-mnist/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(digits[0])}\r\n\r\n"
        idle = socket.create_connection(("127.0.0.1", port))
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(head.encode() + digits[0][:40])
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            assert idle.recv(10) == b""  # closed, as nothing was asked there
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            line.sendall(digits[0][40:])
            answer = line.recv(65536)
        assert b"200 OK" in answer
        assert b"connection: close" in answer
        assert b'"label"' in answer
        assert process.wait(10) == 143
        assert "serves deepconvnet-mnist (classify)" in said.read_text()
        assert "Traceback" not in said.read_text()
        idle.close()


def test_workers_share_the_work_and_their_numbers_are_summed(tmp_path, digits):
    with started(tmp_path, "deepconvnet-mnist", "--workers", "2", GIPI_TOKEN="hidden") as (process, address, said):
        headers = {"authorization": "Bearer hidden", "content-type": "image/png"}

        def ask(digit):
            return httpx.post(f"{address}/v1/models/deepconvnet-mnist/predict", content=digit, headers=headers).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, digits)) == {200}
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(workers) >= 2
        assert not any(b"hidden" in Path(f"/proc/{worker}/cmdline").read_bytes() for worker in workers)
        told = httpx.get(f"{address}/metrics", headers=headers).text
        counts = re.findall(r'gipi_requests_total\{model="deepconvnet-mnist",route="[^"]+",status="200"\} ([\d.]+)', told)
        assert [float(count) for count in counts] == [len(digits)]
        assert 'gipi_waiting{model="deepconvnet-mnist"} 0.0' in told
        assert list(tmp_path.glob("gipi-serve-*/*.db"))
        assert said.read_text().count("deepconvnet-mnist: answered by ") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
        assert not list(tmp_path.glob("gipi-serve-*"))
        assert "Traceback" not in said.read_text()


@pytest.mark.parametrize(
    ("model", "how", "error", "told"),
    [
        ("deepconvnet-mnis", {"host": "no.such.host.example"}, WeightsError, "did you mean 'deepconvnet-mnist'"),
        ("deepconvnet-mnist", {"host": "no.such.host.invalid"}, ConfigError, "--host no.such.host.invalid is no address"),
        ("deepconvnet-mnist", {"host": "192.0.2.1"}, ConfigError, "choose another with --host and --port"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_is(model, how, error, told):
    with pytest.raises(error, match=told):
        gipi.serve([model], port=0, **how)


def test_an_address_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1, port {port}: Address already in use"):
            gipi.serve(["deepconvnet-mnist"], port=port)


def test_a_service_that_others_can_reach_without_a_token_is_warned_of(monkeypatch):
    monkeypatch.setattr("gipi.web.running.one", lambda settings, listener: "SIGTERM")
    with pytest.warns(GipiWarning, match="no token keeps them from asking"):
        assert gipi.serve(["deepconvnet-mnist"], host="0.0.0.0", port=0) == "SIGTERM"


def test_where_no_service_can_run_is_told(monkeypatch):
    with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigError, match="needs the main thread to itself"):
        pool.submit(gipi.serve, "digitnet-mnist", port=0).result()

    async def within() -> None:
        gipi.serve("digitnet-mnist", port=0)

    with pytest.raises(ConfigError, match="needs the main thread to itself"):
        asyncio.run(within())
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(ConfigError, match="if __name__ == '__main__'"):
        gipi.serve("digitnet-mnist", port=0, workers=2)


def test_one_model_need_not_be_in_a_list(monkeypatch):
    monkeypatch.setattr("gipi.web.running.one", lambda settings, listener: ",".join(settings.models))
    assert gipi.serve("digitnet-mnist", port=0) == "digitnet-mnist"


def test_what_the_models_of_workers_lack_is_told_without_a_traceback(capfd):
    with pytest.raises(RunError, match="the models could not be loaded"):
        running.several(Settings(("nothing.safetensors",), workers=2), None)
    said = capfd.readouterr().err
    assert said.startswith("gipi: ")
    assert "Traceback" not in said


class Ended:
    """A worker of which the supervisor has found that it has gone."""

    pid = 17


def test_of_a_worker_that_has_gone_nothing_waits_any_more(tmp_path, monkeypatch):
    monkeypatch.setenv(running.FOLDER, str(tmp_path))
    monkeypatch.setattr(
        "uvicorn.supervisors.multiprocess.Multiprocess.keep_subprocess_alive", lambda each: each.processes.clear()
    )
    for name in ("gauge_livesum_17.db", "gauge_livesum_18.db", "counter_17.db"):
        (tmp_path / name).touch()
    supervisor = running.Supervisor.__new__(running.Supervisor)
    supervisor.processes = [Ended()]
    supervisor.keep_subprocess_alive()
    assert {file.name for file in tmp_path.iterdir()} == {"gauge_livesum_18.db", "counter_17.db"}


def test_who_comes_while_workers_drain_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        supervisor = running.Supervisor.__new__(running.Supervisor)
        supervisor.sockets, supervisor.processes = [listener], []
        supervisor.join_all()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("gipi.web.server.PARTS", ("fastapi", "no_such_package"))
    with pytest.raises(DeviceError, match=r"needs no_such_package: pip install gipi\[serve\]"):
        gipi.serve(["deepconvnet-mnist"])


def test_a_token_is_read_from_a_file(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr("gipi.web.server.serve", lambda models, **how: seen.update(how) or "SIGINT")
    (tmp_path / "token").write_text("secret\n")
    assert serve(["digitnet-mnist", "--token-file", str(tmp_path / "token"), "--deadline", "3"]) == 130
    assert (seen["token"], seen["deadline_s"]) == ("secret", 3)
    for name, told in (("none", "cannot be read"), ("empty", "is empty")):
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(ConfigError, match=told):
            serve(["--token-file", str(tmp_path / name)])


def test_without_models_all_that_can_run_here_are_served(monkeypatch):
    assert set(Settings().names()) == set(catalog.SHIPPED)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(Settings().names()) == set(catalog.SHIPPED) - {"dqn-pong"}
