"""What functions of the API return shows itself in a notebook: as PNG, or as HTML that is well formed, escaped and asks nobody."""

import base64
import importlib
import inspect
import io
import re
import typing
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

import gipi
from gipi import api, showing
from gipi.config import Config
from gipi.data.box_findings import BoxSurvey
from gipi.data.boxes import BoxSet, padded
from gipi.data.caption_findings import CaptionSurvey
from gipi.data.captions import CaptionSet
from gipi.data.findings import Survey
from gipi.data.mask_findings import MaskSurvey
from gipi.data.masks import MaskSet
from gipi.data.stream import ImageSet
from gipi.envs.played import Episode
from gipi.envs.scores import Reference
from gipi.inspect.dense import Dense, Way
from gipi.inspect.layers import Layer, LayerTable
from gipi.inspect.reach import Reach
from gipi.lab import Outcome
from gipi.model import Card
from gipi.models.kinds import build_net
from gipi.ops.matching import Matches
from gipi.ops.metrics import Mean
from gipi.preprocess import Preprocess
from gipi.runs import Run
from gipi.tasks.act_score import ActEvaluation
from gipi.tasks.answers import Classification
from gipi.tasks.captioner import CaptionEvaluation
from gipi.tasks.captioning import Captioning, Sentence
from gipi.tasks.classifier import Classifier, Evaluation
from gipi.tasks.committee import Committee
from gipi.tasks.detection import Detection
from gipi.tasks.detector import DetectEvaluation, Found
from gipi.tasks.films import Reel
from gipi.tasks.games import Games
from gipi.tasks.generation import Generation, Sum, Term
from gipi.tasks.generator_score import GenerateEvaluation
from gipi.tasks.judge import Look
from gipi.tasks.segmentation import Area, Segmentation
from gipi.tasks.segmenter import SegmentEvaluation
from gipi.tasks.trained import ALONE, Trained
from gipi.tasks.video import Film
from gipi.tasks.watch import GameReel

EVIL = '<script>alert("&")</script>'
CLASSES = (EVIL, "b")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ALLOWED = {*("div", "p", "pre", "img", "figure", "figcaption"), *("table", "caption", "thead", "tbody", "tr", "th", "td")}


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(len(shape)))


def picture(side: int) -> Image.Image:
    return Image.fromarray(noise(side, side, 3).numpy())


def classifier() -> Classifier:
    card = Card("classify", "deepconvnet", {}, CLASSES, Preprocess((1, 28, 28), "digit"), EVIL, metrics={"accuracy": 0.5})
    return Classifier(build_net("deepconvnet", {"classes": 2}), card, ALONE)


