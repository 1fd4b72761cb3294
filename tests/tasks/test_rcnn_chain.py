"""R-CNN's chain of runs: stopped anywhere and gone on with it is the straight one, and each stage does what the paper says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.data.box_folder import box_folder
from gipi.engine import loop
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, RunError
from gipi.model import read_card
from gipi.ops import selective_search as search
from gipi.ops.boxes import encode
from gipi.runs import Run, claim
from gipi.tasks import rcnn
from gipi.tasks.detector import Detector
from gipi.tasks.proposals import kept, proposals
from gipi.tasks.rcnn_features import Features
from gipi.tasks.rcnn_ridge import LAMBDA, pairs
from gipi.tasks.rcnn_svm import NORM, C, Svm, fit_svms
from oracle.boxed import boxed

CPU = decide_place(device="cpu", precision="fp32")
STAGES = ("regions", "finetune", "svm", "boxes")


@pytest.fixture(scope="module", autouse=True)
def _small():
    """A search of small images and one cache for all tests, which would take a minute else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "LONG", 64)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxed(tmp_path_factory.mktemp("boxed") / "set", train=7, validation=2, test=2)


@pytest.fixture(scope="module")
def config(folder: Path) -> Config:
    return Config(
        kind="detect",
        net=NetConfig("rcnn-resnet18", {"width": 0.125, "stem": "small", "side": 16, "drawn": 16}),
        data=DataConfig(str(folder), batch=2, augment=AugmentConfig(brightness=0.1)),
        optim=OptimConfig("adamw", lr=5e-3),
        run=RunConfig(epochs=4, device="cpu", precision="fp32", seed=3),
    )


def chain(config: Config, path: Path, rows: list[dict[str, Any]] | None = None) -> Run:
    begun = (path / "config.json").exists()
    opened = (lambda: Run.open(path)) if begun else (lambda: Run.create(config.to_json(), path))
    return rcnn.train_chain(config, opened, None if rows is None else rows.append, report=False)


