"""The page in a browser, used as a person would: drawing, showing, making, watching; by keyboard; on a phone; in two languages."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gipi import live
from gipi.api import load
from gipi.data.scenes import scene
from oracle.service import service

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"needs a browser at {CHROMIUM}", allow_module_level=True)

NAMES = ("deepconvnet-mnist", "digitnet-tiny-mnist", "digitnet-fashion", "faster-rcnn-scenes", "fcn-scenes", "attend-scenes")
NAMES += ("dcgan-mnist", "dqn-catch")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def served():
    with service(models=NAMES) as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, and what went wrong on it: console messages, failed requests and requests to others."""

    def __init__(self, chromium: Any, url: str, **context: Any) -> None:
        self.context = chromium.new_context(**{"viewport": DESKTOP, "locale": "en-US", **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.url, self.faults = url, list[str]()
        self.page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", f"blob:{self.url}")):
            self.faults.append(f"foreign: {request.url}")

    def open(self, model: str) -> Any:
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#{model}")
        self.page.wait_for_function("name => document.querySelector('.answer h2')?.textContent.includes(name)", arg=model)
        self.quiet()
        return self.page

    def quiet(self) -> None:
        """Until nothing is asked of the service any more."""
        self.page.evaluate(
            """async () => {
              let still = 0;
              while (still < 3) {
                await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 30)));
                still = document.querySelector('[aria-busy="true"]') ? 0 : still + 1;
              }
            }"""
        )

    def draw(self, strokes: list[list[tuple[float, float]]]) -> str:
        """Strokes by mouse on an empty sheet; the answer."""
        page, mouse = self.page, self.page.mouse
        page.get_by_role("button", name="Clear").click()
        box = page.locator(".sheet").bounding_box()
        for stroke in strokes:
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            mouse.move(*points[0])
            mouse.down()
            for point in points[1:]:
                mouse.move(*point)
            mouse.up()
        self.quiet()
        return page.locator(".label").first.inner_text()


@pytest.fixture
def visit(chromium, served):
    visits = []

    def begin(**context: Any) -> Visit:
        visits.append(Visit(chromium, served.url, **context))
        return visits[-1]

    yield begin
    for each in visits:
        each.context.close()
    assert [fault for each in visits for fault in each.faults] == []


def test_ten_drawn_digits_are_read_and_every_layer_is_shown(visit, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "bench"))
    from strokes import DIGITS

    one = visit()
    page = one.open("deepconvnet-mnist")
    answers, shown = [], set()
    for strokes in DIGITS:
        answers.append(one.draw(strokes))
        shown.add(page.evaluate("document.querySelector('.maps li:last-child canvas').toDataURL()"))
    assert sum(answer == str(digit) for digit, answer in enumerate(answers)) >= 9, answers
    assert len(shown) == 10  # the deepest layer sees each digit differently
    assert page.locator(".maps li").count() == 15
    assert page.locator(".bars li").count() == 10
    page.locator("tr[data-layer='features.5'] a").hover()
    assert page.locator(".maps .lit").get_attribute("data-layer") == "features.5"
    page.get_by_role("button", name="A real one").click()
    one.quiet()
    assert page.locator(".label").inner_text() in set("0123456789")


def test_two_models_read_the_same_drawing(visit) -> None:
    one = visit()
    page = one.open("deepconvnet-mnist")
    assert page.locator("#other option").all_inner_texts() == ["nothing", "digitnet-tiny-mnist"]
    one.draw([[(0.5, 0.2), (0.5, 0.8)]])
    page.select_option("#other", "digitnet-tiny-mnist")
    one.quiet()
    assert page.locator(".label").all_inner_texts() == ["1", "1"]
    assert page.locator(".answer h2").all_inner_texts() == ["deepconvnet-mnist answers", "digitnet-tiny-mnist answers"]
    assert page.locator(".depths .maps").count() == page.locator(".depths table").count() == 2


def test_keys_alone_draw(visit) -> None:
    one = visit()
    page = one.open("deepconvnet-mnist")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to the playground
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "sheet"
    page.keyboard.press("Space")
    for _ in range(7):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")  # the brush is up
    one.quiet()
    assert page.locator(".label").inner_text() == "1"
    page.wait_for_function("() => document.getElementById('spoken').textContent.includes('deepconvnet-mnist: 1')")
    page.keyboard.press("Delete")
    assert page.locator(".label").count() == 0
    assert page.locator(".maps li").count() == 0


@pytest.mark.parametrize("name", ["faster-rcnn-scenes", "fcn-scenes", "attend-scenes", "digitnet-fashion"])
def test_pictures_are_shown_chosen_and_pasted(visit, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, sent, look = visit(), list[bytes](), live.look
    monkeypatch.setattr(live, "look", lambda model, body: sent.append(body) or look(model, body))
    page = one.open(name)  # begins with an example
    page.locator("#tools .main").click()
    one.quiet()
    assert len(sent) == 2
    if name == "digitnet-fashion":
        assert page.locator(".bars li").count() == 10
    else:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent[0]))), scene("test", 1).image.transpose(1, 2, 0))
        assert page.locator(".drawn").first.evaluate("image => image.naturalWidth") >= 480
    answer = load(name).predict(sent[1])
    expected = {"attend-scenes": str(answer), "faster-rcnn-scenes": f"{len(getattr(answer, 'labels', ()))} found"}
    if name in expected:
        assert page.locator(".told").inner_text() == expected[name]
    wide = tmp_path / "wide.png"
    Image.new("RGB", (2400, 1200), (90, 120, 160)).save(wide)
    page.set_input_files("#file", wide)
    one.quiet()
    assert Image.open(io.BytesIO(sent[2])).size == (1600, 800)
    page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(96, 64);
          canvas.getContext("2d").fillRect(20, 20, 9, 30);
          const data = new DataTransfer();
          data.items.add(new File([await canvas.convertToBlob()], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }"""
    )
    page.wait_for_function("() => document.querySelector('.shown').naturalWidth === 96")
    one.quiet()
    assert Image.open(io.BytesIO(sent[3])).size == (96, 64)


def test_noise_is_moved_and_walked(visit) -> None:
    one = visit()
    page = one.open("dcgan-mnist")
    seen = {page.locator(".made").get_attribute("src")}
    page.locator("#slider-2").fill("3")
    one.quiet()
    seen.add(page.locator(".made").get_attribute("src"))
    page.get_by_role("radio", name="4", exact=True).check()
    one.quiet()
    seen.add(page.locator(".made").get_attribute("src"))
    page.get_by_role("button", name="New seed").click()
    one.quiet()
    seen.add(page.locator(".made").get_attribute("src"))
    assert len(seen) == 4
    page.get_by_role("button", name="Walk", exact=True).click()
    page.get_by_role("button", name="Pause").click()
    place = page.get_by_label("Position")
    before = int(place.input_value())
    page.get_by_role("button", name="Step forward").click()
    assert int(place.input_value()) == min(before + 1, 59)
    assert page.get_by_role("button", name="Play", exact=True).count() == 1


def test_a_game_is_watched_and_stepped_through(visit) -> None:
    one = visit()
    page = one.open("dqn-catch")
    page.wait_for_function("() => document.querySelector('.film-box input').value === '15'")
    assert page.locator(".told").inner_text() == "Step 15 of 15, score 1: stay"
    page.get_by_role("button", name="Step back").click()
    page.wait_for_function("() => document.querySelector('.told').textContent === 'Step 15 of 15, score 0: stay'")
    assert page.locator(".bars .best").count() == 1
    page.get_by_label("Random moves").fill("1")
    page.get_by_label("Seed").fill("3")
    page.get_by_label("Speed").select_option("4")
    page.get_by_role("button", name="Play this game").click()
    page.wait_for_function("() => document.querySelector('.bars .chance')")
    assert page.locator(".told").inner_text().endswith("at random")


def test_who_wants_no_motion_gets_none_until_it_is_asked_for(visit) -> None:
    one = visit(reduced_motion="reduce")
    page = one.open("dqn-catch")
    page.wait_for_timeout(400)
    assert page.get_by_label("Position").input_value() == "0"
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('.film-box input').value !== '0'")


def test_the_language_is_the_browsers_until_another_is_chosen(visit) -> None:
    one = visit(locale="ko-KR")
    page = one.open("dcgan-mnist")
    assert page.evaluate("document.documentElement.lang") == "ko"
    foreign = """() => [...document.querySelectorAll("[data-word]")].map((node) => node.textContent)
      .filter((text) => /[a-z]{4}/.test(text.replace(/gipi|inspect|predict|d?q?c?gan-mnist/g, "")))"""
    assert page.evaluate(foreign) == []
    assert page.get_by_role("slider", name="방향 3").count() == 1
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("#input-title").inner_text() == "Move the noise"
    assert not page.evaluate("/[가-힣]/.test(document.querySelector('main').innerText)")
    page.reload()
    page.wait_for_function("() => document.querySelector('#input-title').textContent === 'Move the noise'")
    one.quiet()


NAMELESS = """() => [...document.querySelectorAll("button, input, select, img, canvas, a, [tabindex='0'], section")]
  .filter((node) => node.checkVisibility() && !(node.matches("img") && node.alt === "" && node.closest("header")))
  .filter((node) => {
    const by = node.getAttribute("aria-labelledby");
    const names = [node.getAttribute("aria-label"), node.alt, ...[...(node.labels ?? [])].map((label) => label.textContent),
      by && document.getElementById(by).textContent, node.matches("button, a") ? node.textContent : ""];
    return !names.some((name) => name?.trim());
  }).map((node) => node.outerHTML.slice(0, 120))"""

FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if ((colour[3] ?? 1) === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.matches(":disabled, :disabled *, noscript")) continue;
    const style = getComputedStyle(node);
    const [front, back] = [light(parts(style.color)), light(ground(node))].sort((a, b) => b - a);
    const ratio = (front + 0.05) / (back + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${node.outerHTML.slice(0, 100)}`);
  }
  return faint;
}"""

SMALL = """() => [...document.querySelectorAll("button, select, summary, .chip, .button, input:not(.hidden, .chip input)")]
  .filter((node) => node.checkVisibility())
  .map((node) => [node.getBoundingClientRect(), node])
  .filter(([box]) => box.height < 40 || box.width < 40).map(([box, node]) => `${box.width}x${box.height} ${node.outerHTML.slice(0, 90)}`)"""

STOPS = """() => new Set([...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((node) => node.checkVisibility() && !node.disabled)
  .map((node) => (node.type === "radio" ? `radio ${node.name}` : node.outerHTML))).size"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_contrast_and_targets_on_every_page_of_a_phone(visit, scheme: str) -> None:
    one = visit(viewport=PHONE, color_scheme=scheme, has_touch=True)
    for name in NAMES:
        page = one.open(name)
        if name == "deepconvnet-mnist":
            page.get_by_role("button", name="A real one").click()
            one.quiet()
        assert page.evaluate(NAMELESS) == [], name
        assert page.evaluate(FAINT) == [], name
        assert page.evaluate(SMALL) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") == 360, name
        levels = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].filter(h => h.checkVisibility()).map(h => Number(h.tagName[1]))"
        )
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), levels


@pytest.mark.parametrize("name", ["deepconvnet-mnist", "dcgan-mnist", "dqn-catch"])
def test_the_tab_key_reaches_everything_and_its_place_is_seen(visit, name: str) -> None:
    one = visit(reduced_motion="reduce")
    page = one.open(name)
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        at, seen = page.evaluate(
            """() => {
              const node = document.activeElement;
              const shown = node.matches(".chip input, .hidden") ? node.nextElementSibling : node.matches(".sheet") ? node.parentElement : node;
              const style = getComputedStyle(shown);
              return [node.type === "radio" ? `radio ${node.name}` : node.outerHTML, style.outlineStyle !== "none"];
            }"""
        )
        if at in reached or at.startswith("<body"):
            break
        reached.add(at)
        assert seen, at[:120]
    assert len(reached) == page.evaluate(STOPS)


def test_a_refusal_is_told_and_the_page_goes_on(chromium, served, tmp_path: Path) -> None:
    one = Visit(chromium, served.url)
    page = one.open("fcn-scenes")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.set_input_files("#file", broken)
    page.wait_for_function("() => document.querySelector('#error').textContent.includes('is not a PNG')")
    assert page.locator(".drawn").count() == page.locator(".maps li").count() == 0  # nothing of the picture before is left
    page.locator("#tools .main").click()
    one.quiet()
    assert page.locator("#error").inner_text() == ""
    one.context.close()
    assert [fault for fault in one.faults if "422" not in fault] == []


def test_the_token_is_asked_for_once(chromium) -> None:
    with service(models=("dqn-catch",), token="open-sesame") as served:
        one = Visit(chromium, served.url)
        one.page.goto(served.url)
        field = one.page.get_by_label("This service wants a token")
        field.fill("wrong")
        field.press("Enter")
        one.page.wait_for_function("() => document.querySelector('#token').checkVisibility()")
        field.fill("open-sesame")
        field.press("Enter")
        one.page.wait_for_selector(".film")
        one.page.reload()
        one.page.wait_for_selector(".film")
        assert not one.page.locator("#token").is_visible()
        one.quiet()
        one.context.close()
        assert [fault for fault in one.faults if "401" not in fault] == []