def objects(folder: Path) -> Iterator[object]:
    """One of each kind, with names that no page should run."""
    metrics, scores, label = {"accuracy": Mean(0.25, 1), EVIL: Mean(1.0, 1)}, torch.rand(2), torch.tensor([0, 1])
    confusion, images, names, boxes = (
        torch.tensor([[3, 1], [0, 4]]),
        noise(2, 3, 20, 24),
        CLASSES,
        torch.tensor([[2.0, 3, 9, 12]]),
    )
    yield Classification(EVIL, 0.9, {EVIL: 0.9, "b": 0.1}, noise(1, 28, 28))
    yield Segmentation(CLASSES, (), images[0], noise(20, 24) % 2)
    yield Detection(CLASSES, images[0], boxes, torch.tensor([0.9]), torch.tensor([0]))
    yield Captioning((Sentence(EVIL, -1.0, (EVIL,)),), images[0])
    yield Generation(noise(4, 1, 28, 28), (EVIL,) * 4, {})
    result = noise(1, 28, 28)
    yield Sum(
        (Term("+", (1,)), Term("-", (2,))), (noise(1, 1, 28, 28),) * 2, noise(2, 1, 28, 28), result, torch.zeros(1, 9, 1, 1)
    )
    yield Reel(tuple(picture(30) for _ in range(3)), 40, 100)
    yield GameReel(tuple(picture(30) for _ in range(3)), 40, total=-1.0, over=False)
    games = Games([Episode(0, 1.0, 1.0, 9)], 0.5, 1.0)
    yield games
    yield Film(Path(EVIL), 9, (8, 6), 0.5, (Area(EVIL, 4, 0.5),))
    yield classifier()
    yield Committee([(EVIL, classifier())])
    yield Evaluation(metrics, confusion, label, scores)
    yield SegmentEvaluation(metrics, confusion, noise(2, 4, 4), scores)
    matches = Matches(*(torch.zeros(0) for _ in Matches._fields))
    yield DetectEvaluation(metrics, Found(boxes[None], scores[None, :1], label[None, :1]), matches, confusion, scores)
    yield CaptionEvaluation(metrics, (EVIL, "b"), label[:, None], scores)
    look = Look(torch.zeros(2, 3), torch.zeros(2, 0))
    yield GenerateEvaluation(metrics, {"accuracy": 0.5}, EVIL, noise(2, 1, 28, 28), None, look)
    yield ActEvaluation(games.metrics, games, 0.05, EVIL, Reference(-1.0, 2.0))
    yield LayerTable((1, 8, 8), (Layer(EVIL, "conv 3x3", (4, 6, 6), 40, 1296, Reach((3, 3), (1, 1), (0, 0))),))
    yield Dense((3, 8, 8), (Way(EVIL, 4, 9, 1.0, 1), Way("every 32nd", 1, 3, 0.5, 1), Way("one pass", 1, 2, 0.1, 1)), 0.0, None)
    yield from (kind(EVIL, error=EVIL) for kind in (Survey, BoxSurvey, CaptionSurvey, MaskSurvey))
    yield ImageSet(EVIL, "train", CLASSES, noise(2, 1, 28, 28), label)
    yield MaskSet(EVIL, "train", CLASSES, images, noise(2, 20, 24) % 2, ((0, 0, 0), (255, 0, 0)), names)
    no_flags = [torch.zeros(1, dtype=torch.bool)] * 2
    kept = padded([boxes] * 2, [label[:1]] * 2, no_flags)
    yield BoxSet(EVIL, "train", CLASSES, images, *kept, names, torch.ones(2), torch.tensor([[20, 24]] * 2))
    yield CaptionSet(EVIL, "train", images, ((EVIL,), ("b",)), names)
    run = Run.create({}, folder / "<script>")
    run.append({"split": "test", "step": 7, "accuracy": 0.25})
    yield run
    (folder / "figure.png").write_bytes(showing.png(picture(20)))
    yield Outcome(folder, 1, 2, (EVIL,))
    yield Config(recipe=EVIL)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> list[object]:
    with torch.random.fork_rng():
        return list(objects(tmp_path_factory.mktemp("shown")))


def returned() -> set[type]:
    """Classes of gipi's in what public functions are annotated to return; of unions and tuples each member."""

    def inner(hint: object) -> Iterator[type]:
        if isinstance(hint, type) and not typing.get_args(hint):
            yield hint
        for part in typing.get_args(hint):
            yield from inner(part)

    found = set[type]()
    for name in gipi.__all__:
        function = getattr(gipi, name)
        if inspect.isfunction(function):
            hints = typing.get_type_hints(function, vars(importlib.import_module(function.__module__)))
            found.update(inner(hints["return"]))
    return {kind for kind in found if not issubclass(kind, Path | str | Exception | type(None))}


def shows(kind: type) -> bool:
    return hasattr(kind, "_repr_html_") or hasattr(kind, "_repr_png_")


def test_all_that_the_api_returns_shows_itself_and_is_tried_here(shown):
    kinds = returned()
    assert {Classification, Run, LayerTable, Image.Image, Survey, Reel, Outcome, Config} <= kinds  # the walk has found them
    assert [kind.__name__ for kind in kinds if not shows(kind)] == []
    tried = {type(one) for one in shown}
    unseen = {kind.__name__ for kind in kinds - tried if not issubclass(kind, Trained | showing.Told | Image.Image)}
    assert unseen == set()
    assert all(shows(type(one)) for one in shown)


def test_pictures_are_those_that_are_drawn(shown):
    drawn = [one for one in shown if hasattr(one, "_repr_png_")]
    assert len(drawn) == 5
    for one in drawn:
        decoded, picture = Image.open(io.BytesIO(one._repr_png_())), one.draw()
        assert (decoded.mode, decoded.size, decoded.tobytes()) == (picture.mode, picture.size, picture.tobytes())


