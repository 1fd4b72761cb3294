"""Classifiers of model files, answered by OpenVINO and many pictures at once: as PyTorch answers one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from gipi import api, catalog
from gipi.data.fetch import cache_folder
from gipi.engine import fast, place
from gipi.engine.compiled import RUNTIMES, Compiled, ONNXRuntime, OpenVINO
from gipi.engine.fast import Fast
from gipi.engine.kept import Speed
from gipi.engine.place import decide_place
from gipi.errors import DataError
from gipi.model import WEIGHTS, Card, save_model
from gipi.models.ensemble import Ensemble
from gipi.models.kinds import build_net
from gipi.preprocess import Framing, Preprocess
from gipi.tasks.answers import AT_ONCE, Classification
from gipi.tasks.classifier import Classifier
from gipi.tasks.compiled import folders
from gipi.tasks.images import load_images

needs_openvino = pytest.mark.skipif(not OpenVINO.installed(), reason="needs openvino: pip install gipi[fast]")
CPU = decide_place(device="cpu", precision="fp32")
TEST = load_images("digits", "test")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the work, OpenVINO is found faster."""
    monkeypatch.setattr(fast, "PAYS_S", 0.0)
    monkeypatch.setattr(Fast, "_measure", lambda self, run, load_s: Speed((1.0, 1.0, 1.0), (0.1, 0.1, 0.1), 1.0))


def ensemble_file(path: Path, framing: Framing = "digit") -> Path:
    """A model file of two nets."""
    torch.manual_seed(0)
    nets = Ensemble([build_net("digitnet-tiny", {}).eval() for _ in range(2)])
    card = Card("classify", "digitnet-tiny", {}, tuple("0123456789"), Preprocess((1, 28, 28), framing), members=2)
    save_model(path, nets.state_dict(), card)
    return path


def pictures(folder: Path, count: int) -> list[Path]:
    """Digits as ink on paper, in files; every seventh file holds no picture, and the last one is not there."""
    files = [folder / f"{number}.png" for number in range(count)]
    for number, file in enumerate(files[:-1]):
        if number % 7 == 3:
            file.write_bytes(b"no picture")
        else:
            Image.fromarray(255 - TEST.images[number, 0].numpy()).resize((80, 80)).save(file)
    return files


@needs_openvino
@pytest.mark.parametrize("name", [name for name in catalog.SHIPPED if name.endswith("-mnist") and name != "dcgan-mnist"])
def test_a_shipped_model_scores_as_in_pytorch(name: str, quick: None):
    path = WEIGHTS / f"{name}.safetensors"
    plain, swift = Classifier.load(path, CPU), Classifier.load(path, CPU)
    swift.expect(len(TEST))
    wanted, got = plain.logits(TEST.images), swift.logits(TEST.images)
    assert not torch.equal(got, wanted)  # else both are PyTorch's
    assert (got - wanted).abs().max() <= 1e-4 * (wanted.max() - wanted.min())
    assert torch.equal(got.argmax(1), wanted.argmax(1))
    assert [folder.is_dir() for folder in folders(path, OpenVINO)] == [True]
    assert folders(path, OpenVINO)[0].is_relative_to(cache_folder())  # nothing is written into the package
    fast.PAYS_S = 1e9  # undone by the fixture
    slow = Classifier.load(path, CPU).evaluate(TEST)
    assert torch.equal(swift.evaluate(TEST).answers, slow.answers)
    assert swift.evaluate(TEST).metrics["loss"].value == pytest.approx(slow.metrics["loss"].value, rel=1e-4)


@needs_openvino
def test_an_ensemble_and_a_committee_answer_as_in_pytorch(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch):
    models = [ensemble_file(tmp_path / "two.safetensors"), "digitnet-tiny-mnist"]
    swift = api.evaluate(models, "digits", tta="shift")
    assert (tmp_path / "two.openvino" / "note.json").is_file()  # beside the model
    with monkeypatch.context() as patch:
        for runtime in RUNTIMES:
            patch.setattr(runtime, "installed", lambda: False)
        plain = api.evaluate(models, "digits", tta="shift")
    assert torch.equal(swift.answers, plain.answers)
    assert torch.allclose(swift.scores, plain.scores, atol=1e-4)


