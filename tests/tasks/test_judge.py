"""Who judges which images, what is seen in them, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.engine.place import decide_place
from gipi.errors import ConfigError
from gipi.model import Card, find_model, save_model
from gipi.models.kinds import build_net
from gipi.ops.frechet import frechet, moments
from gipi.preprocess import Preprocess
from gipi.tasks import judge as module
from gipi.tasks.classifier import Classifier
from gipi.tasks.judge import DIGITS, SMALL, Judge, find_judge, random_judge
from gipi.tasks.reals import load_reals

CPU = decide_place(device="cpu", precision="fp32")
GREY, COLOUR = (1, 32, 32), (3, 32, 32)


def noise(count: int, image: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (count, *image), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


def saved(folder: Path, net: str, image: tuple[int, int, int], *, members: int = 1) -> str:
    """A classifier of three classes that nobody trained, in a file."""
    args: dict[str, bool | int | float | str] = {"classes": 3, "channels": image[0]}
    prefixes = [f"nets.{number}." for number in range(members)] if members > 1 else [""]
    weights = {prefix + name: value for prefix in prefixes for name, value in build_net(net, args).state_dict().items()}
    card = Card("classify", net, args, ("a", "b", "c"), Preprocess(image, "resize"), members=members)
    path = folder / f"{net}.safetensors"
    save_model(path, weights, card)
    return str(path)


# --- who judges


@pytest.mark.parametrize(
    ("data", "image", "classes", "name"),
    [
        ("mnist", SMALL, DIGITS, "deepconvnet-mnist"),
        ("digits", SMALL, DIGITS, "deepconvnet-mnist"),
        ("pictures/digits", SMALL, DIGITS, "deepconvnet-mnist"),
        ("pictures/digits", SMALL, ("image",), "random weights"),
        ("fashion-mnist", SMALL, ("Trouser", "Dress"), "digitnet-fashion"),
        ("mnist", GREY, DIGITS, "random weights"),
        ("fashion-mnist", GREY, ("Trouser", "Dress"), "random weights"),
        ("digits", (3, 28, 28), DIGITS, "random weights"),
        ("cifar10", COLOUR, ("cat", "dog"), "random weights"),
    ],
)
def test_auto_takes_the_shipped_classifier_of_such_images(
    data: str, image: tuple[int, int, int], classes: tuple[str, ...], name: str
):
    judge = find_judge("auto", image, classes, data, CPU)
    assert judge.name == name
    assert len(judge.classes) == (0 if name == "random weights" else 10)
    look = judge.look(noise(3, image))
    assert look.probabilities.shape == (3, len(judge.classes))
    assert len(look.features) == 3


@pytest.mark.parametrize("name", ["auto", "inception", "random", "deepconvnet-mnist"])
def test_a_judge_sees_in_float32_on_the_cpu_whatever_the_training_computes_in(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "load_inception", lambda place: Mean())
    images = noise(5, SMALL)
    exact, reduced = (
        find_judge(name, SMALL, DIGITS, "mnist", decide_place(device="cpu", precision=precision)).look(images)
        for precision in ("fp32", "bf16")
    )
    for ours, theirs in zip(exact, reduced, strict=True):
        assert ours.dtype == torch.float32
        assert not ours.is_inference()
        assert torch.equal(ours, theirs)


# --- what is seen


class Mean(nn.Module):
    """In Inception's place: the mean of each channel, and how many images it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.counts.append(len(images))
        return images.float().mean((2, 3))