class Strict(HTMLParser):
    """Holds HTML to what is allowed: every tag known and closed in order, no handlers, no address but pictures' own bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.texts, self.sources, self.alts = list[str](), list[str](), list[str](), list[str]()

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        values = dict(attrs)
        assert set(values) <= {"src", "alt", "style", "scope"}, values
        assert "url(" not in values.get("style", "")
        if tag == "img":
            assert re.match(r"data:image/(png|gif);base64,", values["src"])
            self.sources.append(values["src"])
            self.alts.append(values["alt"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_html_is_well_formed_escaped_and_asks_nobody(shown):
    told = [one for one in shown if hasattr(one, "_repr_html_")]
    assert len(told) > 20
    for one in told:
        page = parsed(one._repr_html_())
        assert all(page.alts), type(one)  # who does not see a picture is told of it
        for source in page.sources:
            Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).load()


@pytest.mark.parametrize(
    "kind",
    [Classification, Classifier, Committee, Evaluation, LayerTable, Survey, ImageSet, CaptionSet, Outcome, Config, ActEvaluation],
)
def test_hostile_names_are_told_as_they_are(kind, shown):
    [one] = [one for one in shown if type(one) is kind]
    assert EVIL in "".join(parsed(one._repr_html_()).texts)


def test_numbers_of_an_evaluation_are_in_its_tables(shown):
    [one] = [one for one in shown if type(one) is Evaluation]
    texts = [text for text in parsed(one._repr_html_()).texts if text.strip()]
    assert texts[texts.index("accuracy") + 1] == "0.25"
    assert texts[-6:] == ["0", "3", "1", "1", "0", "4"]  # row 0, row 1


def test_a_configuration_shows_what_was_changed():
    config = gipi.RECIPES["deepconvnet-digits"].config
    texts = parsed(config._repr_html_()).texts
    assert texts[texts.index("optim.lr") + 1] == f"{config.optim.lr:.4g}"
    assert texts[texts.index("data.augment.shift_px") + 1] == f"{config.data.augment.shift_px:g}"
    assert "optim.beta1" not in texts  # as it always is


def test_large_pictures_are_reduced():
    wide = Image.new("RGB", (4000, 30))
    assert Image.open(io.BytesIO(showing.png(wide))).size == (1334, 10)


def film(reel: Reel) -> tuple[Image.Image, int, str]:
    page = parsed(reel._repr_html_())
    data = base64.b64decode(page.sources[0].partition(",")[2])
    return Image.open(io.BytesIO(data)), len(data), "".join(page.texts)


def test_a_film_shows_all_its_frames():
    reel = Reel((picture(16), Image.new("RGB", (16, 16)), Image.new("RGB", (16, 16), "red")), 40, 100)
    gif, _, words = film(reel)
    assert (gif.n_frames, words) == (3, str(reel))
    gif.seek(2)
    assert gif.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_a_long_film_is_cut_down_and_says_so(monkeypatch):
    monkeypatch.setattr("gipi.tasks.films.SHOWN", 8)
    frames = tuple(Image.new("RGB", (16, 16), (number, 0, 0)) for number in range(20))
    gif, _, words = film(Reel(frames, 40))
    assert gif.n_frames == 8  # 0, 3, ... 18 and 19
    gif.seek(7)
    assert gif.convert("RGB").getpixel((0, 0)) == (19, 0, 0)
    assert "one of 3 frames" in words
    monkeypatch.setattr("gipi.tasks.films.SHOWN_BYTES", 6_000)
    noisy = tuple(Image.fromarray(noise(64, 64, 3).numpy() ^ number) for number in range(8))
    gif, size, words = film(Reel(noisy, 40))
    assert 1 < gif.n_frames < 8 or size <= 6_000
    assert "frames is shown" in words


def test_shipped_models_show_their_cards():
    texts = parsed(api.load("dqn-catch")._repr_html_()).texts
    assert texts[texts.index("does") + 1] == "act"
    assert texts[texts.index("3 classes") + 1] == "left, stay, right"
