"""Requests a second of `gipi serve` beside LitServe, first answers and memory: python bench/serving.py [--seconds 60].

DeepConvNet on loopback, 64 clients at once, each with a connection that it keeps, asked by wrk (`apt install wrk`) with pictures
of 28x28 digits. LitServe serves the same model by the same functions (bench/peers/litserve_server.py), in an environment of its
own, runs/bench/litserve-venv, with the same FastAPI and uvicorn. Its settings are tried first, and the fastest counts. Both have
to give the same answers. Then they are measured by turns, each in a fresh process. Writes bench/results/serving.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import gipi
from common import ROOT, RUNS, row, write
from gipi.ops.digit import frame_digit
from peers import environment_of_peers

MODEL = "deepconvnet-mnist"
CLIENTS, PICTURES, STARTS = 64, 100, 5
TARGET, LIMIT_MS, FIRST_S = 2.0, 100, 4
OURS = {f"gipi, {count} worker{'s' * (count > 1)}": ["--workers", str(count)] for count in (1, 2)}
PEER = ROOT / "bench" / "peers" / "litserve_server.py"
TRIES: tuple[dict[str, int], ...] = (
    {"wait-ms": 0, "workers": 1, "servers": 1},
    {"wait-ms": 5, "workers": 1, "servers": 1},
    {"wait-ms": 0, "workers": 2, "servers": 2},
    {"wait-ms": 0, "workers": 1, "servers": 2},
    {"wait-ms": 0, "workers": 1, "servers": 1, "fast-queue": 1},  # ZeroMQ in place of multiprocessing's queues
)
Answer = dict[str, Any]


def pictures(folder: Path) -> list[Path]:
    """PNG files of digits that are framed as MNIST's are."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for image in gipi.load_images("digits", "test").images[:, 0]:
        picture = Image.fromarray(image.numpy())
        if len(files) < PICTURES and torch.equal(frame_digit(picture)[0], image):
            files.append(folder / f"{len(files)}.png")
            picture.save(files[-1])
    return files


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(words: Sequence[str], path: str, body: bytes, token: str = "") -> Iterator[tuple[int, float, int]]:
    """A service started with `--port` and ended afterwards: (port, seconds from its start to the first answer, process)."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"PYTHONPATH": str(ROOT / "src")}
    with open(RUNS / "serving.log", "ab") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*words, "--port", str(port)], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while ask(port, path, body, token) is None:
                if process.poll() is not None or time.perf_counter() - begun > 120:
                    sys.exit(f"{' '.join(words)} gives no answer: see {log.name}")
                time.sleep(0.005)
            yield port, time.perf_counter() - begun, process.pid
        finally:
            process.send_signal(signal.SIGINT if PEER.name in " ".join(words) else signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind of its own
            process.wait()


def ask(port: int, path: str, body: bytes, token: str = "") -> Answer | None:
    """The answer for a picture; None while there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "image/png", "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def resident_mib(leader: int) -> float:
    """Of a process and all that it started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {leader}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family) * os.sysconf("SC_PAGE_SIZE") / 2**20


def load(port: int, path: str, seconds: float, files: Sequence[Path]) -> dict[str, float]:
    address = f"http://127.0.0.1:{port}{path}"
    words = ["wrk", "--threads", "1", "--connections", str(CLIENTS), "--duration", f"{seconds:g}s", "--timeout", "30s"]
    done = subprocess.run(
        [*words, "--script", str(ROOT / "bench" / "serving.lua"), address, "--", *map(str, files)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def ours(options: Sequence[str]) -> tuple[list[str], str]:
    return [sys.executable, "-m", "gipi", "serve", MODEL, *options], f"/v1/models/{MODEL}/predict"


def theirs(python: str, setting: dict[str, int]) -> tuple[list[str], str]:
    words = [word for name, value in setting.items() if name != "fast-queue" for word in (f"--{name}", str(value))]
    return [python, str(PEER), "--model", MODEL, *words, *(["--fast-queue"] if "fast-queue" in setting else [])], "/predict"


def check_equal(answers: dict[str, list[Answer]]) -> None:
    """Whether every contender says the same of every picture. bf16 and batches of other sizes move a score a little."""
    first = next(iter(answers.values()))
    for name, rows in answers.items():
        for one, other in zip(first, rows, strict=True):
            if one["label"] != other["label"] or abs(one["score"] - other["score"]) > 5e-3:
                sys.exit(f"{name} answers otherwise: {other} in place of {one}")


def turn(words: list[str], path: str, seconds: float, files: Sequence[Path]) -> dict[str, Any]:
    """A fresh service, its answers one by one, and what it does under load."""
    bodies = [file.read_bytes() for file in files]
    with served(words, path, bodies[0]) as (port, _, process):
        load(port, path, min(5, seconds), files)  # all workers warm, the runtime chosen
        before = resident_mib(process)
        measured = load(port, path, seconds, files)
        after = resident_mib(process)
        rows = [ask(port, path, body) for body in bodies]
    rows = [answer["predictions"][0] if answer and "predictions" in answer else answer for answer in rows]
    return {**measured, "rate": measured["requests"] / measured["seconds"], "before": before, "after": after, "rows": rows}


def best_of_litserve(python: str, seconds: float, files: Sequence[Path]) -> dict[str, int]:
    rates: list[tuple[float, dict[str, int]]] = []
    for setting in TRIES:
        found = turn(*theirs(python, setting), seconds, files)
        rates.append((found["rate"], setting))
        print(f"LitServe {setting}: {found['rate']:,.0f} requests/s, p99 {found['p99_ms']:.0f} ms", flush=True)
    return max(rates, key=lambda pair: pair[0])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--try-seconds", type=float, default=6, help="of load for each setting of LitServe")
    parser.add_argument("--alone", action="store_true", help="gipi only, and write nothing")
    asked = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("this bench asks by wrk, which is not installed: apt install wrk")
    RUNS.mkdir(parents=True, exist_ok=True)
    files = pictures(RUNS / "serving")
    contenders = {name: ours(options) for name, options in OURS.items()}
    note = f"{CLIENTS} clients, {asked.seconds:g} s a turn, {asked.rounds} turns"
    if not asked.alone:
        python = environment_of_peers("litserve.txt", "litserve-venv")
        setting = best_of_litserve(python, asked.try_seconds, files)
        contenders["LitServe"] = theirs(python, setting)
        said = ", ".join(f"{name} {value}" for name, value in {"max-batch": 64, "threads": 1, **setting}.items())
        print(f"LitServe's best of {len(TRIES)} settings: {said}", flush=True)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(asked.rounds):
        for name, (words, path) in contenders.items():
            found[name].append(turn(words, path, asked.seconds, files))
            last = found[name][-1]
            print(f"{name}: {last['rate']:,.0f} requests/s, p99 {last['p99_ms']:.1f} ms, {last['errors']:g} errors", flush=True)
    check_equal({name: turns[-1]["rows"] for name, turns in found.items()})
    starts = []
    for _ in range(STARTS):
        with served(*ours([]), files[0].read_bytes()) as (_, seconds, _):
            starts.append(seconds)
    rows = []
    for name, turns in found.items():
        told = f"{note}; best of {len(TRIES)} settings: {said}" if name == "LitServe" else note
        rows += [
            row(name, [each["rate"] for each in turns], "requests/s", note=told),
            row(f"{name}: p50", [each["p50_ms"] for each in turns], "ms"),
            row(f"{name}: p99", [each["p99_ms"] for each in turns], "ms", note=f"target {LIMIT_MS}"),
            row(
                f"{name}: errors",
                [each["errors"] for each in turns],
                "requests",
                note=f"of {sum(e['requests'] for e in turns):,}",
            ),
            row(f"{name}: memory before", [each["before"] for each in turns], "MiB", note="resident, of all its processes"),
            row(f"{name}: memory after", [each["after"] for each in turns], "MiB"),
        ]
    rows.append(row("first answer", starts, "s", note=f"process start to the first answer to a picture; target {FIRST_S}"))
    for name in OURS if not asked.alone else ():
        ratios = [mine["rate"] / other["rate"] for mine, other in zip(found[name], found["LitServe"], strict=True)]
        rows.append(row(f"{name}, over LitServe", ratios, "x", note=f"target {TARGET:g}"))
    if asked.alone:
        print(*(f"{line['name']:34} {line['value']:>10,.2f} {line['unit']}" for line in rows), sep="\n")
    else:
        write("serving", rows)


if __name__ == "__main__":
    main()
