"""Training a detector: the laws of any training, the epoch that is kept, what it starts from, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.data.scenes import scene
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError, RunError, WeightsError
from gipi.model import Card, find_model, load_model, read_card, save_model
from gipi.models.kinds import build_net
from gipi.models.region_net import Found
from gipi.ops.boxes import iou
from gipi.preprocess import Preprocess
from gipi.runs import Run
from gipi.tasks.boxes import load_boxes
from gipi.tasks.detect import Detect, packed, unpacked
from gipi.tasks.detector import Detector, joined
from oracle.boxed import CLASSES, boxed
from oracle.ranks import in_ranks
from oracle.stopped import train

CPU = decide_place(device="cpu", precision="fp32")
CLOCK = ("time_s", "samples_per_s", "left_s")
SMALL = {"width": 0.125, "stem": "small", "fixed": 0, "pyramid": 16, "hidden": 32, "drawn": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxed(tmp_path_factory.mktemp("boxed"))


@pytest.fixture
def config(data: Path) -> Config:
    return Config(
        kind="detect",
        net=NetConfig("faster-rcnn-resnet18-fpn", {**SMALL, "anchor": 8, "proposals": 20}),
        data=DataConfig(str(data), batch=4, augment=AugmentConfig(flip=0.5, shift_px=3, brightness=0.1)),
        optim=OptimConfig("adamw", lr=5e-3, schedule="cosine", ema=0.8, clip=10.0),
        run=RunConfig(epochs=2, device="cpu", precision="fp32", seed=1),
    )  # 3 steps an epoch


def rows(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in Run.open(path).rows()]


def test_resumed_is_straight_to_the_bit(config: Config, tmp_path: Path):
    train(0, config, tmp_path / "straight")
    with pytest.raises(RunError, match="stop here"):
        train(0, config, tmp_path / "stopped", 3)
    train(0, config, tmp_path / "stopped")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
    states = [torch.load(tmp_path / name / "state-0.pt", weights_only=True)["parts"] for name in ("straight", "stopped")]
    for name in ("best", "course"):
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "stopped")]
    assert files[0] == files[1]


def test_several_processes_and_parts_of_a_batch_equal_one(config: Config, tmp_path: Path):
    """What is drawn of an image depends on its number alone. SGD, whose steps are as far apart as the gradients are; no batch norm
    that would see the batch.
    """
    net = NetConfig(
        "faster-rcnn-vgg16", {"width": 0.03125, "fixed": 0, "anchor": 8, "drawn": 16, "proposals": 20, "dropout": 0.0}
    )
    data = replace(config.data, limit=6, batch=3, holdout=0)
    config = replace(config, net=net, data=data, optim=OptimConfig("sgd", lr=0.01), run=replace(config.run, epochs=1))
    train(0, config, tmp_path / "one")
    in_ranks(2, train, replace(config, run=replace(config.run, processes=2)), tmp_path / "two")
    train(0, replace(config, optim=replace(config.optim, accumulate=3)), tmp_path / "parts")
    one = load_file(tmp_path / "one" / "model.safetensors")
    for other in ("two", "parts"):
        for name, value in load_file(tmp_path / other / "model.safetensors").items():
            torch.testing.assert_close(value, one[name], rtol=0, atol=1e-4, msg=f"{other}: {name}")
        for row, straight in zip(rows(tmp_path / other), rows(tmp_path / "one"), strict=True):
            assert row == pytest.approx(straight, abs=1e-2)


@pytest.mark.slow
def test_it_learns_and_tells_what_it_was_trained_on(config: Config, tmp_path: Path):
    wider = {"width": 0.25, "pyramid": 32, "hidden": 64, "drawn": 32}
    config = replace(
        config,
        net=replace(config.net, args={**config.net.args, **wider}),
        optim=OptimConfig("adamw", lr=5e-3, schedule="one-cycle", clip=10.0),
        run=replace(config.run, epochs=80),
    )
    train(0, config, tmp_path / "run")
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert card.metrics["ap50"] > 0.8
    assert {"ap", "ap50", "ap75", "voc_ap", "voc_ap11"} <= set(card.metrics)
    assert (card.kind, card.classes, card.image) == ("detect", CLASSES, (3, 32, 48))
    assert len(card.data) == 2
    model, test = Detector.load(tmp_path / "run" / "model.safetensors", CPU), load_boxes(config.data.name, "test")
    answer = model.answer([test.images[1]])[0]
    assert len(answer.boxes) >= 2
    truth = test.boxes[1]
    best = iou(answer.boxes, truth).max(0)
    assert (best.values > 0.5).all()
    assert answer.labels[best.indices].tolist() == test.labels[1].tolist()
    tall = torch.nn.functional.interpolate(test.images[1:2].float(), scale_factor=3).byte()  # found again in its own pixels
    best = iou(model.find(tall).boxes[0], 3 * truth).max(0)
    assert (best.values > 0.5).all()


def test_without_validation_the_last_weights_are_kept(config: Config, tmp_path: Path):
    train(0, replace(config, data=replace(config.data, holdout=0), run=replace(config.run, epochs=1)), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["parts"]
    last, kept = state["optim"]["average"], load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in last.items())
    assert {row["split"] for row in rows(tmp_path / "run")} == {"train", "test"}


def test_given_regions_are_moved_with_their_images(config: Config, monkeypatch: pytest.MonkeyPatch):
    """The true boxes as regions stay the true boxes."""
    monkeypatch.setattr("gipi.tasks.detect.proposals", lambda data: data.boxes.clone())
    task = Detect(replace(config, net=NetConfig("fast-rcnn-resnet18-fpn", SMALL)), CPU)
    moved = 0
    for _ in range(3):
        raw = next(task.source())
        batch = task.prepare(raw)
        assert batch.regions is not None
        assert torch.equal(batch.regions, batch.boxes)
        moved += int((batch.boxes != task.boxes[raw.number]).any())
        assert task.step(raw)["loss"].count == 4
    assert moved


def test_pictures_of_any_size_are_answered_in_their_pixels(config: Config):
    model = Detect(config, CPU).answering
    model.net.score = 0.0
    for height, width in ((32, 48), (33, 47), (64, 200), (16, 16), (1, 1), (5, 900)):
        found = model.find(torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8))
        real = found.labels >= 0
        assert (found.boxes[real] >= 0).all()
        assert (found.boxes[real] <= torch.tensor([width, height] * 2) * (1 + 1e-6)).all()
    assert model.size(1000, 100) == (50, 5)  # the longer one at most 1333 / 800 times the model's shorter one


def test_thresholds(config: Config):
    model = Detect(config, CPU).answering
    model.threshold(score=0.0, overlap=0.9)
    every = model.answer([torch.zeros(3, 32, 48, dtype=torch.uint8)])[0]
    model.threshold(score=0.2)
    some = model.answer([torch.zeros(3, 32, 48, dtype=torch.uint8)])[0]
    assert len(every.boxes) >= len(some.boxes)
    assert (some.scores >= 0.2).all()
    for name in ("score", "overlap"):
        with pytest.raises(ConfigError, match=f"--{name} is 1.5, allowed are 0 to 1"):
            model.threshold(**{name: 1.5})


def test_images_filled_up_and_batches_change_nothing(config: Config):
    """Of each image alone, cut to its own size, the same is found as in a batch where it is filled up."""
    model = Detect(config, CPU).answering
    torch.manual_seed(3)
    pixels, sizes = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8), torch.tensor([[32, 48], [24, 40]])
    pixels[1, :, 24:], pixels[1, :, :, 40:] = 0, 0
    found = model.detect(pixels, sizes)
    alone = model.detect(pixels[1:], sizes[1:])
    torch.testing.assert_close(found.boxes[1], alone.boxes[0], atol=1e-3, rtol=1e-3)
    assert (found.boxes[1] <= torch.tensor([40, 24, 40, 24])).all()


def test_parts_with_more_and_fewer_boxes_are_joined():
    one = Found(torch.ones(1, 1, 4), torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int64))
    two = Found(torch.full((2, 3, 4), 2.0), torch.full((2, 3), 0.5), torch.ones(2, 3, dtype=torch.int64))
    both = joined([one, two])
    assert both.boxes.shape == (3, 3, 4)
    assert both.labels.tolist() == [[0, -1, -1], [1, 1, 1], [1, 1, 1]]
    assert both.scores[0].tolist() == [1, 0, 0]
    assert all(torch.equal(a, b) for a, b in zip(unpacked(packed(both)), both, strict=True))


def test_it_starts_from_a_classifier_of_its_own_backbone_or_a_detector(config: Config, tmp_path: Path):
    torch.manual_seed(5)
    args = {"classes": 3, "width": 0.125, "stem": "small"}
    net = build_net("resnet18", args)
    how = Preprocess((3, 32, 32), "crop", 32, (0.4,), (0.2,))
    save_model(tmp_path / "c.safetensors", net.state_dict(), Card("classify", "resnet18", args, ("a", "b", "c"), how))
    begun = replace(config, transfer=TransferConfig(str(tmp_path / "c.safetensors"), first_rate=0.1))
    task = Detect(begun, CPU)
    own = task.model.net.state_dict()
    assert all(torch.equal(own[f"backbone.body.{key}"], value) for key, value in net.state_dict().items() if "layer" in key)
    assert task.model.card.preprocess.mean == (0.4,)
    assert task.model.card.parents == (str(tmp_path / "c.safetensors"),)
    other = NetConfig("faster-rcnn-mobilenet-v2-fpn", {"width": 0.125})
    with pytest.raises(ConfigError, match="resnet18; 'faster-rcnn-mobilenet-v2-fpn' starts from mobilenet-v2"):
        Detect(replace(begun, net=other), CPU)
    with pytest.raises(WeightsError, match="does not fit"):
        Detect(replace(begun, net=replace(config.net, args={**config.net.args, "width": 0.25})), CPU)
    # A detector of other classes: all but what scores them
    detector = task.answering
    weights = {name: value + 1 if value.is_floating_point() else value for name, value in detector.net.state_dict().items()}
    save_model(tmp_path / "d.safetensors", weights, replace(detector.card, classes=("x", "y")))
    own = Detect(replace(config, transfer=TransferConfig(str(tmp_path / "d.safetensors"))), CPU).model.net.state_dict()
    same = {name for name, value in own.items() if value.is_floating_point() and torch.equal(value, weights[name])}
    fresh = {name for name, value in own.items() if value.is_floating_point()} - same
    assert {name.split(".")[1] for name in fresh} == {"box_predictor"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": RunConfig(members=2)}, "--members is for classifiers"),
        ({"data": {"augment": AugmentConfig(mixup=0.2)}}, "mixup"),
        ({"data": {"augment": AugmentConfig(elastic_px=2)}}, "elastic_px 2 is not for images with boxes"),
        ({"data": {"class_weights": "median-frequency"}}, "class-weights is for segmentation"),
        ({"optim": OptimConfig(label_smoothing=0.1)}, "label-smoothing is for all kinds but detection"),
        ({"net": NetConfig("resnet18")}, "does classify, not detect"),
        ({"net": NetConfig("faster-rcnn-resnet18-fpn", {"width": 0.125})}, "keeps its first layers .* give --from imagenet"),
        ({"data": {"name": "mnist"}}, "has no boxes; those that have: bccd, scenes"),
        ({"data": {"name": "bcdd"}}, "did you mean 'bccd'"),
        ({"data": {"name": ""}}, "name the folder of images and boxes by --data"),
        ({"data": {"size": 4}}, "smaller than the stride 8"),
        ({"data": {"batch": 99}}, "batch size 99 does not fit 12"),
    ],
)
def test_what_cannot_be_is_refused(config: Config, change: dict[str, Any], says: str):
    part = change.pop("data", {})
    with pytest.raises((ConfigError, DataError), match=says):
        Detect(replace(config, data=replace(config.data, **part), **change), CPU)


def test_a_model_of_other_classes_is_not_scored(config: Config):
    model = Detect(config, CPU).answering
    with pytest.raises(ConfigError, match="the model knows green, red, but 'scenes' has zero"):
        model.evaluate(load_boxes("scenes", "validation"))


def test_a_model_file_is_all_that_is_needed(config: Config, tmp_path: Path):
    model = Detect(config, CPU).answering
    model.save(tmp_path / "m.safetensors")
    again = Detector.load(tmp_path / "m.safetensors", CPU)
    pixels = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
    assert all(torch.equal(a, b) for a, b in zip(model.find(pixels), again.find(pixels), strict=True))
    assert load_model(tmp_path / "m.safetensors")[1] == model.card


def test_the_model_that_comes_with_the_package_finds_and_reads_digits():
    """Of 40 digits or more hardly one is missed, misread or made up."""
    model = Detector.load(find_model("faster-rcnn-scenes"), CPU)
    right = wrong = there = 0
    for index in range(24):
        drawn = scene("test", index)
        answer = model.answer([torch.from_numpy(drawn.image)])[0]
        same = answer.labels[:, None] == torch.from_numpy(drawn.labels - 1)
        hit = (iou(answer.boxes, torch.from_numpy(drawn.boxes).float()) > 0.5) & same
        right, wrong, there = right + int(hit.any(0).sum()), wrong + int((~hit.any(1)).sum()), there + len(drawn.boxes)
    assert there >= 40
    assert right >= there - 2
    assert wrong <= 4
