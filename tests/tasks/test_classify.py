"""Classification: training touches what it should, scoring is independent of how it is cut, answers carry their parts."""

from copy import deepcopy
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from gipi.config import AugmentConfig, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.data.stream import ImageSet
from gipi.engine.loop import fit
from gipi.engine.place import decide_place, place_for
from gipi.errors import ConfigError, DataError, GipiWarning
from gipi.model import Card, load_model, save_model
from gipi.ops.augment import augment, mix
from gipi.recipes import RECIPES
from gipi.runs import Run
from gipi.tasks import classifier, images
from gipi.tasks.classifier import Classifier
from gipi.tasks.classify import Classify
from gipi.tasks.images import load_images

DIGITS = RECIPES["deepconvnet-digits"].config
CPU = decide_place(device="cpu", precision="fp32")
STILL = DataConfig("digits", batch=50, augment=AugmentConfig())


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
    coarse = Classifier(trained.model.net, trained.model.card, replace(CPU, precision="bf16")).logits(data.images)
    assert (exact - coarse).abs().max() <= 0.03 * (exact.max() - exact.min())
    assert not torch.equal(exact, coarse)


def test_the_net_is_fed_what_augmentation_gives():
    change = AugmentConfig(10, 2.5, 0.1, elastic_px=2, erase=0.5)
    trained, seen = task(small(data=DataConfig("digits", batch=50, augment=change))), []
    trained.model.net.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    batch = list(islice(trained.source(), 30))[-1]
    assert batch.epoch == 1
    trained.step(batch)
    expected = augment(batch.images.float(), change, trained._config.run.seed, batch.epoch, batch.number) / 255
    assert torch.allclose(seen[0], expected, atol=1e-6)


def test_auxiliary_heads_train_with_their_weight():
    net = NetConfig("googlenet", {"stem": "small", "width": 0.0625, "auxiliary": True, "dropout": 0.0})
    trained = task(small(net=net, data=STILL))
    batch = trained.prepare(next(trained.source()))
    with torch.random.fork_rng():
        torch.manual_seed(1)  # for the dropout of the auxiliary heads
        main, *auxiliary = (F.cross_entropy(logits, batch.labels) for logits in trained.model.net(batch.images))
    torch.manual_seed(1)
    loss, count, _ = trained._loss(batch)
    assert len(auxiliary) == 2
    assert loss.item() == pytest.approx((main + 0.3 * sum(auxiliary)).item(), rel=1e-5)
    assert count == 50


# --- soft labels

TINY = NetConfig("digitnet-tiny")  # without dropout: the same logits twice


@torch.no_grad()
def by_hand(net, images, soft):
    """Cross-entropy with soft labels (n, classes), as it is defined."""
    return float(-(soft * net(images).log_softmax(1)).sum(1).mean())


def softened(labels, smoothing):
    return (1 - smoothing) * torch.eye(10)[labels] + smoothing / 10


@pytest.mark.parametrize("accumulate", [1, 3])
def test_label_smoothing_spreads_its_share_over_all_classes(accumulate):
    optim = OptimConfig(label_smoothing=0.2, accumulate=accumulate)
    trained = task(small(net=NetConfig("convstack", {"batch_norm": False}), data=STILL, optim=optim))
    with torch.no_grad():
        trained.model.net.get_parameter("classifier.3.weight").mul_(20)  # a net that is sure of something
    batch, net = next(trained.source()), deepcopy(trained.model.net)
    loss = trained.step(batch)["loss"].value
    assert loss == pytest.approx(by_hand(net, batch.images / 255, softened(batch.labels, 0.2)), rel=1e-5)
    assert loss != pytest.approx(by_hand(net, batch.images / 255, softened(batch.labels, 0.0)), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("change", [AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0)], ids=["mixup", "cutmix"])
def test_mixed_images_have_mixed_labels(change, smoothing):
    optim = OptimConfig(label_smoothing=smoothing)
    trained = task(small(net=TINY, data=replace(STILL, augment=change), optim=optim))
    batch, net = next(trained.source()), deepcopy(trained.model.net)
    images, own = mix(batch.images / 255, change, trained._config.run.seed, batch.epoch, batch.number)
    following = torch.cat([batch.labels[1:], batch.labels[:1]])
    share = own.unsqueeze(1)
    soft = share * softened(batch.labels, smoothing) + (1 - share) * softened(following, smoothing)
    metrics = trained.step(batch)
    assert metrics["loss"].value == pytest.approx(by_hand(net, images, soft), rel=1e-4)
    assert metrics["loss"].value != pytest.approx(by_hand(net, images, softened(batch.labels, smoothing)), rel=1e-3)
    assert metrics["accuracy"].value == (net(images).argmax(1) == batch.labels).float().mean()


