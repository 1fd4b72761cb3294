"""Several processes by the command line: they are one training, outlive the death of one of them, stop together, and span machines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gipi.engine.machine import cores
from oracle.ranks import free_port

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX"),
    pytest.mark.skipif(cores() < 2, reason="two processes need two cores"),
]
FLAGS = [
    "--epochs",
    "3",
    "--data.limit",
    "360",
    "--data.batch",
    "40",
    "--net",
    "digitnet-tiny",
    "--device",
    "cpu",
    "--precision",
    "fp32",
    "--threads",
    "1",
]
GIPI = [sys.executable, "-m", "gipi"]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD", "LOCAL_", "MASTER_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}


def gipi(*words: str | Path, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    command = [*GIPI, *map(str, words)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=timeout_s)


def train(out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return gipi("train", "deepconvnet-digits", *FLAGS, *flags, "--out", out)


def rows(run: Path) -> list[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
    )


def workers(parent: int) -> list[int]:
    """The processes that train, of the launcher `parent`, by rank."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"gipi.tasks.together" in words and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(
                        (
                            int(
                                dict(v.split(b"=", 1) for v in (entry / "environ").read_bytes().split(b"\0") if b"=" in v)[
                                    b"RANK"
                                ]
                            ),
                            int(entry.name),
                        )
                    )
            except (OSError, KeyError):
                continue
    return [pid for _, pid in sorted(found)]


