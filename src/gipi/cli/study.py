"""gipi study."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gipi.cli.common import STOPPED, Json, parse, print_json


@dataclass(frozen=True)
class StudyArgs:
    """Check a claim of the textbook by a grid of small trainings: a table, a figure and a sentence for each claim."""

    name: Positional[Annotated[str, arg(help="the study (see: gipi list)", metavar="NAME")]]
    data: Annotated[str | None, arg(help="a data set instead of mnist, such as digits, which needs no network")] = None
    out: Annotated[Path | None, arg(help="the folder, runs/study-NAME if not given; what is done stays done")] = None
    json: Json = False


def study(argv: list[str]) -> int:
    args = parse(StudyArgs, "gipi study", argv)
    from gipi import lab

    outcome = lab.study(args.name, data=args.data, out=args.out, say=lambda line: print(line, file=sys.stderr, flush=True))
    if outcome.stopped:
        print(f"stopped, all saved; go on with: gipi study {shlex.join(argv)}", file=sys.stderr)
        return STOPPED[outcome.stopped]
    if outcome.done < outcome.total:
        left = outcome.total - outcome.done
        print(f"{left} of {outcome.total} trainings are with other processes: the last one writes the results", file=sys.stderr)
        return 0
    if args.json:
        print_json({"folder": str(outcome.folder), "trainings": outcome.total, "findings": outcome.findings})
        return 0
    print(*outcome.findings, sep="\n")
    print(*(f"{name:8}{outcome.folder / file}" for name, file in
            (("table", "table.md"), ("figure", "figure.png"), ("report", "report.html"))), sep="\n")  # fmt: skip
    return 0