def test_a_classifier_tells_the_probabilities_of_its_own_answers_and_what_its_last_layer_sees():
    digits = load_reals("digits", "test")
    judge = find_judge("deepconvnet-mnist", SMALL, DIGITS, "digits", CPU)
    classifier = Classifier.load(find_model("deepconvnet-mnist"), CPU)
    features, probabilities = judge.look(digits.images)
    torch.testing.assert_close(probabilities, classifier.logits(digits.images).softmax(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(features, classifier.embed(digits), rtol=1e-4, atol=1e-4)
    assert (probabilities.argmax(1) == digits.labels).float().mean() > 0.9
    assert judge.classes == digits.classes


@pytest.mark.parametrize(("net", "width"), [("squeezenet1-0", 512), ("digitnet-tiny", 20)])
def test_of_maps_the_mean_over_all_places_is_taken(net: str, width: int, tmp_path: Path):
    """The last layer of a SqueezeNet is a convolution, in front of the mean; that of the other one sees a mean already."""
    image = (3, 64, 64)
    path, images = saved(tmp_path, net, image), noise(4, image)
    judge = find_judge(path, image, ("cat", "dog"), "pictures", CPU)
    features, probabilities = judge.look(images)
    model = Classifier.load(Path(path), CPU)
    with torch.no_grad():
        embedded = model.net.eval().embed(images.float() / 255)  # pyright: ignore[reportCallIssue]
    assert features.shape == (4, width)
    torch.testing.assert_close(features, embedded.mean((2, 3)) if embedded.ndim == 4 else embedded, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probabilities, model.logits(images).softmax(1), rtol=1e-4, atol=1e-6)
    assert judge.name == path
    assert judge.classes == ("a", "b", "c")


def test_one_forward_pass_gives_features_and_probabilities(monkeypatch: pytest.MonkeyPatch):
    judge = find_judge("deepconvnet-mnist", SMALL, DIGITS, "digits", CPU)
    seen, true = [], F.conv2d

    def counted(images: Tensor, *rest: Any) -> Tensor:
        seen.append(len(images))
        return true(images, *rest)

    monkeypatch.setattr(F, "conv2d", counted)
    judge.look(noise(7, SMALL))
    assert seen == [7] * 6, "its six convolutions"


@pytest.mark.parametrize("name", ["deepconvnet-mnist", "random"])
def test_what_is_seen_does_not_depend_on_how_many_are_shown_at_once(name: str):
    images = noise(50, SMALL)
    judge = find_judge(name, SMALL, DIGITS, "digits", CPU)
    few = replace(judge, at_once=7)
    for ours, theirs in zip(judge.look(images), few.look(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    none = judge.look(images[:0])
    assert none.features.shape == (0, judge.look(images).features.shape[1])
    assert none.probabilities.shape == (0, len(judge.classes))


def test_inception_is_shown_few_images_at_once_and_is_no_classifier(monkeypatch: pytest.MonkeyPatch):
    net = Mean()
    monkeypatch.setattr(module, "load_inception", lambda place: net)
    judge, images = find_judge("inception", COLOUR, ("cat", "dog"), "cifar10", CPU), noise(40, COLOUR)
    features, probabilities = judge.look(images)
    torch.testing.assert_close(features, images.float().mean((2, 3)))
    assert probabilities.shape == (40, 0)
    assert max(net.counts) <= 32, "a batch of 32 takes about 1 GB"
    assert judge.name == "Inception"
    assert judge.classes == ()


# --- random weights


@pytest.fixture(scope="module")
def seen() -> tuple[Judge, Tensor, Tensor]:
    """(the judge, half of the digits, the other half)"""
    images = load_reals("digits", "train").images
    return random_judge(SMALL, CPU), images[::2], images[1::2]


def test_random_weights_are_the_same_each_time_and_draw_no_random_numbers_of_others():
    before = torch.get_rng_state()
    one, other = (random_judge(COLOUR, CPU).look(noise(3, COLOUR)).features for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("image", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 128, 128)])
def test_random_weights_see_images_of_any_size_and_channels(image: tuple[int, int, int]):
    features = random_judge(image, CPU).look(noise(2, image)).features
    assert features.shape == (2, 128)
    assert features.isfinite().all()


def test_by_random_weights_real_images_are_nearer_to_each_other_than_to_changed_ones(seen: tuple[Judge, Tensor, Tensor]):
    judge, half, other = seen
    known = moments(judge.look(half).features)

    def distance(images: Tensor) -> float:
        return frechet(known, moments(judge.look(images).features))

    random = torch.Generator().manual_seed(0)
    grain = torch.randn(other.shape, generator=random)
    weak, strong = ((other.float() + size * grain).clamp(0, 255).byte() for size in (10, 60))
    blurred = F.avg_pool2d(other.float(), 3, 1, 1).byte()
    floor = distance(other)
    assert 2 * floor < distance(weak) < distance(strong)
    assert 2 * floor < distance(blurred)
    assert 2 * floor < distance(other.flip(2))
    assert 2 * floor < distance(other[:8].repeat(80, 1, 1, 1)), "a few images again and again"


# --- what is refused


def test_a_classifier_of_other_images_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"looks at images of \(1, 28, 28\).*these are of \(1, 32, 32\).*--gan.judge random"):
        find_judge("deepconvnet-mnist", GREY, DIGITS, "mnist", CPU)
    with pytest.raises(ConfigError, match=r"images of \(3, 64, 64\).*these are of \(1, 64, 64\)"):
        find_judge(saved(tmp_path, "digitnet-tiny", (3, 64, 64)), (1, 64, 64), DIGITS, "mnist", CPU)


def test_an_ensemble_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="an ensemble, whose members see features of their own"):
        find_judge(saved(tmp_path, "digitnet-tiny", SMALL, members=2), SMALL, DIGITS, "mnist", CPU)


def test_what_does_not_classify_is_refused():
    with pytest.raises(ConfigError, match="does segment; wanted is a model that does classify"):
        find_judge("fcn-scenes", SMALL, DIGITS, "mnist", CPU)


@pytest.mark.parametrize("name", ["incepton", "runs/none"])
def test_a_judge_that_there_is_not_is_told_with_those_that_there_are(name: str):
    with pytest.raises(ConfigError, match=r"none of auto, inception and random, and.*deepconvnet-mnist"):
        find_judge(name, SMALL, DIGITS, "mnist", CPU)
