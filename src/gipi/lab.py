"""Running a study: every training of its grid, or a look at the shipped models, then its table, figure and findings."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from gipi import api, catalog, showing
from gipi.config import Config
from gipi.errors import ConfigError, RunError
from gipi.inspect.formats import FORMATS
from gipi.inspect.layers import feature_maps, fed, layer_table
from gipi.inspect.precision import Precision, measure
from gipi.inspect.precision_study import write_precision
from gipi.inspect.study import UNITS, WORDS, Measured, score, write_study
from gipi.model import find_model
from gipi.models.kinds import build_net
from gipi.recipes import RECIPES
from gipi.runs import Run, claim, environment
from gipi.studies import MEASUREMENTS, STUDIES, Measurement, Study, Variant, on_data
from gipi.tasks.classifier import Classifier
from gipi.tasks.start import resolve
from gipi.tasks.trained import ALONE

LOOKED_AT = 500  # images behind the spread of an untrained layer


@dataclass(frozen=True)
class Outcome:
    """findings: a sentence for each claim once all trainings are done.  stopped: name of the signal that ended it, or ""."""

    folder: Path
    done: int
    total: int
    findings: tuple[str, ...] = ()
    stopped: str = ""

    def _repr_html_(self) -> str:
        """The findings, and the figure, once it is drawn."""
        file = self.folder / "figure.png"
        figure = showing.embedded(file.read_bytes(), "image/png", f"figure of {self.folder.name}") if file.is_file() else ""
        findings = showing.table((f"{self.done} of {self.total} trainings done",), [(one,) for one in self.findings])
        return f"<div>{findings}{figure}</div>"


def study(name: str, *, data: str | None = None, out: Path | None = None, say: Callable[[str], None] | None = None) -> Outcome:
    """Run a study into the folder `out` (runs/study-NAME if None), a run folder for each training; `say` hears of each one.

    What is done is not trained again, and what was stopped goes on. Processes with the same folder share the trainings; the last
    one writes study.json, table.md, figure.png and report.html.  data: another data set than MNIST, with as many steps.
    "precision" trains nothing, reads the test images of `data` with the shipped models and writes the same files.
    Raises ConfigError for an unknown name and for the data of a study of games, DataError if the data cannot be had, RunError if
    `out` holds something else.
    """
    plan = catalog.entry({**STUDIES, **MEASUREMENTS}, name, "study")
    if isinstance(plan, Measurement):
        return _precision(plan, data or "mnist", out or Path("runs") / f"study-{name}", say)
    if data and plan.variants[0].config.kind == "act":
        raise ConfigError(f"--data {data}: the study {name!r} is of its own games, leave it out")
    if data or plan.per_class:
        name_of_data = data or plan.variants[0].config.data.name
        images = api.load_images(name_of_data, "train")
        plan = on_data(plan, name_of_data, len(images), len(images.classes))
    folder = out or Path("runs") / f"study-{name}"
    runs, headline = _runs(plan, folder), plan.scores[0]
    for number, (path, config) in enumerate(runs.items(), 1):
        with claim(path) as mine:
            if not mine:
                continue
            run = _trained(config, path)
        if run.ended() == "stopped":
            return Outcome(folder, number - 1, len(runs), stopped=run.why())
        if say:
            value = score(headline, _last(run, "test")[headline])
            say(f"{number}/{len(runs)}  {path.name}  test {WORDS[headline]} {value:.2f}{UNITS.get(headline, '')}")
    done = [path for path in runs if (path / "end.json").exists() and Run(path).ended() == "done"]
    if len(done) < len(runs):
        return Outcome(folder, len(done), len(runs))
    measured = [_measure(variant, plan, folder) for variant in plan.variants]
    activations = {
        name: _untrained(variant.config) for name in plan.activations for variant in plan.variants if variant.name == name
    }
    findings = write_study(folder, name, plan, measured, activations=activations, machine=environment())
    return Outcome(folder, len(runs), len(runs), tuple(findings))


def _classifiers() -> list[str]:
    """The shipped models that classify."""
    return [name for name, model in catalog.SHIPPED.items() if RECIPES[model.recipe].config.kind == "classify"]


def _precision(plan: Measurement, data: str, folder: Path, say: Callable[[str], None] | None) -> Outcome:
    images = api.load_images(data, "test")
    models = {name: Classifier.load(find_model(name), ALONE) for name in _classifiers()}
    for model in models.values():
        model.accept(images)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}; choose another one with --out") from error
    results: dict[str, list[Precision]] = {}
    total, count = len(models) * (1 + len(FORMATS)), itertools.count(1)
    for name, model in models.items():

        def heard(row: Precision, name: str = name) -> None:
            if say:
                say(f"{next(count)}/{total}  {name}  {row.format}  test accuracy {row.accuracy:.2%}")

        results[name] = measure(model.net, model.inputs(images.images), images.labels, say=heard)
    findings = write_precision(folder, results, about=plan.about, data=data, machine=environment())
    return Outcome(folder, 0, 0, tuple(findings))


def _runs(plan: Study, folder: Path) -> dict[Path, Config]:
    """The folder and the configuration of each training. Variants of the same configuration share their trainings."""
    return {
        _path(variant, seed, plan, folder): replace(variant.config, run=replace(variant.config.run, seed=seed))
        for seed in range(plan.seeds)
        for variant in plan.variants
    }


def _path(variant: Variant, seed: int, plan: Study, folder: Path) -> Path:
    first = next(other for other in plan.variants if other.config == variant.config)
    return folder / f"{re.sub(r'[^a-zA-Z0-9.]+', '-', first.name)}-seed{seed}"


def _trained(config: Config, path: Path) -> Run:
    """The run in `path`, trained to its end if it is not yet."""
    if not (path / "config.json").exists():
        return api.train(config, out=path, report=False)
    run = Run.open(path)
    if run.config() != json.loads(json.dumps(resolve(config).to_json())):
        raise RunError(f"{path} holds a training of another configuration: choose another folder with --out, or remove it")
    return run if run.ended() == "done" else api.resume(path, report=False)


def _last(run: Run, split: str) -> Mapping[str, float]:
    """The last row of that split, {} if there is none."""
    return next((row for row in reversed(run.rows()) if row["split"] == split), {})


def _measure(variant: Variant, plan: Study, folder: Path) -> Measured:
    paths = [_path(variant, seed, plan, folder) for seed in range(plan.seeds)]
    runs = [Run.open(path) for path in paths]
    model = api.load(paths[0])
    table = layer_table(model.net, fed(model.net, model.card.image))
    scores = {name: tuple(score(name, _last(run, "test")[name]) for run in runs) for name in plan.scores}
    times = tuple(_last(run, "test")["time_s"] for run in runs)
    size = 1
    if variant.ensemble:
        size = len(paths)
        together = api.evaluate(paths, variant.config.data.name).metrics
        scores = {name: (score(name, together[name].value),) for name in plan.scores}
        times = (sum(times),)
    return Measured(
        variant,
        scores=scores,
        validation=tuple(score(plan.scores[0], row[plan.scores[0]]) for run in runs if (row := _last(run, "validation"))),
        time_s=times,
        parameters=size * table.parameters,
        multiply_adds=size * table.multiply_adds,
    )


def _untrained(config: Config) -> list[float]:
    """Standard deviation of the values behind each ReLU of the untrained net, shallow to deep, mean over the images."""
    images = api.load_images(config.data.name, "train").images[:LOOKED_AT]
    with torch.random.fork_rng():
        torch.manual_seed(config.run.seed)
        net = build_net(config.net.name, {**config.net.args, "channels": images.shape[1]})
    maps = [[float(values.std()) for name, values in feature_maps(net, image[None].float() / 255) if name.endswith(" relu")]
            for image in images]  # fmt: skip
    return [mean(layer) for layer in zip(*maps, strict=True)]
