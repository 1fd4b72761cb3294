"""One measurement in a process of its own: `python -m gipi.bench.worker JSON` prints one line of JSON.

Threads and allocator are settings of a process, and its peak memory is the measurement's alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from gipi.errors import GipiError, RunError

WAIT_S = 3600  # that a measurement may take
LONGEST = 300  # characters of an error that are shown
OURS = "gipi: "  # what a line with an error of ours begins with


def in_process(job: dict[str, Any], *, processes: int = 1) -> dict[str, Any]:
    """What `JOBS[job["job"]]` answers in a fresh process, or in several that train together, as their first one says it.

    Raises RunError, with the end of what it said, if it fails.
    """
    command = [sys.executable, "-m"]
    environ = dict(os.environ)
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        environ.setdefault("OMP_NUM_THREADS", "1")  # what torchrun would say at length; the place decides the threads
    command += ["gipi.bench.worker", json.dumps(job)]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"the measurement {job['job']!r} took more than {WAIT_S} s: take fewer --steps or a smaller net"
        ) from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        ours = next((line for line in reversed(said) if line.startswith(OURS)), said[-1])  # torchrun says much after it
        raise RunError(f"the measurement {job['job']!r} failed: {ours.removeprefix(OURS)[:LONGEST]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Do the job on the command line. An error of ours is said in one line."""
    from gipi.bench.jobs import JOBS

    job = json.loads(sys.argv[1])
    name = job.pop("job")
    started = time.perf_counter()
    try:
        answer = JOBS[name](**job)
    except GipiError as error:
        sys.exit(f"{OURS}{error}")
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps({**answer, "wall_s": round(time.perf_counter() - started, 3)}))


if __name__ == "__main__":
    main()
