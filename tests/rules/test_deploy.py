"""What docs/deploy.md and deploy/ tell people to run would run: options exist, files are there, the unit and the health check work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gipi.cli.serve import ServeArgs
from gipi.web.settings import Settings

ROOT = Path(__file__).parents[2]
UNIT, CONTAINER, PAGE = ROOT / "deploy" / "gipi.service", ROOT / "deploy" / "Containerfile", ROOT / "docs" / "deploy.md"
FLAGS = {f"--{field.name.replace('_', '-')}" for field in fields(ServeArgs)}
OTHERS = {
    "--data-binary",
    "--read-only",
    "--tmpfs",
    "--cap-drop",
    "--security-opt",
    "--memory",
    "--now",
    "--format",
}  # curl's, podman's ...


@pytest.mark.parametrize("path", [UNIT, CONTAINER, PAGE], ids=lambda path: path.name)
def test_every_option_exists(path: Path):
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", re.sub(r"(?m)^(RUN|COPY|HEALTHCHECK| &&).*", "", path.read_text())))
    assert used & FLAGS
    assert used <= FLAGS | OTHERS, used - FLAGS - OTHERS


def test_limits_of_the_page_are_the_defaults():
    text, settings = PAGE.read_text(encoding="utf-8"), Settings()
    said = {name: float(value) for name, value in re.findall(r"\| `--([a-z-]+)` ([\d.]+)", text)}
    assert said == {
        "max-body-mb": settings.max_body_mb,
        "max-megapixels": settings.max_megapixels,
        "queue": settings.queue,
        "deadline": settings.deadline_s,
    }
    from gipi.web import app, connection

    assert f"| {connection.HEAD_S:g} s, {connection.BODY_S:g} s | 408" in text
    assert f"| {app.MOST_BYTES // 10**6} MB | 503" in text
    assert f"| connections | {connection.CONNECTIONS:,} | 503" in text


def test_numbers_of_the_page_are_told_by_the_service():
    from gipi.web.metrics import Metrics

    metrics = Metrics()
    metrics.request("/", "a", 200, 0.1)
    metrics.batch("a", 2)
    metrics.queue("a", 1)
    told = metrics.text().decode()
    names = re.findall(r"^\| `(\w+)\{([\w,]+)\}", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(names) == 4
    for name, labels in names:
        [line] = [line for line in told.splitlines() if line.startswith(f"{name}{{")][:1]
        assert set(labels.split(",")) <= set(re.findall(r"(\w+)=", line))


def test_the_unit_is_one(tmp_path: Path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "gipi.service"
    text, count = re.subn(r"ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    assert count == 1
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True)
    exposure = re.search(r"Overall exposure level for \S+ ([\d.]+)", done.stdout)
    if exposure:  # systemd below 250 cannot tell without running it
        assert float(exposure[1]) < 2


def test_the_unit_waits_for_what_has_begun():
    unit = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"\w+=", line))
    deadline = re.search(r"--deadline (\d+)", unit["ExecStart"])
    assert deadline
    assert int(unit["TimeoutStopSec"]) > int(deadline[1]) + 2
    assert (unit["KillSignal"], unit["KillMode"], unit["SuccessExitStatus"]) == ("SIGTERM", "mixed", "143")
    assert "token" not in re.sub(r"--token-file %d/token", "", unit["ExecStart"])  # where everybody could read it


def test_the_container_copies_what_is_there():
    text = CONTAINER.read_text()
    copied = [name for line in re.findall(r"(?m)^COPY (?!--from)(.+)", text) for name in line.split()[:-1]]
    assert {"pyproject.toml", "src"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
    named = re.findall(r'(?m)^(?:readme|license-files) = .*?"(.+?)"', (ROOT / "pyproject.toml").read_text())
    assert set(named) <= set(copied)  # without them the package cannot be built
    extras = re.search(r'"\.\[([\w,]+)\]"', text)
    assert extras
    for extra in extras[1].split(","):
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    assert "\nUSER 10001" in text


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_tells_ready_from_not_ready(status: int):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said = re.search(r"HEALTHCHECK .*\\\n\s*CMD (\[.*\])", CONTAINER.read_text())
    assert said
    _, *words = json.loads(said[1])
    words = [word.replace(":8000", f":{server.server_port}") for word in words]
    done = subprocess.run([sys.executable, *words], capture_output=True)
    server.shutdown()
    server.server_close()
    assert done.returncode == (0 if status == 200 else 1), shlex.join(words)
