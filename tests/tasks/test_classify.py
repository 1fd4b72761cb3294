"""Classification: training touches what it should, scoring is independent of how it is cut, answers carry their parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.config import AugmentConfig, DataConfig, NetConfig, RunConfig
from gipi.data.stream import ImageSet
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError
from gipi.model import Card, save_model
from gipi.recipes import RECIPES
from gipi.tasks import classifier
from gipi.tasks.classifier import Classifier, load_images
from gipi.tasks.classify import Classify, augment

DIGITS = RECIPES["deepconvnet-digits"].config
CPU = decide_place(device="cpu", precision="fp32")


def small(**changes):
    return replace(DIGITS, run=RunConfig(epochs=1, device="cpu", precision="fp32"), **changes)


def task(config):
    torch.manual_seed(config.run.seed)
    return Classify(config, CPU)


def test_one_batch_is_learned_by_heart():
    trained = task(replace(small(data=DataConfig("digits", batch=50, augment=AugmentConfig())), run=RunConfig(epochs=8)))
    batch = next(trained.source())
    trained.model.net.classifier[3].p = 0.0  # dropout would keep it from ever being sure
    first = trained.step(batch)["loss"].value
    for _ in range(60):
        last = trained.step(batch)
    assert first > 1.5
    assert last["accuracy"].value == 1.0
    assert last["loss"].value < 0.02


def test_every_parameter_learns():
    trained = task(small())
    trained.step(next(trained.source()))
    for name, weight in trained.model.net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_evaluation_does_not_depend_on_the_cut(monkeypatch):
    trained, data = task(small()), load_images("digits", "test")
    whole = trained.model.evaluate(data)
    monkeypatch.setattr(classifier, "EVAL_BATCH", 7)
    cut = trained.model.evaluate(data)
    assert whole.metrics["accuracy"].value == cut.metrics["accuracy"].value
    assert whole.metrics["accuracy"].count == len(data)
    assert whole.metrics["loss"].value == pytest.approx(cut.metrics["loss"].value, rel=1e-5)
    assert torch.equal(whole.answers, cut.answers)
    assert whole.confusion.trace() / len(data) == pytest.approx(whole.metrics["accuracy"].value)


def test_evaluation_leaves_the_training_alone():
    trained = task(small())
    state, weights = torch.get_rng_state(), {k: v.clone() for k, v in trained.model.net.state_dict().items()}
    trained.evaluate()
    assert torch.equal(state, torch.get_rng_state())
    assert trained.model.net.training
    assert all(torch.equal(weights[k], v) for k, v in trained.model.net.state_dict().items())


def test_bf16_answers_nearly_as_fp32():
    trained, data = task(small()), load_images("digits", "test")
    exact = trained.model.logits(data.images)
    coarse = Classifier(trained.model.net, trained.model.card, replace(CPU, dtype=torch.bfloat16)).logits(data.images)
    assert (exact - coarse).abs().max() <= 0.03 * (exact.max() - exact.min())
    assert not torch.equal(exact, coarse)


def test_augmentation_is_a_function_of_its_address():
    data, change = load_images("digits", "train"), AugmentConfig(10, 2.5, 0.1)
    images, number = data.images[:20], torch.arange(20)
    once = augment(images, change, 3, 1, number)
    mixed = torch.randperm(20, generator=torch.Generator().manual_seed(5))
    assert torch.equal(augment(images[mixed], change, 3, 1, number[mixed]), once[mixed])
    assert torch.equal(augment(images[4:5], change, 3, 1, number[4:5]), once[4:5])
    for other in (augment(images, change, 3, 2, number), augment(images, change, 4, 1, number)):
        assert not torch.equal(other, once)
    assert torch.equal(augment(images, AugmentConfig(), 3, 1, number), images)


def test_wrong_classes_and_sizes_are_refused(monkeypatch):
    trained = task(small())
    clothes = ImageSet("clothes", "test", ("shirt", "bag"), torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match=r"the model tells 0, 1.* apart, but 'clothes' has shirt, bag"):
        trained.model.evaluate(clothes)
    with pytest.raises(ConfigError, match="no net 'deepconvnett'; did you mean 'deepconvnet'"):
        task(small(net=NetConfig("deepconvnett")))
    with pytest.raises(ConfigError, match="takes no argument 'last_dropuot'; did you mean 'last_dropout'"):
        task(small(net=NetConfig("deepconvnet", {"last_dropuot": 0.5})))
    with pytest.raises(ConfigError, match="batch size 5000 does not fit"):
        task(small(data=DataConfig("digits", batch=5000)))
    with pytest.raises(ConfigError, match="no data set 'mnits'; did you mean 'mnist'"):
        task(small(data=DataConfig("mnits")))


@pytest.fixture
def model(tmp_path):
    trained = task(small())
    trained.save_model(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_prediction_carries_its_parts(model, tmp_path):
    digit = load_images("digits", "test").images[0, 0]
    Image.fromarray(255 - digit.numpy()).resize((300, 300)).save(tmp_path / "digit.png")
    answer = Classifier.load(model, CPU).predict(tmp_path / "digit.png")
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert answer.score == max(answer.probabilities.values()) == answer.probabilities[answer.label]
    assert set(answer.json()) == {"label", "score", "probabilities"}
    assert answer.draw().size == (28, 28)
    assert np.array_equal(np.array(answer.draw()), answer.framed[0].numpy())


def test_blank_paper_holds_no_digit(model, tmp_path):
    Image.new("L", (100, 100), 255).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match="no digit"):
        Classifier.load(model, CPU).predict(tmp_path / "blank.png")


def test_clothes_are_only_scaled(model, tmp_path):
    trained = Classifier.load(model, CPU)
    card = replace(trained.card, framing="resize")
    save_model(tmp_path / "clothes.safetensors", trained.net.state_dict(), card)
    Image.new("L", (100, 50), 200).save(tmp_path / "grey.png")
    assert torch.equal(
        Classifier.load(tmp_path / "clothes.safetensors", CPU).frame(tmp_path / "grey.png"),
        torch.full((1, 28, 28), 200, dtype=torch.uint8),
    )


def test_card_says_what_the_model_is(model):
    card = Classifier.load(model, CPU).card
    assert isinstance(card, Card)
    assert (card.kind, card.net, card.recipe, card.image, card.framing) == (
        "classify",
        "deepconvnet",
        "deepconvnet-digits",
        (1, 28, 28),
        "digit",
    )
    assert card.args == {"classes": 10, "channels": 1, "last_dropout": 0.0}
    assert card.data["digits/train"] == load_images("digits", "train").digest()
