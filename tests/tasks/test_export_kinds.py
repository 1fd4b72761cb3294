"""Exporting what speaks, makes and plays; PT2 files; files with fewer bits; and running files without this package."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from gipi.cli.export import export as command
from gipi.data.scenes import scene
from gipi.decode import read
from gipi.errors import ConfigError, DeviceError
from gipi.model import Card, find_model
from gipi.models.dcgan import dcgan
from gipi.models.fcn import fcn8s_resnet18
from gipi.models.nic import nic_resnet18
from gipi.preprocess import Preprocess
from gipi.tasks import export_check, export_graphs
from gipi.tasks.captioner import Captioner
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.export import Exported, export
from gipi.tasks.export_run import runtime
from gipi.tasks.generator import Generator
from gipi.tasks.player import Player
from gipi.tasks.segmenter import Segmenter
from gipi.tasks.trained import ALONE

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnx_graph = pytest.importorskip("gipi.tasks.onnx_graph", reason="the extra onnx is not installed")
onnxruntime = runtime()

RUNNER = Path(__file__).parents[2] / "examples" / "onnx_run.py"
WITHOUT = "import sys, runpy; sys.modules['torch'] = sys.modules['gipi'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
WORDS = ("<start>", "<end>", "<unknown>", *"abcdefgh")


@pytest.fixture(scope="module", autouse=True)
def _any_size():
    """Comparing shapes, as annotations do in tests, would fix a size that the graph is to keep open."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def captioner() -> Captioner:
    torch.manual_seed(0)
    net = nic_resnet18(classes=len(WORDS), width=0.125, stem="small", embedding=16, hidden=16)
    net.answer.weight.data *= 8  # so that its sentences end
    return Captioner(net.eval(), Card("caption", "a captioner", {}, WORDS, Preprocess((3, 16, 24), "resize")), ALONE)