def wait_for(what: Any, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing happens to."""
    out = tmp_path_factory.mktemp("straight") / "run"
    done = train(out, "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test accuracy")
    assert "process 1 of 2" in json.loads((out / "env.json").read_text())["place"]
    return out


def same_weights(left: Path, right: Path) -> bool:
    first, second = (load_file(run / "model.safetensors") for run in (left, right))
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_killed_process_is_replaced_and_the_training_ends_as_if_nothing_had_been(straight: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = [*GIPI, "train", "deepconvnet-digits", *FLAGS, "--processes", "2", "--max-restarts", "2", "--out", str(out)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (out / "state-0.pt").exists())
        os.kill(workers(process.pid)[1], signal.SIGKILL)
        printed, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert printed.startswith("test accuracy")
    assert same_weights(out, straight)
    steps = [(row["split"], row["step"]) for row in rows(out)]
    assert steps == [(row["split"], row["step"]) for row in rows(straight)], "rows are neither lost nor double"


@pytest.mark.slow
def test_without_a_restart_a_killed_process_ends_the_training_with_a_word_on_how_to_go_on(straight: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = [*GIPI, "train", "deepconvnet-digits", *FLAGS, "--processes", "2", "--out", str(out)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (out / "state-0.pt").exists())
        os.kill(workers(process.pid)[1], signal.SIGKILL)
        _, said = process.communicate(timeout=240)
    assert process.returncode == 1
    assert f"go on from the last saved state with: gipi train --resume {out}" in said
    assert "Traceback" not in said
    done = gipi("train", "--resume", out)
    assert done.returncode == 0, done.stderr
    assert same_weights(out, straight)


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_a_signal_stops_all_of_them_saved(straight: Path, tmp_path: Path, name: str):
    out = tmp_path / "run"
    command = [*GIPI, "train", "deepconvnet-digits", *FLAGS, "--processes", "2", "--out", str(out)]
    # A shell in the background lets SIGINT be ignored by what it starts.
    restore = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=restore
    ) as process:
        wait_for(lambda: len(rows(out)) > 2)
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=240)
    assert process.returncode == {"SIGTERM": 143, "SIGINT": 130}[name], said
    assert f"go on with: gipi train --resume {out}" in said
    assert json.loads((out / "end.json").read_text())["status"] == "stopped"
    done = gipi("train", "--resume", out)
    assert done.returncode == 0, done.stderr
    assert same_weights(out, straight)


@pytest.mark.slow
def test_torchrun_starts_the_same_training_and_a_second_time_finds_it_done(straight: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gipi", "train",
               "deepconvnet-digits", *FLAGS, "--out", str(out)]  # fmt: skip
    for _ in range(2):
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("test accuracy") == 1, "the first process alone speaks"
        assert same_weights(out, straight)


@pytest.mark.slow
def test_sharded_training_by_the_command_line(tmp_path: Path):
    out = tmp_path / "run"
    done = train(out, "--processes", "2", "--shard", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert (out / "report.html").exists()
    assert gipi("eval", out, "--data", "digits").returncode == 0


# --- bad input


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--processes", "1000"], "1000 processes, but this machine has"),
        (["--shard"], "--shard is for several processes"),
        (["--max-restarts", "1"], "--max-restarts 1 is for several processes that gipi starts"),
        (["--processes", "2", "--members", "2"], "need not talk to each other"),
        (["--processes", "2", "--shard", "--precision", "bf16"], "--shard on a CPU computes in fp32"),
        (["--precision", "fp16"], "no unit for fp16"),
        (["--processes", "2", "--data.batch", "1"], "a batch of 1 for 2 processes"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, flags: list[str], words: str):
    if "fp16" in flags and torch.cpu._is_amx_fp16_supported():
        pytest.skip("this CPU computes in fp16")
    done = train(tmp_path / "run", *flags)
    assert done.returncode in (1, 2), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_unreachable_rendezvous_is_named(tmp_path: Path):
    port = free_port()
    alone = {**environment(), "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [*GIPI, "train", "deepconvnet-digits", *FLAGS, "--timeout-s", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert f"no rendezvous at 127.0.0.1:{port} (MASTER_ADDR:MASTER_PORT) within 2 s" in done.stderr
    assert not (tmp_path / "run").exists()


# --- two machines


def _ip(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *words], capture_output=True, timeout=20)


@pytest.fixture
def hosts() -> Iterator[list[list[str]]]:
    """How to run a command on either of two hosts: network namespaces joined by a cable, a veth pair."""
    if not shutil.which("ip"):
        pytest.skip("no command ip (iproute2) to make network namespaces with")
    names = [f"gipi-{os.getpid()}-{side}" for side in "ab"]
    cable = [f"g{os.getpid() % 100000}{side}" for side in "ab"]
    try:
        made = [_ip("netns", "add", name) for name in names] + [
            _ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
        ]
        if any(done.returncode for done in made):
            pytest.skip(
                f"network namespaces cannot be made here: {made[-1].stderr.decode().strip() or made[0].stderr.decode().strip()}"
            )
        for number, (name, end) in enumerate(zip(names, cable, strict=True), 1):
            _ip("link", "set", end, "netns", name)
            for words in (
                ["addr", "add", f"10.77.0.{number}/24", "dev", end],
                ["link", "set", end, "up"],
                ["link", "set", "lo", "up"],
            ):
                assert _ip("-n", name, *words).returncode == 0
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            _ip("netns", "del", name)
        _ip("link", "del", cable[0])


@pytest.mark.slow
def test_two_hosts_train_one_net(hosts: list[list[str]], straight: Path, tmp_path: Path):
    out, port = tmp_path / "run", free_port()
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d",
               "--rdzv-endpoint", f"10.77.0.1:{port}", "--rdzv-id", "gipi", "-m", "gipi", "train", "deepconvnet-digits", *FLAGS,
               "--out", str(out)]  # fmt: skip
    started = []
    for number, host in enumerate(hosts, 1):
        interface = {"GLOO_SOCKET_IFNAME": f"g{os.getpid() % 100000}{'ab'[number - 1]}"}
        extra = ["--local-addr", f"10.77.0.{number}", "--rdzv-conf", f"is_host={number == 1}"]
        words = [*host, *command[:3], *extra, *command[3:]]
        started.append(
            subprocess.Popen(words, env={**environment(), **interface}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    outcomes = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], outcomes
    assert same_weights(out, straight)
