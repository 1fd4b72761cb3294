"""What `gipi plan --device here` predicts against what a training takes: python bench/plan.py [--write | --check].

Peak memory and the median time of a step of five nets and two more, each in a process of its own: real steps of the engine on
random images, float32, momentum. The machine is measured anew before each net, since its speed drifts; nothing is fitted to a
net. Without a flag this is measured and bench/results/plan.json written; --write fills the table of docs/plan.md from that file,
between `<!-- plan -->` and `<!-- end -->`; with --check nothing is written, and a difference is exit code 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from common import RESULTS, ROOT, read, row, write

NETS = {"deepconvnet": 100, "resnet18": 8, "mobilenet-v2": 8, "resnet50": 8, "vgg11": 4}  # images in a batch
# Nets on which the constant that the heap takes (HELD of plan/here.py) was not chosen.
OTHERS = {"googlenet": 8, "digitnet": 100}
STEPS, WARM = 9, 2
PAGE = ROOT / "docs" / "plan.md"
HEAD = "| net | images | memory, measured | predicted | off by | step, measured | predicted | off by |"
RULE = "|---|--:|--:|--:|--:|--:|--:|--:|"


def measure(name: str, batch: int) -> dict[str, list[float]]:
    """GiB at the peak and milliseconds of each step of a training in this process."""
    import torch
    from torch.nn import functional as F

    import gipi.api  # noqa: F401  # as every training does
    from gipi import catalog
    from gipi.config import OptimConfig
    from gipi.engine.optim import Optim
    from gipi.engine.place import decide_place
    from gipi.models.kinds import build_net
    from gipi.plan.here import peak_resident

    place = decide_place(device="cpu", precision="fp32")
    net = place.put_net(build_net(name, {}).train())
    optim = Optim(net, OptimConfig("momentum", lr=1e-3), place, STEPS + WARM)
    images = place.put_images(torch.rand(batch, *catalog.NETS[name].input))
    labels = torch.randint(0, 10, (batch,))
    times = []
    for _ in range(STEPS + WARM):
        start = time.perf_counter()
        optim.minimize(lambda part: (F.cross_entropy(net(part).float(), labels), batch, {}), images)
        times.append(1e3 * (time.perf_counter() - start))
    return {"memory": [peak_resident() / 2**30], "step": times[WARM:]}


def apart(name: str, batch: int) -> dict[str, list[float]]:
    """`measure` in a process of its own."""
    words = [sys.executable, __file__, "measure", name, str(batch)]
    return json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def run() -> None:
    import torch

    from gipi import catalog
    from gipi.config import NetConfig, OptimConfig
    from gipi.engine.place import decide_place
    from gipi.plan.here import here
    from gipi.plan.memory import memory
    from gipi.plan.roofline import times
    from gipi.plan.trace import trace

    place, rule, rows = decide_place(device="cpu", precision="fp32"), OptimConfig("momentum"), []
    for name, batch in {**NETS, **OTHERS}.items():
        device = here(place)
        net = trace(NetConfig(name), catalog.NETS[name].input, torch.float32)
        step = times(net.step(batch), device, "fp32", rule="momentum", averaged=False, weights=net.weights).step
        predicted = {"memory": memory(net, batch, rule, device).total / 2**30, "step": 1e3 * step}
        measured = apart(name, batch)
        for what, unit in (("memory", "GiB"), ("step", "ms")):
            label = f"{name}, batch {batch}: {what}"
            done = row(label, measured[what], unit)
            rows += [done, row(f"{label}, predicted", [predicted[what]], unit)]
            print(f"{label}: predicted {predicted[what] / done['value'] - 1:+.1%}", file=sys.stderr, flush=True)
    write("plan", rows)


def table() -> str:
    """Markdown, a line a net; targets are 15 % for memory and 30 % for time."""
    if not (RESULTS / "plan.json").exists():
        return "Not measured yet: python bench/plan.py"
    results = read("plan")
    values = {one["name"]: one["value"] for one in results["results"]}
    lines = [f"On {results['hardware']}, float32. Targets: memory within 15 %, time within 30 %.\n", HEAD, RULE]
    for name, batch in {**NETS, **OTHERS}.items():
        cells = [f"`{name}`" + (" *" if name in OTHERS else ""), str(batch)]
        for what, unit, digits in (("memory", "GiB", 2), ("step", "ms", 0)):
            label = f"{name}, batch {batch}: {what}"
            measured, predicted = values[label], values[f"{label}, predicted"]
            cells += [
                f"{measured:,.{digits}f} {unit}",
                f"{predicted:,.{digits}f} {unit}",
                f"{100 * (predicted / measured - 1):+.1f} %",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def fill(check: bool) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- plan -->\n")
    _, end, after = rest.partition("<!-- end -->")
    new = before + start + table() + "\n" + end + after
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    elif new != text:
        sys.exit(f"{PAGE.name} is not what bench/results/plan.json says: run python bench/plan.py --write")


def main() -> None:
    match sys.argv[1:]:
        case []:
            run()
        case ["measure", name, batch]:
            print(json.dumps(measure(name, int(batch))))
        case ["--write"] | ["--check"] as flags:
            fill(flags == ["--check"])
        case words:
            sys.exit(f"unknown {' '.join(words)}: python bench/plan.py [--write | --check]")


if __name__ == "__main__":
    main()
