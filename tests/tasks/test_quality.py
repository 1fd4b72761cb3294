"""The numbers by which made images are told from real ones: each finds the fault that it is for, and no other."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.frechet import frechet, moments
from gipi.ops.manifold import precision_recall
from gipi.tasks import quality as module
from gipi.tasks.judge import Look
from gipi.tasks.quality import quality, warnings_of

CLASSES = 4


def drawn(count: int, seed: int, labels: Tensor | None = None) -> Look:
    """Images of four classes in turn, which lie apart from each other; of each the judge is sure by 0.7 to 1."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES if labels is None else labels
    features = torch.randn(count, 6, generator=random) + 8 * torch.eye(6)[labels]
    sure = 0.7 + 0.3 * torch.rand(count, generator=random)
    probabilities = ((1 - sure) / (CLASSES - 1))[:, None].repeat(1, CLASSES).scatter(1, labels[:, None], sure[:, None])
    return Look(features, probabilities)


def blind(look: Look) -> Look:
    """As a judge that is no classifier sees it."""
    return Look(look.features, look.probabilities[:, :0])


REAL = drawn(400, 1)


def test_the_numbers_are_those_of_their_definitions():
    made, asked = drawn(300, 2), torch.arange(300) % CLASSES
    asked[:30] = (asked[:30] + 1) % CLASSES
    numbers = quality(made, REAL, asked)
    precision, recall = precision_recall(REAL.features, made.features)
    spacings = [
        sum(torch.dist(a, b).item() for a, b in itertools.combinations(look.features[:200], 2)) / (200 * 199 / 2)
        for look in (made, REAL)
    ]
    assert list(numbers) == [
        "frechet", "precision", "recall", "diversity", "confidence", "least_class", "most_class", "as_asked"
    ]  # fmt: skip
    assert numbers["frechet"] == frechet(moments(made.features), moments(REAL.features))
    assert (numbers["precision"], numbers["recall"]) == (precision, recall)
    assert numbers["diversity"] == pytest.approx(spacings[0] / spacings[1], rel=0.05)
    assert numbers["confidence"] == pytest.approx(float(made.probabilities.max(1).values.mean()))
    assert numbers["least_class"] == numbers["most_class"] == 0.25
    assert numbers["as_asked"] == pytest.approx(0.9)


def test_without_a_classifier_there_is_nothing_about_classes():
    made = blind(drawn(300, 2))
    assert list(quality(made, blind(REAL))) == ["frechet", "precision", "recall", "diversity"]
    assert quality(made, blind(REAL)) == {name: quality(drawn(300, 2), REAL)[name] for name in quality(made, blind(REAL))}


def test_it_is_the_same_each_time_and_draws_no_random_numbers_of_others():
    before = torch.get_rng_state()
    assert quality(drawn(300, 2), REAL) == quality(drawn(300, 2), REAL)
    assert torch.equal(before, torch.get_rng_state())


def test_good_images_are_as_real_ones_and_warn_of_nothing():
    numbers = quality(drawn(400, 3), REAL)
    assert numbers["diversity"] == pytest.approx(1, abs=0.03)
    assert min(numbers["precision"], numbers["recall"]) > 0.7
    assert warnings_of(numbers, CLASSES) == []
    assert warnings_of(quality(blind(drawn(400, 3)), blind(REAL)), 0) == []


def test_the_same_image_again_and_again_has_no_diversity():
    look = drawn(1, 4)
    numbers = quality(Look(look.features.repeat(200, 1), look.probabilities.repeat(200, 1)), REAL)
    assert numbers["diversity"] == 0
    assert numbers["recall"] == 0
    assert numbers["most_class"] == 1
    alike, missing = warnings_of(numbers, CLASSES)
    assert "mode collapse: their diversity is 0.00" in alike
    assert "its share is 0.0%" in missing
    assert len(warnings_of(quality(blind(drawn(400, 3))._replace(features=look.features.repeat(400, 1)), blind(REAL)), 0)) == 1


@pytest.mark.parametrize(("share", "warned"), [(0, True), (0.04, True), (0.06, False), (0.25, False)])
def test_a_class_is_missing_below_a_fifth_of_its_equal_share(share: float, warned: bool):
    labels = torch.arange(400) % (CLASSES - 1)
    labels[: round(400 * share)] = CLASSES - 1
    numbers = quality(drawn(400, 5, labels), REAL)
    assert numbers["least_class"] == pytest.approx(share)
    assert numbers["diversity"] > 0.8
    assert [("a class hardly occurs" in text, f"its share is {share:.1%}" in text) for text in warnings_of(numbers, CLASSES)] == (
        [(True, True)] if warned else []
    )


def test_precision_and_recall_are_of_few_images_at_random(monkeypatch: pytest.MonkeyPatch):
    """Made classes come in turn: of each fourth image all would be of one class, which recalls a quarter."""
    real = drawn(400, 1, REAL.probabilities.argmax(1)[torch.randperm(400, generator=torch.Generator().manual_seed(0))])
    whole = quality(drawn(400, 3), real)
    monkeypatch.setattr(module, "COMPARED", 100)
    counts, true = [], module.precision_recall

    def watched(real: Tensor, made: Tensor) -> tuple[float, float]:
        counts.append((len(real), len(made)))
        return true(real, made)

    monkeypatch.setattr(module, "precision_recall", watched)
    some = quality(drawn(400, 3), real)
    assert counts == [(100, 100)]
    assert some["recall"] == pytest.approx(whole["recall"], abs=0.15)
    assert {**some, "precision": 0, "recall": 0} == {**whole, "precision": 0, "recall": 0}, "all else is of all images"


@pytest.mark.parametrize(("made", "real"), [(1, 8), (8, 1), (0, 8)])
def test_fewer_than_two_images_have_no_quality(made: int, real: int):
    with pytest.raises(DataError, match=f"takes 2 or more, got {made} made and {real} real"):
        quality(drawn(made, 1), drawn(real, 2))


def test_two_images_on_either_side_are_enough():
    numbers = quality(drawn(2, 1), drawn(2, 2))
    assert all(torch.tensor(number).isfinite() for number in numbers.values())


def test_real_images_that_are_all_the_same_are_nothing_to_compare_with():
    same = drawn(1, 1)
    with pytest.raises(DataError, match="all look the same to the judge"):
        quality(drawn(9, 1), Look(same.features.repeat(9, 1), same.probabilities.repeat(9, 1)))
