"""Starting from weights: what is kept, what is new, which layers learn, and how fast."""

from dataclasses import replace

import pytest
import torch

from gipi.config import AugmentConfig, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine.place import decide_place
from gipi.errors import ConfigError
from gipi.model import find_model, load_model
from gipi.recipes import RECIPES
from gipi.tasks.classify import Classify, training_images
from gipi.tasks.images import load_images
from gipi.tasks.start import resolve, start

CPU = decide_place(device="cpu", precision="fp32")
STILL = DataConfig("digits", batch=50, augment=AugmentConfig())
FROM = "digitnet-tiny-mnist"  # comes with the package
CONFIG = replace(
    RECIPES["deepconvnet-digits"].config,
    net=NetConfig("digitnet-tiny"),
    data=STILL,
    optim=OptimConfig("adamw", lr=1e-2),
    run=RunConfig(epochs=2, device="cpu", precision="fp32"),
    transfer=TransferConfig(FROM),
)


def task(config, images=None):
    torch.manual_seed(config.run.seed)
    return Classify(config, CPU, images)


def letters(config):
    """The digits under other names, so that a new head is needed."""
    train, held_out, digest = training_images(config, CPU)
    return replace(train, classes=tuple("abcdefghij")), replace(held_out, classes=tuple("abcdefghij")), digest


def test_the_same_classes_keep_the_head_and_the_answers():
    trained, digits = task(CONFIG), load_images("digits", "test")
    assert trained.evaluate()["accuracy"].value > 0.9
    before, _ = load_model(find_model(FROM))
    after = trained.model.net.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert trained.model.evaluate(digits).metrics["accuracy"].value > 0.9
    assert trained.model.card.parents == (FROM,)


def test_other_classes_get_a_new_head_and_keep_all_else():
    trained, kept = task(CONFIG, letters(CONFIG)), task(CONFIG)
    head = f"{trained.model.net.HEAD}."
    same = {key: torch.equal(value, kept.model.net.state_dict()[key]) for key, value in trained.model.net.state_dict().items()}
    assert {key for key, equal in same.items() if not equal} == {f"{head}weight", f"{head}bias"}
    assert trained.model.card.classes == tuple("abcdefghij")
    assert trained.evaluate()["accuracy"].value < 0.5


def test_the_net_is_that_of_the_weights():
    config = resolve(replace(CONFIG, net=NetConfig("deepconvnet", {"last_dropout": 0.5})))
    assert config.net == NetConfig("digitnet-tiny")
    assert resolve(replace(CONFIG, transfer=TransferConfig())).net == CONFIG.net


@pytest.mark.parametrize("frozen", [0.5, 1.0])
def test_only_the_head_learns_while_the_rest_is_frozen(frozen):
    moving = replace(CONFIG, data=replace(STILL, augment=AugmentConfig(shift_px=1)))
    config = replace(moving, transfer=TransferConfig(FROM, frozen=frozen))
    trained = task(config, letters(config))
    source, first = trained.source(), {key: value.clone() for key, value in trained.model.net.state_dict().items()}
    half = trained.steps // 2

    def changed():
        return {key for key, value in trained.model.net.state_dict().items() if not torch.equal(value, first[key])}

    for _ in range(half):
        trained.step(next(source))
    head = {f"{trained.model.net.HEAD}.{part}" for part in ("weight", "bias")}
    assert changed() == head
    for _ in range(2):
        trained.step(next(source))
    weights = {name for name, _ in trained.model.net.named_parameters()}
    assert changed() == (head if frozen == 1 else weights)  # batch norm keeps its statistics in either case


def test_features_computed_once_train_as_the_frozen_net_does():
    config = replace(CONFIG, transfer=TransferConfig(FROM, frozen=1.0))
    once, always = task(config, letters(config)), task(config, letters(config))
    assert once._embedded is not None
    always._embedded = None
    always._source._values = always._source.data.images
    always._optim.replica = always.model.net
    for _ in range(20):
        batches = next(once.source()), next(always.source())
        losses = [task.step(batch)["loss"].value for task, batch in zip((once, always), batches, strict=True)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    scores = [task.evaluate() for task in (once, always)]
    assert scores[0]["accuracy"].value == scores[1]["accuracy"].value
    assert once.model.evaluate(once._held_out).metrics["loss"].value == pytest.approx(scores[0]["loss"].value, rel=1e-5)


def test_what_needs_weights_says_so():
    with pytest.raises(ConfigError, match="need weights to start from: give --from"):
        TransferConfig(frozen=0.5)
    with pytest.raises(ConfigError, match=r"data.size 64 is for folders of pictures; those of 'digits' have a size"):
        task(replace(CONFIG, data=replace(STILL, size=64)))
    with pytest.raises(ConfigError, match="this recipe is for pictures of your own"):
        training_images(replace(CONFIG, data=replace(STILL, name="")), CPU)


def test_pictures_are_brought_to_the_size_of_the_net_or_to_that_asked_for():
    plain = replace(RECIPES["scratch"].config, data=DataConfig("x"))
    assert (start(plain).side, start(plain).short) == (224, 256)
    small = replace(plain, data=DataConfig("x", size=96))
    assert (start(small).side, start(small).short) == (96, 110)
