"""The playground in a browser: drawn digits that DeepConvNet reads, from stroke to answer, weight of the page."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from typing import Any

from playwright.sync_api import sync_playwright

from common import ROOT, row, write
from strokes import DIGITS, Stroke, varied

CHROMIUM = "/usr/bin/chromium"
MODEL = "deepconvnet-mnist"
WAYS = 3
WATCH = """() => {
  window.bench = { lifted: 0, shown: 0 };
  document.querySelector(".sheet").addEventListener("pointerup", () => { bench.lifted = performance.now(); });
  new MutationObserver(() => { bench.shown = performance.now(); }).observe(document.querySelector(".took"), { childList: true });
}"""
IDLE = """async () => {
  for (let still = 0; still < 5;) {
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 40)));
    still = document.querySelector('[aria-busy="true"]') ? 0 : still + 1;
  }
}"""


def drawn(page: Any, strokes: list[Stroke]) -> tuple[str, list[float], float]:
    """(answer, milliseconds from the end of each stroke until its answer and all maps are shown, those of the service)."""
    page.get_by_role("button", name="Clear").click()
    box, waits = page.locator(".sheet").bounding_box(), []
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()
        page.evaluate(IDLE)
        waits.append(page.evaluate("bench.shown - bench.lifted"))
    took = re.search(r"(\d+) ms", page.locator(".took").inner_text())
    assert took
    return page.locator(".label").inner_text(), waits, float(took[1])


def main() -> None:
    words = [sys.executable, "-m", "gipi", "serve", MODEL, "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT) as service, sync_playwright() as play:
        assert service.stderr
        address = next(found[0] for line in service.stderr if (found := re.search(r"http://\S+:\d+", line)))
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-US")
        weights = list[int]()
        page.on(
            "response",
            lambda answer: (
                weights.append(len(answer.body())) if "/v1/" not in answer.url and "/play/" not in answer.url else None
            ),
        )
        page.goto(f"{address}/#{MODEL}")
        page.wait_for_selector(".sheet")
        page.evaluate(WATCH)
        right, waits, inside = list[list[bool]](), list[float](), list[float]()
        for way in range(WAYS):
            right.append([])
            for digit, strokes in enumerate(DIGITS):
                answer, stroke_waits, took = drawn(page, varied(strokes, way))
                right[-1].append(answer == str(digit))
                waits += stroke_waits
                inside.append(took)
        browser.close()
        service.terminate()
    note = "mouse events in headless Chromium; strokes of bench/strokes.py"
    slow = statistics.quantiles(waits, n=10)[-1]
    stroke = "from the end of a stroke until its answer and all 15 layers' maps are shown"
    write(
        "playground",
        [
            row("digits right of 10", [float(sum(right[0]))], "digits", note=note),
            row("digits right of 30", [float(sum(map(sum, right)))], "digits", note=f"{note}, in three variations"),
            row("stroke to answer", waits, "ms", note=stroke),
            row("stroke to answer, 90th percentile", [slow], "ms", note=stroke),
            row("answer and maps in the service", inside, "ms", note="framing as MNIST, answer, maps of every layer"),
            row("page", [float(sum(weights))], "bytes", note=f"{len(weights)} files, as sent"),
        ],
    )


if __name__ == "__main__":
    main()