def generator(conditional: bool) -> Generator:
    torch.manual_seed(0)
    net = dcgan(classes=3, channels=3, size=8, noise=5, width=4, conditional=conditional).eval()
    card = Card("generate", "dcgan", {}, ("a", "b", "c"), Preprocess((3, 8, 8), "resize", mean=(0.5,), std=(0.5,)))
    return Generator(net, card, ALONE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def made(folder: Path) -> Exported:
    return export(generator(True), folder / "made.onnx")


@pytest.fixture(scope="module")
def caught(folder: Path) -> Exported:
    return export(Player.load(find_model("dqn-catch"), ALONE), folder / "catch.onnx")


@pytest.fixture(scope="module")
def told(folder: Path) -> Exported:
    return export(Captioner.load(find_model("attend-scenes"), ALONE), folder / "told.onnx")


def run(*words: object) -> str:
    """What the runner prints, in a process that can import neither torch nor gipi."""
    done = subprocess.run([sys.executable, "-c", WITHOUT, str(RUNNER), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answers(path: Path, *inputs: torch.Tensor) -> list[torch.Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return [torch.from_numpy(part) for part in session.run(None, dict(zip(names, (one.numpy() for one in inputs), strict=True)))]


def pt2(path: Path) -> tuple[torch.nn.Module, Card]:
    more = {"gipi": ""}
    module = torch.export.load(path, extra_files=more).module()
    return module, read(Card, json.loads(more["gipi"]), "card")


def test_no_path_of_this_machine_is_in_a_file(made: Exported):
    data = made.parts[0].path.read_bytes()
    assert b"gipi" in data
    assert b".py" not in data


def test_opset_is_known_to_this_runtime_and_its_forerunners(made: Exported):
    """ONNX Runtime 1.14 read opset 18; its last two releases are far beyond."""
    [version] = [each.version for each in onnx.load(made.parts[0].path).opset_import if each.domain in ("", "ai.onnx")]
    assert version == onnx_graph.op.version == 18 <= onnx.defs.onnx_opset_version()
    assert tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 14)


def test_generator(made: Exported):
    [file] = made.parts
    assert file.inputs == {"noise": "float (batch, 5)", "labels": "int64 (batch)"}
    assert file.outputs == {"images": "uint8 (batch, 3, 8, 8)"}
    assert made.text().endswith("128 images: pixels (of 0 to 1, before rounding) differ by at most 0")
    model = generator(True)
    for count in (1, 3):
        noise, labels = model.noise(count, 7), torch.arange(count)
        [images] = answers(file.path, noise.flatten(1), labels)
        assert (images.int() - model.images(noise, labels).int()).abs().max() <= 1
    assert "2 images of seed 3" in run(
        file.path, "--count", "2", "--seed", "3", "--class", "c", "--out", file.path.with_suffix(".png")
    )
    with Image.open(file.path.with_suffix(".png")) as image:
        assert image.size == (16, 8)


def test_player(caught: Exported, folder: Path):
    [file] = caught.parts
    assert file.inputs == {"observation": "uint8 (batch, 1, 16, 16)"}
    assert file.outputs == {"values": "float (batch, 3)", "action": "int64 (batch)"}
    model = Player.load(find_model("dqn-catch"), ALONE)
    seen = torch.cat([moment.stacked for moment in model.game(seed=5, most=4)])
    np.save(folder / "seen.npy", seen.numpy())
    lines = run(file.path, folder / "seen.npy").removeprefix(f"{folder / 'seen.npy'}: ").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        model.card.classes[action] for action in model.values(seen).argmax(1).tolist()
    ]
    values, _ = answers(file.path, seen[:1])
    torch.testing.assert_close(values, model.values(seen[:1]), rtol=1e-4, atol=1e-4)


def test_captioner(told: Exported, folder: Path):
    assert [part.path.name for part in told.parts] == ["told-encoder.onnx", "told-decoder.onnx"]
    assert told.parts[1].inputs["words"] == "int64 (batch, sentences)"
    assert (told.likeness.sentences, told.likeness.others) == (4, 0)
    model, files = Captioner.load(find_model("attend-scenes"), ALONE), []
    for number in range(8):
        files.append(folder / f"scene{number}.png")
        Image.fromarray(scene("test", 50 + number).image.transpose(1, 2, 0)).resize((150, 100)).save(files[-1])
    said = run(told.parts[0].path, *files).splitlines()
    assert said == [f"{file}: {model.predict(file).sentences[0].text}" for file in files]
    assert len(set(said)) == 8


def test_what_is_not_alike_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    right = export_graphs.Decoding.forward

    def wrong(self: export_graphs.Decoding, words: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor):
        likely, *state = right(self, words, hidden, cell)
        return -likely, *state

    monkeypatch.setattr(export_graphs.Decoding, "forward", wrong)
    with pytest.raises(DeviceError, match=r"4 of 4 sentences are other ones.*not written"):
        export(captioner(), tmp_path / "m.pt2", to="pt2")
    assert not [*tmp_path.iterdir()]


def test_pt2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    model, maker, reader = captioner(), generator(False), Classifier.load(find_model("digitnet-tiny-mnist"), ALONE)
    spoken = export(model, tmp_path / "m.pt2", to="pt2")
    (encode, card), (decode, _) = (pt2(part.path) for part in spoken.parts)
    assert card == model.card
    pixels = torch.randint(0, 256, (3, 3, 16, 24), dtype=torch.uint8)
    for count in (1, 3):
        ours = model.say(model.features(pixels[:count]))
        with torch.no_grad():
            halves = export_check.Halves(lambda fed: [*encode(*fed)], lambda fed: [*decode(*fed)])
            theirs = halves.spoken(pixels[:count], model.features(pixels[:count]))
        assert torch.equal(ours.words, theirs.words)
        assert ours.words.shape[2] > 3
    made, card = pt2(export(maker, tmp_path / "g.pt2", to="pt2").parts[0].path)
    assert card == maker.card
    assert torch.equal(made(maker.noise(1, 3).flatten(1)), maker.images(maker.noise(1, 3)))
    assert command(["digitnet-tiny-mnist", "--to", "pt2", "-o", str(tmp_path / "c.pt2"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["likeness"]["score"] <= 1e-4, told["compared"]) == ("classify", True, 4)
    assert told["files"][0]["outputs"] == {"logits": "float32 (batch, 10)"}
    digits = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    torch.testing.assert_close(pt2(tmp_path / "c.pt2")[0](digits), reader.logits(digits), rtol=1e-4, atol=1e-4)

    put, placed = os.replace, []

    def fails_at_last(source: Path, target: Path) -> None:
        if target.suffix == ".pt2":
            placed.append(target)
            if len(placed) == 2:
                raise PermissionError(13, "Permission denied")
        put(source, target)

    for part in spoken.parts:
        part.path.unlink()
    monkeypatch.setattr(os, "replace", fails_at_last)
    with pytest.raises(ConfigError, match="Permission denied"):
        export(model, tmp_path / "m.pt2", to="pt2")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.pt2", "g.pt2"]  # both files of a captioner, or none


def test_fewer_bits(tmp_path: Path):
    reader = Classifier.load(find_model("digitnet-tiny-mnist"), ALONE)
    small = export(reader, tmp_path / "m.onnx", precision="int8", calibrate="digits")
    assert small.loss is not None
    assert (small.loss.data, small.loss.split) == ("digits", "test")
    assert 1e-4 < small.likeness.score < 0.5
    assert small.json()["loss"]["points"] == small.loss.points
    assert (
        json.loads(onnxruntime.InferenceSession(small.parts[0].path).get_modelmeta().custom_metadata_map["gipi"])["kind"]
        == "classify"
    )
    for wrong, model, asked in (
        ("this does generate", generator(True), {"precision": "int8", "calibrate": "digits"}),
        ("leave it out", generator(True), {"precision": "fp16", "calibrate": "digits"}),
        ("reads none", generator(True), {"check": tmp_path / "a.png"}),
    ):
        with pytest.raises(ConfigError, match=wrong):
            export(model, tmp_path / "g.onnx", **asked)


def test_likeness_of_what_is_rounded_and_of_what_is_no_number():
    model, noise = generator(False), torch.randn(4, 5)
    with torch.no_grad():
        exact = model.pixels(model.net(noise[:, :, None, None])).clamp(0, 255)
    rounded = exact.round()
    assert export_check.likeness(model, (noise,), [lambda fed: [rounded]]).score == 0
    other = rounded.clone()
    other[0, 0, 0, 0] += 2
    off = (abs(float(other[0, 0, 0, 0] - exact[0, 0, 0, 0])) - 0.5) / 255
    assert export_check.likeness(model, (noise,), [lambda fed: [other]]).score == pytest.approx(off, abs=1e-6)
    other[0, 0, 0, 0] = math.nan
    assert not export_check.likeness(model, (noise,), [lambda fed: [other]]).worse(export_check.Likeness(0)).alike


def test_values_are_compared_relative_to_their_size(caught: Exported):
    class Rich(Player):
        def values(self, stacked: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[200.0, 100.0, 0.1]])

    model, seen = Rich.load(find_model("dqn-catch"), ALONE), (torch.zeros(1),)
    score = export_check.likeness(model, seen, [lambda fed: [torch.tensor([[200.01, 100.0, 0.1]]), torch.tensor([0])]]).score
    assert score == pytest.approx(5e-5, rel=0.01)
    assert export_check.likeness(model, seen, [lambda fed: [torch.tensor([[200.0, 100.0, 0.1]]), torch.tensor([1])]]).score == 0.5


def test_classifier_runs_alone_and_scales_pictures(tmp_path: Path):
    """A shipped digit reader, told that it reads pictures of any size: as if Pillow had scaled them, but for its rounding."""
    model = Classifier.load(find_model("digitnet-tiny-mnist"), ALONE)
    how = replace(model.card.preprocess, framing="resize")
    model = Classifier(model.net, replace(model.card, preprocess=how), ALONE)
    [file] = export(model, tmp_path / "m.onnx").parts
    assert file.inputs == {"pixels": "uint8 (batch, 1, height, width)"}
    drawn = Generator.load(find_model("dcgan-mnist"), ALONE).make(1, 3, "7").images[0, 0].numpy()
    for width, height in ((28, 28), (90, 61), (300, 400), (20, 33)):
        Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC).save(tmp_path / "seven.png")
        with Image.open(tmp_path / "seven.png") as image:
            [logits] = answers(file.path, torch.from_numpy(np.array(image))[None, None])
        ours = model.logits(model.frame(tmp_path / "seven.png")[None])
        assert (logits.softmax(1) - ours.softmax(1)).abs().max() < 0.01
        assert run(file.path, tmp_path / "seven.png").startswith(f"{tmp_path / 'seven.png'}: 7 ")


@pytest.mark.slow
def test_segmenter_and_detector_run_alone(tmp_path: Path):
    picture = tmp_path / "scene.png"
    Image.fromarray(scene("test", 10).image.transpose(1, 2, 0)).resize((192, 128)).save(picture)
    segmenter, detector = (
        kind.load(find_model(name), ALONE) for kind, name in ((Segmenter, "fcn-scenes"), (Detector, "faster-rcnn-scenes"))
    )
    [file] = export(segmenter, tmp_path / "s.onnx").parts
    assert run(file.path, picture).endswith(f"-> {tmp_path / 'scene-mask.png'}")
    with Image.open(tmp_path / "scene-mask.png") as mask:
        same = np.asarray(mask) == segmenter.predict(picture).mask.numpy()
    assert same.mean() > 0.995  # Pillow scales the picture here, torch there
    [file] = export(detector, tmp_path / "d.onnx").parts
    assert run(file.path, picture).startswith(f"{picture}: 100% four at ")


@pytest.mark.slow
def test_pt2_of_any_size_and_with_boxes(tmp_path: Path):
    torch.manual_seed(0)
    net = fcn8s_resnet18(classes=3, width=0.125, stem="small").eval()
    for layer in net.score.values():
        torch.nn.init.normal_(layer.weight)
    model = Segmenter(net, Card("segment", "a net", {}, ("a", "b", "c"), Preprocess((3, 32, 40), "whole")), ALONE)
    module, _ = pt2(export(model, tmp_path / "s.pt2", to="pt2").parts[0].path)
    for size in ((1, 32, 40), (3, 33, 57), (2, 48, 64)):
        pixels = torch.randint(0, 256, (size[0], 3, *size[1:]), dtype=torch.uint8)
        torch.testing.assert_close(module(pixels), model.logits(pixels), rtol=1e-4, atol=1e-4)
    exported = export(Detector.load(find_model("faster-rcnn-scenes"), ALONE), tmp_path / "d.pt2", to="pt2")
    assert "import gipi.ops.boxes" in exported.text()
    code = f"import gipi.ops.boxes, torch; print(len(torch.export.load({str(tmp_path / 'd.pt2')!r}).module()(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr


def test_the_runner_frames_a_drawn_digit(tmp_path: Path):
    export(Classifier.load(find_model("digitnet-tiny-mnist"), ALONE), tmp_path / "m.onnx")
    seven = Path(__file__).parents[2] / "docs" / "images" / "seven.png"
    assert run(tmp_path / "m.onnx", seven).startswith(f"{seven}: 7 ")
