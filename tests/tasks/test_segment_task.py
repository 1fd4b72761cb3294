"""Training a segmentation net: the laws of any training, the epoch that is kept, what it starts from, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import confusion_matrix, jaccard_score

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError, RunError, WeightsError
from gipi.model import Card, find_model, load_model, read_card, save_model
from gipi.models.kinds import build_net
from gipi.ops.segmentation import VOID
from gipi.preprocess import Preprocess
from gipi.runs import Run
from gipi.tasks.keep import Best, Course
from gipi.tasks.masks import load_masks
from gipi.tasks.segment import Segment
from gipi.tasks.segmenter import Segmenter
from oracle.masks import CLASSES, rectangles
from oracle.ranks import in_ranks
from oracle.stopped import train

CPU = decide_place(device="cpu", precision="fp32")
CLOCK = ("time_s", "samples_per_s", "left_s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rectangles(tmp_path_factory.mktemp("rectangles") / "set")


@pytest.fixture
def config(folder: Path) -> Config:
    return Config(
        kind="segment",
        net=NetConfig("segnet-basic", {"width": 0.125, "kernel": 3}),
        data=DataConfig(str(folder), batch=4, augment=AugmentConfig(flip=0.5, crop=0.2, brightness=0.1)),
        optim=OptimConfig("adamw", lr=1e-2, schedule="cosine", ema=0.8),
        run=RunConfig(epochs=3, device="cpu", precision="fp32", seed=1),
    )  # 3 steps an epoch


def rows(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in Run.open(path).rows()]


def test_resumed_is_straight_to_the_bit(config: Config, tmp_path: Path):
    train(0, config, tmp_path / "straight")
    with pytest.raises(RunError, match="stop here"):
        train(0, config, tmp_path / "stopped", 6)
    train(0, config, tmp_path / "stopped")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
    states = [torch.load(tmp_path / name / "state-0.pt", weights_only=True)["parts"] for name in ("straight", "stopped")]
    for name in ("best", "course"):
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "stopped")]
    assert files[0] == files[1]


def test_several_processes_and_parts_of_a_batch_equal_one(config: Config, tmp_path: Path):
    """SGD, whose steps are as far apart as the gradients are. Batch norm by the whole batch, as parts of one would differ."""
    config = replace(
        config,
        net=NetConfig("fcn8s-vgg16", {"width": 0.03125, "dropout": 0.0}),
        optim=OptimConfig("sgd", lr=0.05),
        run=replace(config.run, epochs=1),
    )
    train(0, config, tmp_path / "one")
    in_ranks(2, train, replace(config, run=replace(config.run, processes=2)), tmp_path / "two")
    train(0, replace(config, optim=replace(config.optim, accumulate=3)), tmp_path / "parts")
    one = load_file(tmp_path / "one" / "model.safetensors")
    for other in ("two", "parts"):
        for name, value in load_file(tmp_path / other / "model.safetensors").items():
            torch.testing.assert_close(value, one[name], rtol=0, atol=1e-4, msg=f"{other}: {name}")
        for row, straight in zip(rows(tmp_path / other), rows(tmp_path / "one"), strict=True):
            assert row == pytest.approx(straight, abs=1e-4)


def test_it_learns_and_tells_what_it_was_trained_on(config: Config, tmp_path: Path):
    config = replace(config, net=NetConfig("segnet-basic", {"width": 0.25, "kernel": 3}), run=replace(config.run, epochs=60))
    train(0, config, tmp_path / "run")
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert card.metrics["mean_iou"] > 0.8
    assert set(card.metrics) == {"mean_iou", "pixel_accuracy", "class_accuracy", "boundary_f1"}
    assert (card.kind, card.classes, card.image, len(card.colours)) == ("segment", CLASSES, (3, 32, 48), 3)
    assert card.preprocess.short == 32
    assert len(card.data) == 2


def test_the_weights_of_the_best_epoch_are_kept(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scores, seen = [0.3, 0.7, 0.5], []
    offer = Best.offer

    def offered(best: Best, score: float, weights: Any) -> None:
        seen.append({name: value.clone() for name, value in weights().items()})
        offer(best, scores[len(seen) - 1], weights)

    monkeypatch.setattr(Best, "offer", offered)
    train(0, config, tmp_path / "run")
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert any(not torch.equal(kept[name], value) for name, value in seen[2].items())


def test_without_validation_the_last_weights_are_kept(config: Config, tmp_path: Path):
    train(0, replace(config, data=replace(config.data, holdout=0)), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["parts"]
    last, kept = state["optim"]["average"], load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in last.items())
    assert {row["split"] for row in rows(tmp_path / "run")} == {"train", "test"}


def test_the_course_keeps_epochs_ever_further_apart_and_the_last():
    course = Course(11)
    for epoch in range(1, 12):
        course.add(torch.full((2, 3, 4), epoch, dtype=torch.uint8))
    assert [*course.answers] == [1, 2, 4, 8, 11]
    again = Course(11)
    again.load_state_dict(course.state_dict())
    assert all(torch.equal(again.answers[epoch], torch.full((2, 3, 4), epoch)) for epoch in course.answers)


def test_void_pixels_and_what_fills_up_an_image_teach_nothing(config: Config):
    """The loss is the mean of what each labelled pixel's is, times their share; the net sees 32x48 as 32x48."""
    task = Segment(replace(config, data=replace(config.data, augment=AugmentConfig())), CPU)
    batch = task.prepare(next(task.source()))
    loss, count, _ = task._loss(batch)
    log = task.model.net(batch.images).log_softmax(1).detach()
    by_hand = 0.0
    for image, label in zip(log, batch.labels, strict=True):
        for k in range(3):
            by_hand -= float(image[k][label == k].sum())
    assert count == 4
    assert (batch.labels[:, 0] == VOID).all()
    assert float(loss.detach()) == pytest.approx(by_hand / batch.labels.numel(), rel=1e-5)


