"""A thousand bad requests amid good load: python bench/abuse.py [--count 1000].

`gipi serve` with a token, four models and one worker, then two. Four good clients ask without a pause while the bad requests of
bench/bad_requests.py come twelve at a time, some of which only end when the service ends them. Memory is that of all processes of
the service, after a first siege of another 1,000 bad requests and after the measured one. Writes bench/results/abuse.json, and
ends with exit code 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from bad_requests import TOKEN, Report, bad, good_asks, siege
from common import RUNS, Row, row, write
from gipi.api import decide_place, find_model
from gipi.tasks.classifier import Classifier
from serving import MODEL, pictures, resident_mib, served

MODELS = (MODEL, "fcn-scenes", "dcgan-mnist", "dqn-catch")
WARM, STUCK = 1000, 12
FLAT = 10  # percent


def besieged(workers: int, count: int, seed: int) -> tuple[list[Row], list[str]]:
    """Rows, and what was wrong."""
    files = [file.read_bytes() for file in pictures(RUNS / "serving")[:40]]
    model = Classifier.load(find_model(MODEL), decide_place(device="cpu"))
    asks = good_asks(MODEL, files, [model.predict(file).label for file in files])
    token = RUNS / "token.txt"
    token.write_text(TOKEN)
    words = [sys.executable, "-m", "gipi", "serve", *MODELS, "--workers", str(workers), "--token-file", str(token)]
    with served(words, f"/v1/models/{MODEL}/predict", files[0], TOKEN) as (port, _, process):
        warm = asyncio.run(siege(port, bad(WARM, MODELS, seed + 1), asks))
        time.sleep(3)
        before, begun = resident_mib(process), time.perf_counter()
        report = asyncio.run(siege(port, bad(count, MODELS, seed, stuck_ones=STUCK), asks))
        spent = time.perf_counter() - begun
        time.sleep(3)
        after = resident_mib(process)
        again = asyncio.run(siege(port, [], asks))  # whether it still answers
    wrong = [*warm.wrong, *report.wrong, *again.wrong]
    if after > before * (1 + FLAT / 100):
        wrong.append(f"memory grew from {before:,.0f} to {after:,.0f} MiB")
    name = f"{workers} worker{'s' * (workers > 1)}"
    print(f"{name}: {told(report)}", flush=True)
    note = f"{count:,} bad requests, seed {seed}, {spent:.0f} s"
    return [
        row(f"{name}: bad requests treated wrongly", [float(len(report.wrong))], "requests", note=f"{note}; target 0"),
        row(f"{name}: good requests answered right", [float(report.good)], "requests", note="by 4 clients at the same time"),
        row(f"{name}: good requests asked again after 503", [float(report.refused)], "requests"),
        row(f"{name}: memory before", [before], "MiB", note=f"after {WARM} other bad requests"),
        row(f"{name}: memory after", [after], "MiB"),
        row(f"{name}: growth of memory", [100 * (after / before - 1)], "%", note=f"target {FLAT}"),
    ], wrong


def told(report: Report) -> str:
    statuses: Counter[int] = Counter()
    for (_, status), count in report.statuses.items():
        statuses[status] += count
    counts = ", ".join(f"{count} x {status or 'closed'}" for status, count in sorted(statuses.items()))
    return f"bad requests got {counts}; {report.good:,} good ones were answered, {report.refused} of them only after a 503"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], []
    for workers in asked.workers:
        more, found = besieged(workers, asked.count, asked.seed)
        rows, wrong = rows + more, wrong + found
    print("\n".join(f"WRONG: {sentence}" for sentence in wrong))
    write("abuse", rows)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
