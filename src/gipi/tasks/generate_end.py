"""The end of a generator's training: its images beside the test images, looked at once, and the report."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gipi.data.stream import ImageSet
from gipi.inspect.generate_figures import Near
from gipi.inspect.generate_report import write_generate_report
from gipi.ops.manifold import nearest_images
from gipi.ops.metrics import Mean, values
from gipi.runs import Run
from gipi.tasks.generator import Generator
from gipi.tasks.generator_score import GenerateEvaluation, drawn, score
from gipi.tasks.judge import Judge, Look
from gipi.tasks.keep import note_test

SEARCHED = 60_000  # training images among which the nearest is looked for, at most
ASKED = 1_000  # made images, and test images, whose nearest is looked for
DRAWN, BESIDE = 100, 20  # made images in the report, and those of them with their nearest training image


class Neighbours(NamedTuple):
    """nearest: training images beside the first made ones.  medians: distance to the nearest of made images, of test images."""

    nearest: list[Near]
    medians: tuple[float, float]


def conclude(
    run: Run, model: Generator, train: ImageSet, test: ImageSet, judge: Judge, course: dict[int, Tensor], report: bool
) -> None:
    """Score the model on the test set; note that in its card and the run's metrics; draw the `report`."""
    result = score(model, test, train, judge, seed=model.place.seed + 1)  # images that chose no epoch
    floor = {f"floor_{name}": Mean(result.floor[name], 1) for name in ("frechet", "precision", "recall")}
    numbers = values(result.metrics)
    note_test(run, model, {**result.metrics, **floor}, {f"{test.name}/test": test.digest()})
    if not report or not model.place.first:
        return
    real = judge.look(test.images[drawn(len(test), len(result.answers))].cpu())
    nearest, medians = _neighbours(train, result, real, judge)
    write_generate_report(
        run,
        model.maker,
        model.card,
        judge=judge.name,
        test=numbers,
        floor=result.floor,
        counts=(len(result.answers), len(real.features)),
        samples=result.answers[:DRAWN],
        sample_labels=None if result.labels is None else result.labels[:DRAWN],
        nearest=nearest,
        medians=medians,
        shares=_shares(result.look, real, judge),
        course=course,
    )


def _neighbours(train: ImageSet, result: GenerateEvaluation, real: Look, judge: Judge) -> Neighbours:
    known = train.images[drawn(len(train), min(SEARCHED, len(train)))].cpu()
    features = judge.look(known).features
    distances, index = nearest_images(result.look.features[:ASKED], features, 1)
    others, _ = nearest_images(real.features[drawn(len(real.features), min(ASKED, len(real.features)))], features, 1)
    nearest = [Near(n, known[int(index[n, 0])], float(distances[n, 0])) for n in range(min(BESIDE, len(index)))]
    return Neighbours(nearest, (float(distances.median()), float(others.median())))


def _shares(made: Look, real: Look, judge: Judge) -> dict[str, tuple[float, float]]:
    """Of each class as the judge reads it: its share of the made images and of the real ones."""

    def shares(look: Look) -> list[float]:
        return (look.probabilities.argmax(1).bincount(minlength=len(judge.classes)) / len(look.probabilities)).tolist()

    return dict(zip(judge.classes, zip(shares(made), shares(real), strict=True), strict=True)) if judge.classes else {}
