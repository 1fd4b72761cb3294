"""Training R-CNN: a chain of runs, each of which begins with what the one before it left.

OUT/regions: selective search in every image.  OUT/finetune: the classifier learns from warped regions, by gradients.
OUT/svm: a linear SVM a class.  OUT/boxes: ridge regression of where the things are.  OUT: the whole, tested.
Each is a run folder; one that is done is not done again, one that was stopped goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gipi.config import Config
from gipi.data.boxes import NO_BOX, BoxSet
from gipi.engine.loop import fit
from gipi.engine.place import Place, place_for
from gipi.engine.ranks import launched
from gipi.errors import ConfigError, RunError
from gipi.inspect.detect_report import write_detect_report
from gipi.ops.boxes import iou
from gipi.ops.metrics import values
from gipi.runs import Run, claim
from gipi.tasks.boxes import load_boxes, training_boxes
from gipi.tasks.detect import Detect
from gipi.tasks.detector import Detector
from gipi.tasks.keep import note_test
from gipi.tasks.proposals import proposals
from gipi.tasks.rcnn_features import Features
from gipi.tasks.rcnn_ridge import fit_ridge
from gipi.tasks.rcnn_svm import fit_svms
from gipi.tasks.training import Echo, why
from gipi.tasks.whole_start import begin, check


class Chain(NamedTuple):
    """What all stages share. path: of the whole run.  train: the images that are learned from."""

    config: Config
    place: Place
    path: Path
    train: BoxSet


class FineTune(Detect):
    """The ordinary training of a detector, judged by nothing on the way: the chain is, once it is through."""

    def __init__(self, config: Config, place: Place) -> None:
        super().__init__(config, place)
        self._held_out = None


def train_chain(config: Config, open_run: Callable[[], Run], echo: Echo | None, report: bool) -> Run:
    """Train, or go on with, the chain of a configuration whose net is an R-CNN.

    open_run: called once the configuration has been found to be possible.  echo: called with the rows of the stages, too, which
    have their name as "stage". Raises as `train_one` does.
    """
    check(config)
    if config.run.processes > 1 or launched()[1] > 1:
        raise ConfigError("R-CNN is a chain of stages that one process trains: leave --processes out, start it without torchrun")
    place = place_for(config.run)
    data = training_boxes(config.data)
    with torch.random.fork_rng(enabled=True):
        begin(config, data.train, data.train.classes, data.digest)  # refuses what is impossible before anything is written
        run = open_run()
        chain = Chain(config, place, run.path, data.train)
        try:
            run.write_json("env.json", {**run.environment(), "place": str(place)})
            for name, stage in STAGES.items():
                if stopped := _stage(name, stage, chain, echo):
                    run.end("stopped", stopped)
                    return run
            _conclude(run, chain, data.held_out, report)
        except Exception as error:
            with suppress(RunError):
                run.end("failed", why(error))
            raise
    run.end("done", "all stages trained")
    return run


def _stage(name: str, stage: Callable[[Chain, Run], str], chain: Chain, echo: Echo | None) -> str:
    """Do a stage, unless it is done. Returns the name of the signal that stopped it, or ""."""
    path, shown = chain.path / name, (lambda row: echo({**row, "stage": name})) if echo else None
    with claim(path) as mine:
        if not mine:
            raise RunError(f"another process is at {path}: wait until it has ended")
        if not (path / "config.json").exists():
            run = Run.create(chain.config.to_json(), path, shown)
        else:
            run = Run.open(path, shown)
            if run.ended() == "done":
                return ""
            run.end("running", "resumed")
        if name != "finetune":  # only that one has rows of its own to go on with
            (path / "metrics.jsonl").unlink(missing_ok=True)
        torch.manual_seed(chain.place.seed)
        try:
            stopped = stage(chain, run)
        except Exception as error:
            with suppress(RunError):
                run.end("failed", why(error))
            raise
        run.end(*(("stopped", stopped) if stopped else ("done", f"{name} trained")))
        return stopped


def _search(chain: Chain, run: Run) -> str:
    """Regions of all training images, kept in the cache; how many of the things are in one of them is the stage's score."""
    begun, data = time.perf_counter(), chain.train
    regions = proposals(data)
    best = torch.cat(
        [_best(boxes[labels != NO_BOX], own) for boxes, labels, own in zip(data.boxes, data.labels, regions, strict=True)]
    )
    count = (regions != 0).any(2).sum() / len(data)
    recall = float((best >= 0.5).float().mean()) if len(best) else 0.0
    numbers = {"recall": recall, "regions": float(count)}
    run.append({"split": "train", "step": 1, "steps": 1, "time_s": round(time.perf_counter() - begun, 3), **numbers})
    return ""


def _best(boxes: Tensor, regions: Tensor) -> Tensor:
    """Of each box the IoU with the region that overlaps it most."""
    return iou(boxes, regions).amax(1)


def _finetune(chain: Chain, run: Run) -> str:
    task = FineTune(chain.config, chain.place)
    return fit(task, chain.place, run, task.steps, task.every)


def _svm(chain: Chain, run: Run) -> str:
    model, features, begun = *_begun(chain, "finetune"), time.perf_counter()
    for numbers in fit_svms(model.net, features):  # pyright: ignore[reportArgumentType]
        run.append({"split": "train", "time_s": round(time.perf_counter() - begun, 3), **numbers})
    model.save(run.model_path)
    return ""


def _boxes(chain: Chain, run: Run) -> str:
    model, features, begun = *_begun(chain, "svm"), time.perf_counter()
    numbers = fit_ridge(model.net, features)  # pyright: ignore[reportArgumentType]
    run.append({"split": "train", "step": 1, "steps": 1, "time_s": round(time.perf_counter() - begun, 3), **numbers})
    model.save(run.model_path)
    return ""


STAGES: dict[str, Callable[[Chain, Run], str]] = {"regions": _search, "finetune": _finetune, "svm": _svm, "boxes": _boxes}


def _begun(chain: Chain, parent: str) -> tuple[Detector, Features]:
    """The model that the stage before left, which is its parent, and what its classifier sees."""
    model = Detector.load(chain.path / parent / "model.safetensors", chain.place)
    model.card = replace(model.card, parents=(f"{parent}/model.safetensors",))
    return model, Features(model, chain.train, proposals(chain.train), chain.path / "svm" / "features")


def _conclude(run: Run, chain: Chain, held_out: BoxSet | None, report: bool) -> None:
    """The whole: the rows of the fine-tuning, its score on the held-out images, and on the test set, which is looked at once."""
    rows, data = Run(chain.path / "finetune").rows(), chain.config.data
    (run.path / "metrics.jsonl").unlink(missing_ok=True)  # of an end that was killed
    quiet = Run(run.path)
    for row in rows:
        quiet.append(row)
    spent = sum(Run(chain.path / name).rows()[-1]["time_s"] for name in STAGES)
    model = Detector.load(chain.path / "boxes" / "model.safetensors", replace(chain.place, precision="fp32"))
    model.card = replace(model.card, parents=tuple(f"{name}/model.safetensors" for name in ("finetune", "svm", "boxes")))
    whole = {"step": rows[-1]["step"], "steps": rows[-1]["steps"], "time_s": round(spent, 3)}
    if held_out:
        run.append({"split": "validation", **whole, **values(model.evaluate(held_out).metrics)})
    test = load_boxes(data.name, "test", broken=data.broken)
    result = model.evaluate(test)
    note_test(run, model, result.metrics, {f"{test.name}/test": test.digest()})
    if report:
        write_detect_report(
            run, model.net, model.card, data=test, found=result.found, matches=result.matches, followed=None, course={}
        )