@pytest.fixture(scope="module")
def straight(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    return chain(config, tmp_path_factory.mktemp("chain") / "straight", rows), rows


def test_each_stage_is_a_run_with_its_parent(straight):
    run, rows = straight
    assert run.ended() == "done"
    assert list(dict.fromkeys(row["stage"] for row in rows)) == list(STAGES)
    for name in STAGES:
        stage = Run.open(run.path / name)
        assert stage.ended() == "done"
        assert stage.config() == run.config()
    assert read_card(run.path / "svm" / "model.safetensors").parents == ("finetune/model.safetensors",)
    assert read_card(run.path / "boxes" / "model.safetensors").parents == ("svm/model.safetensors",)
    card = read_card(run.model_path)
    assert [(run.path / parent).is_file() for parent in card.parents] == [True] * 3
    splits = [row["split"] for row in run.rows()]
    assert splits[-2:] == ["validation", "test"]
    assert splits.count("test") == 1
    assert card.metrics["ap50"] == run.rows()[-1]["ap50"]
    assert len(card.data) == 2


def test_stopped_in_each_stage_and_gone_on_with_is_straight(straight, config: Config, tmp_path: Path, monkeypatch):
    """Each stage fails once, right after its work; the fine-tuning also in the middle, the features after half of the images."""
    path, save, seen = tmp_path / "stopped", loop.save, []

    def failing(stage):
        def fail(chain: Any, run: Run) -> str:
            stage(chain, run)
            if run.path.name not in seen:
                seen.append(run.path.name)
                raise RunError("stop here")
            return ""

        return fail

    def save_then_fail(task: Any, place: Any, run: Run, step: int, *rest: Any) -> None:
        save(task, place, run, step, *rest)
        if step == 6 and "half" not in seen:
            seen.append("half")
            raise RunError("stop here")

    monkeypatch.setattr(rcnn, "STAGES", {name: failing(stage) for name, stage in rcnn.STAGES.items()})
    monkeypatch.setattr(loop, "save", save_then_fail)
    for _ in range(5):
        with pytest.raises(RunError, match="stop here"):
            chain(config, path)
        assert Run(path).ended() == "failed"
        for half in (path / "svm" / "features").glob("[3-9].npy"):
            half.unlink()
    run = chain(config, path)
    assert seen == ["regions", "half", "finetune", "svm", "boxes"]
    assert run.model_path.read_bytes() == straight[0].model_path.read_bytes()
    clock = {"time_s", "samples_per_s", "left_s"}
    same = [[{k: v for k, v in row.items() if k not in clock} for row in each.rows()] for each in (run, straight[0])]
    assert same[0] == same[1]


def test_it_finds_the_rectangles(straight, folder: Path):
    """Trained for seconds, it need not find all: what it is sure of is right more often than not."""
    model = Detector.load(straight[0].model_path, CPU)
    result = model.evaluate(box_folder(folder, "train"))
    assert result.metrics["ap50"].value > 0.6


@pytest.fixture(scope="module")
def features(straight, folder: Path) -> Features:
    """Of the trained chain, from its files."""
    data = box_folder(folder, "train")
    model = Detector.load(straight[0].path / "finetune" / "model.safetensors", CPU)
    return Features(model, data, proposals(data), straight[0].path / "svm" / "features")


def test_svms_with_hard_negatives_are_those_of_all_negatives(straight, features: Features):
    """Negatives beyond the margin do not change a hinge's minimum: mining finds what an SVM of all of them finds."""
    net: Any = Detector.load(straight[0].path / "svm" / "model.safetensors", CPU).net
    everything = [*features]
    scale = NORM / float(torch.cat([seen.features.norm(dim=1) for seen in everything]).mean())
    for label in (0, 1):
        positive = torch.cat(
            [seen.features[len(seen.features) - len(seen.labels) :][seen.labels == label] for seen in everything]
        )
        negative = torch.cat([seen.features[seen.overlaps[:, label] < 0.3] for seen in everything])
        inputs = torch.cat([positive, negative]).numpy() * scale
        labels = np.arange(len(inputs)) < len(positive)
        whole = LinearSVC(C=C, dual=False, class_weight={True: 2.0}, intercept_scaling=10.0, tol=1e-6).fit(inputs, labels)
        margins = net.margins(torch.cat([positive, negative]))[:, label].numpy()
        assert np.abs(margins - whole.decision_function(inputs)).max() < 0.05


def test_the_svm_keeps_no_easy_negatives():
    random = np.random.default_rng(0)
    positives = random.normal(3, 1, (20, 8)).astype(np.float32)
    svm = Svm(positives)
    for _ in range(5):
        svm.meet(random.normal(-3, 2, (1500, 8)).astype(np.float32))
    svm.fit()
    assert svm.fits > 1
    assert (svm.margins(svm.negatives) > -1.2).all()
    assert svm.margins(positives).min() > svm.margins(random.normal(-3, 1, (100, 8))).max()


def test_ridge_is_scikit_learns_on_the_regions_near_a_box(straight, features: Features):
    net: Any = Detector.load(straight[0].model_path, CPU).net
    inputs, targets, labels = (torch.cat(part) for part in zip(*map(pairs, features), strict=True))
    scale = NORM / float(inputs.norm(dim=1).mean())
    for label in (0, 1):
        own = labels == label
        ridge = Ridge(alpha=LAMBDA).fit(inputs[own].double() * scale, targets[own].double())
        mine = torch.einsum("rd,ed->re", inputs[own], net.deltas[label]) + net.offset[label]
        torch.testing.assert_close(
            mine, torch.from_numpy(ridge.predict(inputs[own].double() * scale)).float(), rtol=1e-3, atol=1e-4
        )
    seen = next(seen for seen in features if len(seen.labels))
    _, offsets, _ = pairs(seen)
    row = 0
    for region in seen.boxes[: len(seen.boxes) - len(seen.truth)]:  # by loops
        best = max(range(len(seen.truth)), key=lambda one: _iou(region.tolist(), seen.truth[one].tolist()))
        if _iou(region.tolist(), seen.truth[best].tolist()) >= 0.6:
            torch.testing.assert_close(offsets[row], encode(seen.truth[best], region))
            row += 1
    assert row == len(offsets) > 0


def test_overlaps_are_with_the_nearest_box_of_each_class(features: Features):
    for seen in features:
        for row in range(0, len(seen.boxes), 7):
            for label in (0, 1):
                own = [box.tolist() for box, kind in zip(seen.truth, seen.labels, strict=True) if kind == label]
                best = max((_iou(seen.boxes[row].tolist(), box) for box in own), default=0.0)
                assert seen.overlaps[row, label] == pytest.approx(best, abs=1e-5)


def test_probabilities_keep_the_order_of_the_margins_and_mean_something(straight, features: Features):
    net: Any = Detector.load(straight[0].model_path, CPU).net
    scores = torch.cat([net.scores(seen.features) for seen in features])
    right = torch.cat([seen.overlaps >= 0.5 for seen in features])
    for label in (0, 1):
        assert net.slope[label] > 0
        assert float(scores[:, label].mean()) == pytest.approx(float(right[:, label].float().mean()), rel=0.05)


def test_a_class_without_boxes_is_never_found(straight, folder: Path, tmp_path: Path):
    data = box_folder(folder, "train")
    labels = torch.where(data.labels == 1, -1, data.labels)
    data = replace(data, labels=labels)
    model = Detector.load(straight[0].path / "finetune" / "model.safetensors", CPU)
    net: Any = model.net
    with pytest.warns(UserWarning, match="class 1 has no box"):
        [*fit_svms(net, Features(model, data, proposals(data), tmp_path))]
    assert (net.scores(torch.randn(50, net.weight.shape[1]))[:, 1] < 1e-6).all()


def test_regions_are_kept_by_the_pixels(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GIPI_CACHE", str(tmp_path))
    pixels = torch.randint(0, 256, (3, 24, 30), dtype=torch.uint8)
    first = kept(pixels)
    monkeypatch.setattr(search, "selective_search", None)  # not to be called again
    assert torch.equal(kept(pixels), first)
    with pytest.raises(TypeError):
        kept(255 - pixels)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": RunConfig(processes=2)}, "one process trains"),
        ({"run": RunConfig(members=2)}, "--members is for classifiers"),
        ({"net": NetConfig("rcnn-resnet81")}, "did you mean 'rcnn-resnet18'"),
        ({"optim": OptimConfig(label_smoothing=0.1)}, "label-smoothing is for all kinds but detection"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(config: Config, change: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=says):
        chain(replace(config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_another_process_is_at_is_left_to_it(config: Config, tmp_path: Path):
    with claim(tmp_path / "run" / "regions"), pytest.raises(RunError, match="another process is at"):
        chain(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "end.json").read_text())["status"] == "failed"


def _iou(a: list[float], b: list[float]) -> float:
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(tall, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