def test_mixing_in_parts_is_mixing_the_whole():
    losses = []
    for accumulate in (1, 4):
        data = replace(STILL, augment=AugmentConfig(mixup=0.4))
        net = NetConfig("convstack", {"batch_norm": False})
        trained = task(small(net=net, data=data, optim=OptimConfig(accumulate=accumulate)))
        losses.append([trained.step(batch)["loss"].value for batch in islice(trained.source(), 3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# --- the average


def test_what_is_evaluated_and_saved_is_the_average(tmp_path):
    trained = task(small(net=TINY, data=STILL, optim=OptimConfig(lr=1e-2, ema=0.9)))
    for batch in islice(trained.source(), 12):
        trained.step(batch)
    average, last = trained._optim.averaged, trained.model.net
    trained.save_model(tmp_path / "m.safetensors")
    weights, _ = load_model(tmp_path / "m.safetensors")
    assert all(torch.equal(value.float(), average.state_dict()[key].float()) for key, value in weights.items())
    assert not torch.equal(weights["features.0.weight"], last.state_dict()["features.0.weight"])
    held_out = load_images("digits", "train").hold_out(STILL.holdout)[1]
    scores = [Classifier(net, trained.model.card, CPU).evaluate(held_out).metrics for net in (average, last)]
    assert trained.evaluate()["loss"].value == scores[0]["loss"].value != scores[1]["loss"].value


def test_without_an_average_it_is_the_net():
    trained = task(small())
    assert trained.answering.net is trained.model.net


# --- the law of the loop, with all that is random


def test_resumed_is_straight_to_the_bit(tmp_path):
    change = AugmentConfig(rotate_deg=10, elastic_px=2, erase=0.3, mixup=0.4)
    data = DataConfig("digits", batch=40, limit=400, augment=change)
    optim = OptimConfig("momentum", lr=0.02, schedule="cosine", warmup=0.2, ema=0.9, label_smoothing=0.1, accumulate=2)
    config = small(data=data, optim=optim)  # with the dropout of DeepConvNet: 10 steps of an epoch
    ends = []
    for name, stops in (("straight", [10]), ("resumed", [3, 4, 10])):
        run = Run.create(config.to_json(), tmp_path / name)
        for stop in stops:
            with torch.random.fork_rng():
                trained = task(config)
                assert trained.steps == 10
                fit(trained, CPU, run, stop, trained.every)
        state = run.load_state()
        assert state is not None
        ends.append((state["parts"], state["random"][0]["cpu"], run.model_path.read_bytes()))
    (one, random, model), (other, again, same_model) = ends
    assert model == same_model
    assert torch.equal(random, again)
    assert one["stream"] == other["stream"]
    for part in (lambda state: state["net"], lambda state: state["optim"]["average"]):
        assert all(torch.equal(value, part(other)[key]) for key, value in part(one).items())
    momenta = [[entry["momentum_buffer"] for entry in state["optim"]["rule"]["state"].values()] for state in (one, other)]
    assert all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))


@pytest.mark.parametrize("run", [{"resident": "off"}, {"deterministic": True}, {"memory_format": "contiguous"}])
def test_where_and_how_it_is_computed_changes_no_result(run):
    """Images fetched ahead, deterministic kernels and another order in memory give the same training."""
    weights = []
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        for how in ({}, run):
            data = DataConfig("digits", batch=40, limit=400, augment=AugmentConfig(rotate_deg=10))
            config = small(data=data, optim=OptimConfig("sgd", lr=0.05))
            config = replace(config, run=replace(config.run, device="cpu", precision="fp32", **how))
            with torch.random.fork_rng():
                torch.manual_seed(0)
                trained = Classify(config, place_for(config.run))
                for _ in range(3):  # of more, what is rounded otherwise grows
                    trained.step(next(trained.source()))
            weights.append(trained.model.net.state_dict())
    finally:
        torch.use_deterministic_algorithms(deterministic)
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-5)


def test_a_limit_leaves_the_held_out_images():
    trained = task(small(data=replace(STILL, limit=400)))
    assert len(trained._source.data) == 400
    assert trained.every == 8
    assert trained._held_out is not None
    assert trained._held_out.digest() == load_images("digits", "train").hold_out(STILL.holdout)[1].digest()
    with pytest.raises(ConfigError, match=r"data.limit 2,000 of 'digits': allowed are 1 to 1,317"):
        task(small(data=replace(STILL, limit=2000)))


# --- what is hardly wanted


def test_mirroring_digits_is_warned_of(monkeypatch):
    config = small(data=replace(STILL, augment=AugmentConfig(flip=0.5)))
    with pytest.warns(GipiWarning, match=r"data.augment.flip 0.5 mirrors the digits of 'digits': .* leave it 0"):
        task(config)
    monkeypatch.setattr(images, "load_images", lambda *words, **more: replace(load_images(*words, **more), framing="resize"))
    task(config)  # pytest makes an error of any warning


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
    with pytest.raises(ConfigError, match="no data set or folder 'mnits'; did you mean 'mnist'"):
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
    assert set(answer.json()) == {"label", "score", "top", "probabilities"}
    assert answer.draw().size == (28, 28)
    assert np.array_equal(np.array(answer.draw()), answer.framed[0].numpy())


def test_blank_paper_holds_no_digit(model, tmp_path):
    Image.new("L", (100, 100), 255).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match="no digit"):
        Classifier.load(model, CPU).predict(tmp_path / "blank.png")


def test_clothes_are_only_scaled(model, tmp_path):
    trained = Classifier.load(model, CPU)
    card = replace(trained.card, preprocess=replace(trained.card.preprocess, framing="resize"))
    save_model(tmp_path / "clothes.safetensors", trained.net.state_dict(), card)
    Image.new("L", (100, 50), 200).save(tmp_path / "grey.png")
    assert torch.equal(
        Classifier.load(tmp_path / "clothes.safetensors", CPU).frame(tmp_path / "grey.png"),
        torch.full((1, 28, 28), 200, dtype=torch.uint8),
    )


def test_card_says_what_the_model_is(model):
    card = Classifier.load(model, CPU).card
    assert isinstance(card, Card)
    assert (card.kind, card.net, card.recipe, card.image, card.preprocess.framing) == (
        "classify",
        "deepconvnet",
        "deepconvnet-digits",
        (1, 28, 28),
        "digit",
    )
    assert card.args == {"classes": 10, "channels": 1, "last_dropout": 0.0}
    assert card.data["digits/train"] == load_images("digits", "train").digest()
