"""Several models as one: the mean, the vote and the views, worked out by hand."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from gipi import api
from gipi.data.stream import ImageSet
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError
from gipi.model import Card
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess
from gipi.tasks.classifier import Classifier
from gipi.tasks.committee import Committee
from gipi.tasks.images import load_images
from gipi.tasks.stacked import ensemble

CPU = decide_place(device="cpu", precision="fp32")
CARD = Card("classify", "convstack", {}, tuple("0123456789"), Preprocess((1, 28, 28), "digit"))
ABC = Card("classify", "convstack", {}, ("a", "b", "c"), Preprocess((1, 2, 3), "resize"))
TEST = load_images("digits", "test").subset(torch.arange(0, 360, 6), "test")


class Says(nn.Module):
    """A net with the same probabilities for every image."""

    def __init__(self, *chances):
        super().__init__()
        self.logits = torch.tensor(chances).log()

    def forward(self, images):
        return self.logits.expand(len(images), -1)


class Weighs(nn.Module):
    """A net whose logits are sums over the pixels, each with a weight of its own: every move of the image shows."""

    def __init__(self):
        super().__init__()
        self.weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))

    def forward(self, images):
        return images.flatten(1) @ self.weights


def built(name, seed, **card):
    torch.manual_seed(seed)
    return Classifier(build_net(name, {}).eval(), replace(CARD, net=name, **card), CPU)


def says(*models, vote=False):
    return Committee([(f"m{n}", Classifier(Says(*chances), ABC, CPU)) for n, chances in enumerate(models)], vote=vote)


def letters(labels, images=None):
    images = torch.zeros(len(labels), 1, 2, 3, dtype=torch.uint8) if images is None else images
    return ImageSet("letters", "test", ("a", "b", "c"), images, torch.tensor(labels))


def grey(tmp_path):
    Image.new("L", (30, 20), 200).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def test_different_nets_answer_with_the_mean_of_their_probabilities():
    models = [
        built("convstack", 0),
        built("deepconvnet", 1, preprocess=replace(CARD.preprocess, mean=(0.3,), std=(0.5,))),
        built("digitnet-tiny", 2),
    ]
    chances = torch.stack([model.logits(TEST.images).softmax(1) for model in models]).mean(0)
    result = Committee([(f"m{n}", model) for n, model in enumerate(models)]).evaluate(TEST)
    assert torch.equal(result.answers, chances.argmax(1))
    torch.testing.assert_close(result.scores, chances.amax(1))
    loss = -chances.gather(1, TEST.labels[:, None]).log().mean().item()
    assert result.metrics["loss"].value == pytest.approx(loss, rel=1e-5)
    assert result.metrics["accuracy"].value == pytest.approx((result.answers == TEST.labels).float().mean().item())
    assert result.confusion.sum() == len(TEST)


def test_an_ensemble_of_one_net_is_its_committee():
    models = [built("convstack", seed) for seed in range(3)]
    together = Committee([("m", model) for model in models]).evaluate(TEST)
    whole = ensemble(models).evaluate(TEST)
    assert torch.equal(together.answers, whole.answers)
    torch.testing.assert_close(together.scores, whole.scores)


@pytest.mark.parametrize(
    ("models", "mean", "vote"),
    [
        (((0.9, 0.06, 0.04), (0.3, 0.6, 0.1), (0.2, 0.5, 0.3)), "a", "b"),  # two are for b, but one is very sure
        (((0.6, 0.3, 0.1), (0.1, 0.7, 0.2)), "b", "b"),  # a tie
        (((0.5, 0.1, 0.4), (0.1, 0.5, 0.4)), "c", "a"),  # c has no vote; a and b are alike, and the first is taken
        (((0.5, 0.05, 0.45), (0.05, 0.55, 0.4), (0.34, 0.3, 0.36)), "c", "c"),  # three votes: the highest mean
    ],
)
def test_vote(models, mean, vote, tmp_path):
    for committee, answer in ((says(*models), mean), (says(*models, vote=True), vote)):
        result = committee.evaluate(letters([0, 1, 2]))
        assert ["abc"[number] for number in result.answers] == [answer] * 3
        assert result.metrics["accuracy"].value == pytest.approx(1 / 3)
        picture = committee.predict(grey(tmp_path))
        chances = torch.tensor(models).mean(0)
        assert picture.label == answer
        assert picture.score == pytest.approx(chances["abc".index(answer)].item())
        assert list(picture.probabilities.values()) == pytest.approx(chances.tolist())
        assert result.scores.tolist() == pytest.approx([picture.score] * 3)
        assert result.metrics["loss"].value == pytest.approx(-chances.log().mean().item(), rel=1e-5)


@pytest.mark.parametrize("tta", ["shift", "flip"])
def test_views_are_averaged(tta):
    images = torch.randint(0, 256, (7, 1, 2, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model = Classifier(Weighs(), ABC, CPU)
    seen = [images, images.flip(3)]
    if tta == "shift":
        black = torch.zeros_like(images)
        seen = [images, black.clone(), black.clone(), black.clone(), black.clone()]
        seen[1][..., :-1], seen[2][..., 1:] = images[..., 1:], images[..., :-1]
        seen[3][:, :, :-1], seen[4][:, :, 1:] = images[:, :, 1:], images[:, :, :-1]
    chances = torch.stack([model.logits(view).softmax(1) for view in seen]).mean(0)
    result = Committee([("m", model)], tta=tta).evaluate(letters([0] * 7, images))
    torch.testing.assert_close(result.scores, chances.amax(1))
    assert torch.equal(result.answers, chances.argmax(1))
    assert not torch.equal(chances, model.logits(images).softmax(1))


def test_each_model_frames_a_picture_by_its_own_card(tmp_path):
    digit = TEST.images[30, 0]
    Image.fromarray(255 - digit.numpy()).resize((100, 60)).save(tmp_path / "digit.png")
    models = [built("convstack", 0), built("convstack", 1, preprocess=replace(CARD.preprocess, framing="resize"))]
    seen = [model.frame(tmp_path / "digit.png") for model in models]
    assert not torch.equal(*seen)
    chances = torch.stack([model.logits(image[None])[0].softmax(0) for model, image in zip(models, seen, strict=True)]).mean(0)
    answer = Committee([("m", model) for model in models]).predict(tmp_path / "digit.png")
    assert list(answer.probabilities.values()) == pytest.approx(chances.tolist())
    assert answer.score == max(answer.probabilities.values()) == answer.probabilities[answer.label]
    assert torch.equal(answer.framed, seen[0])
    with pytest.raises(DataError, match="no digit"):
        Committee([("m", model) for model in models]).predict(blank(tmp_path))


def blank(tmp_path):
    Image.new("L", (30, 30), 255).save(tmp_path / "blank.png")
    return tmp_path / "blank.png"


def test_asked_wrongly():
    model, other = built("convstack", 0), Classifier(Says(0.2, 0.3, 0.5), ABC, CPU)
    for models, options, says_so in (
        ([], {}, "no models given"),
        ([("one", model)], {"vote": True}, "a vote needs two models or more, got 'one' alone"),
        ([("one", model), ("two", other)], {}, "'one' tells 0, 1.* apart, but 'two' a, b, c"),
        ([("two", other), ("one", other), ("three", model)], {}, "'two' tells a, b, c apart, but 'three' 0, 1"),
        ([("one", model)], {"tta": "flip"}, "'one' reads digits"),
        ([("one", model)], {"tta": "flop"}, "no tta 'flop'; did you mean 'flip'"),
    ):
        with pytest.raises(ConfigError, match=says_so):
            Committee(models, **options)
    with pytest.raises(ConfigError, match=r"the model tells 0, 1.* apart, but 'letters' has a, b, c"):
        Committee([("one", model), ("two", model)]).evaluate(letters([0]))


def test_python_takes_one_model_or_several(tmp_path):
    for number in range(2):
        built("convstack", number).save(tmp_path / f"{number}.safetensors")
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    assert isinstance(api.load(paths[0]), Classifier)
    assert isinstance(api.load(paths), Committee)
    one, both = api.evaluate(paths[0], "digits"), api.evaluate(paths, "digits")
    shifted = api.evaluate(paths[0], "digits", tta="shift")
    assert len({result.metrics["loss"].value for result in (one, both, shifted)}) == 3
    assert (
        both.metrics["loss"].value
        == Committee([("m", api.load(path)) for path in paths]).evaluate(load_images("digits", "test")).metrics["loss"].value
    )
    [(_, answer)] = api.predict(paths, [blank(tmp_path)])
    assert isinstance(answer, DataError)
    with pytest.raises(ConfigError, match="a vote needs two models"):
        api.load(paths[0], vote=True)
