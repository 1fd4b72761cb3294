"""Run the studies and keep their outcome: python bench/studies.py [NAME...]. Started twice, the processes share the trainings.

Writes bench/results/study_NAME.json, docs/images/study-NAME.png and, from all studies kept so far, the tables of docs/studies.md.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path

from common import RESULTS, ROOT, RUNS, row, write
from gipi.lab import study
from gipi.studies import STUDIES

PAGE = ROOT / "docs" / "studies.md"


def section(name: str) -> str:
    """What a study found, as Markdown; nothing for one that has not been run."""
    path = RESULTS / f"study_{name}.json"
    if not path.exists():
        return f"Not run yet: `gipi study {name}`."
    outcome = json.loads(path.read_text())
    machine = f"{outcome['machine']['cores']} cores, {outcome['machine']['cpu']}"
    findings = "\n".join(f"- {sentence}" for sentence in outcome["findings"])
    return f"{findings}\n\n![{outcome['about']}](images/study-{name}.png)\n\n{outcome['table']}\nOn {machine}."


def page(text: str) -> str:
    """The text of docs/studies.md with what stands between its markers made new."""
    return re.sub(r"(<!-- study (\w+) -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{section(m[2])}\n{m[3]}", text, flags=re.DOTALL)


def minutes(folder: Path) -> float:
    """From the start of the first training to the end of the last."""

    def times(file: str) -> list[datetime]:
        return [datetime.fromisoformat(json.loads(path.read_text())["time"]) for path in folder.glob(f"*/{file}")]

    return (max(times("end.json")) - min(times("env.json"))).total_seconds() / 60


def main() -> None:
    for name in sys.argv[1:] or list(STUDIES):
        folder = RUNS / f"study-{name}"
        outcome = study(name, out=folder, say=lambda line: print(line, flush=True))
        if not outcome.findings:
            print(f"{name}: {outcome.done} of {outcome.total} trainings are done; stopped, or another process is at the others")
            continue
        result = json.loads((folder / "study.json").read_text()) | {"table": (folder / "table.md").read_text()}
        (RESULTS / f"study_{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        shutil.copy(folder / "figure.png", ROOT / "docs" / "images" / f"study-{name}.png")
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        write(
            "study_time",
            [row(name, [minutes(folder)], "min", note=f"{outcome.total} trainings, first start to last end")],
            keep=True,
        )
        print(*outcome.findings, sep="\n")


if __name__ == "__main__":
    main()