def test_rare_classes_count_more_if_asked(config: Config):
    task = Segment(replace(config, data=replace(config.data, class_weights="median-frequency")), CPU)
    weights = task._class_weights
    assert weights is not None
    assert weights[0] < weights[1]
    assert weights[0] < weights[2]


def test_scores_are_scikit_learns(config: Config, folder: Path):
    torch.manual_seed(0)
    task, data = Segment(config, CPU), load_masks(str(folder), "test")
    result = task.answering.evaluate(data)
    known = (data.labels != VOID).numpy()
    labels, answers = data.labels.numpy()[known], result.answers.numpy()[known]
    assert np.array_equal(result.confusion.numpy(), confusion_matrix(labels, answers, labels=[0, 1, 2]))
    there = np.union1d(labels, answers)
    ious = jaccard_score(labels, answers, average=None, labels=there)
    assert result.metrics["mean_iou"].value == pytest.approx(ious.mean(), rel=1e-12)
    assert result.metrics["mean_iou"].count == len(there)


def test_pictures_of_any_size_are_answered_at_their_size(config: Config, tmp_path: Path):
    model = Segment(config, CPU).answering
    for height, width in ((32, 48), (33, 47), (64, 200), (16, 16), (1, 1)):
        pixels = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
        assert model.masks(pixels).shape == (1, height, width)
    pixels = torch.randint(0, 256, (1, 3, 32, 48), dtype=torch.uint8)
    assert torch.equal(model.masks(pixels), model.logits(pixels).argmax(1).byte())


def test_it_starts_from_a_classifier_of_its_own_backbone(config: Config, tmp_path: Path):
    torch.manual_seed(5)
    args = {"classes": 3, "width": 0.03125}
    net = build_net("vgg16", args)
    how = Preprocess((3, 224, 224), "crop", 256, (0.4,), (0.2,))
    save_model(tmp_path / "vgg.safetensors", net.state_dict(), Card("classify", "vgg16", args, ("a", "b", "c"), how))
    begun = replace(
        config,
        net=NetConfig("fcn8s-vgg16", {"width": 0.03125}),
        transfer=TransferConfig(str(tmp_path / "vgg.safetensors"), first_rate=0.1),
    )
    task = Segment(begun, CPU)
    own, theirs = task.model.net.state_dict(), net.state_dict()
    taken = [name for name, value in own.items() if any(value.numel() == v.numel() and torch.equal(value.flatten(), v.flatten())
                                                        for k, v in theirs.items() if "weight" in k)]  # fmt: skip
    assert len(taken) >= 15  # 13 convolutions and two affine layers, at least
    assert task.model.card.preprocess.mean == (0.4,)
    assert task.model.card.parents == (str(tmp_path / "vgg.safetensors"),)
    with pytest.raises(ConfigError, match="starts from no classifier"):
        Segment(replace(begun, net=config.net), CPU)
    with pytest.raises(WeightsError, match="does not fit"):
        Segment(replace(begun, net=NetConfig("fcn8s-vgg16", {"width": 0.0625})), CPU)
    with pytest.raises(ConfigError, match="vgg16; 'fcn8s-resnet18' starts from resnet18"):
        Segment(replace(begun, net=NetConfig("fcn8s-resnet18", {"width": 0.125})), CPU)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": RunConfig(members=2)}, "--members is for classifiers"),
        ({"data": {"augment": AugmentConfig(mixup=0.2)}}, "mixup is for classifiers"),
        ({"net": NetConfig("resnet18")}, "does classify, not segment"),
        ({"data": {"name": "mnist"}}, "has no masks; those that have: "),
        ({"data": {"name": "camvit"}}, "did you mean 'camvid'"),
        ({"data": {"size": 8}}, "smaller than the stride 16"),
        ({"data": {"batch": 99}}, "batch size 99 does not fit 12"),
    ],
)
def test_what_cannot_be_is_refused(config: Config, change: dict[str, Any], says: str):
    data = change.pop("data", {})
    with pytest.raises((ConfigError, DataError), match=says):
        Segment(replace(config, data=replace(config.data, **data), **change), CPU)


def test_the_model_that_comes_with_the_package_reads_scenes():
    model = Segmenter.load(find_model("fcn-scenes"), CPU)
    result = model.evaluate(load_masks("scenes", "test").limit(64))
    assert abs(result.metrics["mean_iou"].value - model.card.metrics["mean_iou"]) < 0.05
    assert result.metrics["mean_iou"].value > 0.85


def test_a_model_of_other_classes_is_not_scored(config: Config):
    model = Segment(config, CPU).answering
    with pytest.raises(ConfigError, match="the model knows ground, red, green, but 'scenes' has background"):
        model.evaluate(load_masks("scenes", "validation"))


def test_a_model_file_is_all_that_is_needed(config: Config, tmp_path: Path):
    model = Segment(config, CPU).answering
    model.save(tmp_path / "m.safetensors")
    again = Segmenter.load(tmp_path / "m.safetensors", CPU)
    pixels = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
    assert torch.equal(model.masks(pixels), again.masks(pixels))
    assert load_model(tmp_path / "m.safetensors")[1] == model.card