def test_a_net_that_may_change_is_never_compiled(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Fast, "get", lambda self, count: pytest.fail("compiled"))
    loaded = Classifier.load(ensemble_file(tmp_path / "two.safetensors"), CPU)
    Classifier(loaded.net, loaded.card, CPU).evaluate(TEST)  # as a training does


def test_an_evaluation_in_float32_and_a_prediction_in_the_fastest_format_tell_how_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(Fast, "get", lambda self, count: told.append((count, self.place.precision)))
    monkeypatch.setattr(place, "fast_bf16", lambda device: True)
    path = ensemble_file(tmp_path / "two.safetensors")
    api.evaluate(path, "digits")
    list(api.predict([path, "digitnet-tiny-mnist"], pictures(tmp_path, 2)))
    api.load(path).predict(tmp_path / "0.png")
    assert told == [(len(TEST), "fp32")] * 2 + [(2, "bf16")] * 4  # each model asks either runtime


@needs_openvino
@pytest.mark.skipif(not ONNXRuntime.installed(), reason="needs onnxruntime: pip install gipi[onnx]")
@pytest.mark.parametrize(
    ("faster", "answering"),
    [((OpenVINO, ONNXRuntime), "OpenVINO"), ((ONNXRuntime,), "ONNX Runtime"), ((), "PyTorch")],
    ids=["both", "onnxruntime", "neither"],
)
def test_onnx_runtime_is_asked_where_openvino_saves_nothing(
    faster: tuple[type[Compiled], ...], answering: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def speed(self: Fast, run: object, load_s: float) -> Speed:
        return Speed((1.0,) * 3, (0.1 if self.runtime in faster else 2.0,) * 3, 0.0)

    monkeypatch.setattr(Fast, "_measure", speed)
    path = ensemble_file(tmp_path / "two.safetensors")
    plain = Classifier.load(path, CPU)
    for _ in range(2):  # what is found is kept
        model = Classifier.load(path, CPU)
        model.expect(10**9)
        assert model.runtime.split(" 2")[0].split(" 1")[0] == answering
        assert (model.logits(TEST.images[:70]) - plain.logits(TEST.images[:70])).abs().max() <= 1e-4
    kept = {runtime for runtime in RUNTIMES if (path.with_suffix(f".{runtime.PACKAGE}") / "note.json").is_file()}
    assert kept == ({OpenVINO} if answering == "OpenVINO" else set(RUNTIMES))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_openvino)])
def test_many_files_are_answered_in_order_as_one_by_one(
    count: int, compiled: bool, tmp_path: Path, request: pytest.FixtureRequest
):
    models = [ensemble_file(tmp_path / f"{number}.safetensors", "resize") for number in range(count)]
    files = pictures(tmp_path, 2 * AT_ONCE + 3)
    where = decide_place(device="cpu")
    model, within = api.load(models, place=where), 1e-4 if where.precision == "fp32" else 5e-3
    wanted = [model.predict(file) if file.read_bytes() != b"no picture" else None for file in files[:-1]]
    if compiled:
        request.getfixturevalue("quick")
    answers = list(api.predict(models, iter(files)))
    assert [file for file, _ in answers] == files
    for number, (file, answer) in enumerate(answers):
        if number % 7 == 3 or file == files[-1]:
            assert isinstance(answer, DataError)
            assert str(file) in str(answer)
        else:
            assert isinstance(answer, Classification)
            expected = wanted[number]
            assert expected is not None
            assert answer.label == expected.label
            assert answer.score == pytest.approx(expected.score, abs=within)
            assert torch.equal(answer.framed, expected.framed)


def test_only_some_pictures_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[Path] = []
    frame = Classifier.frame

    def counting(self: Classifier, source: Path) -> torch.Tensor:
        opened.append(source)
        return frame(self, source)

    monkeypatch.setattr(Classifier, "frame", counting)
    answers = api.predict(ensemble_file(tmp_path / "two.safetensors", "resize"), pictures(tmp_path, 3 * AT_ONCE))
    next(answers)
    assert len(opened) == AT_ONCE
    answers.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_large_pictures_are_fewer_at_a_time(tmp_path: Path):
    card = Card("classify", "resnet10", {"width": 0.0625, "classes": 2}, ("a", "b"), Preprocess((3, 700, 700), "resize"))
    model = Classifier(build_net(card.net, card.args).eval(), card, CPU)
    assert model.at_once == 2_000_000 // 700**2


def test_no_files_have_no_answers():
    assert list(api.predict("digitnet-tiny-mnist", [])) == []
