"""Training a captioner: the laws of any training, an encoder that stays as it is, what it starts from, what it refuses."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gipi import api
from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.data.captions import CaptionSet
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError, GipiWarning, RunError, WeightsError
from gipi.model import WEIGHTS, Card, load_model, read_card, save_model
from gipi.models.kinds import build_net
from gipi.ops.caption_scores import caption_scores
from gipi.ops.text import END, PAD, SPECIALS, Vocabulary, tokens
from gipi.preprocess import Preprocess
from gipi.runs import Run
from gipi.tasks.caption import Caption
from gipi.tasks.captioner import Captioner, CaptionEvaluation
from gipi.tasks.captions import load_captions
from oracle.ranks import in_ranks
from oracle.stopped import train
from oracle.striped import striped, told

CPU = decide_place(device="cpu", precision="fp32")
CLOCK = ("time_s", "samples_per_s", "left_s")
REAL = Path(os.environ.get("GIPI_DATA", "")) / "imagenet_weights"
SPOKEN = {"embedding": 8, "hidden": 12, "dropout": 0.0}
ATTEND = NetConfig("attend-vgg16", {"width": 0.0625, "attention": 4, **SPOKEN})  # no batch norm, which would see the batch
NIC = NetConfig("nic-vgg16", {"width": 0.0625, **SPOKEN})
NORMED = NetConfig("attend-resnet18", {"width": 0.125, "stem": "small", "attention": 4, **SPOKEN})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return striped(tmp_path_factory.mktemp("striped"))


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of classifiers as wide as the encoders here, by their nets."""
    made, folder = {}, tmp_path_factory.mktemp("classifiers")
    torch.manual_seed(5)
    for net, own in (("vgg16", {"width": 0.0625}), ("resnet18", {"width": 0.125, "stem": "small"})):
        args = {"classes": 2, "channels": 3, **own}
        classifier, how = build_net(net, args), Preprocess((3, 32, 32), "crop", 32, (0.4,), (0.2,))
        for layer in classifier.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer(torch.randn(50, layer.num_features, 2, 2) + 1)  # statistics that are not those of a beginning
        made[net] = str(folder / f"{net}.safetensors")
        save_model(Path(made[net]), classifier.state_dict(), Card("classify", net, args, ("a", "b"), how))
    return made


@pytest.fixture
def config(data: Path) -> Config:
    return Config(
        kind="caption",
        net=ATTEND,
        data=DataConfig(str(data), size=64, batch=4, augment=AugmentConfig(flip=0.5)),
        optim=OptimConfig("adamw", lr=5e-3, schedule="cosine", ema=0.8, label_smoothing=0.1, clip=5.0),
        run=RunConfig(epochs=2, device="cpu", precision="fp32", seed=1),
    )  # 3 steps an epoch


@pytest.fixture
def transfer(config: Config, classifiers: dict[str, str]) -> Config:
    """The same from a classifier; its encoder is frozen in the first half of the steps."""
    return replace(config, transfer=TransferConfig(classifiers["vgg16"], frozen=0.5, first_rate=0.1))


def normed(config: Config, classifiers: dict[str, str], frozen: float) -> Config:
    """With an encoder that has batch norm, and smaller images."""
    transfer, data = TransferConfig(classifiers["resnet18"], frozen=frozen), replace(config.data, size=32)
    return replace(config, net=NORMED, data=data, transfer=transfer)


def rows(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in Run.open(path).rows()]


def state(task: Caption) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in task.model.net.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {name for name, value in one.items() if torch.equal(value, other[name])}


# --- the laws of any training


def test_resumed_is_straight_to_the_bit(transfer: Config, tmp_path: Path):
    """Stopped in the frozen part and again after it."""
    net = replace(ATTEND, args={**ATTEND.args, "dropout": 0.2})
    transfer = replace(transfer, net=net, data=replace(transfer.data, batch=6), run=replace(transfer.run, epochs=3))
    train(0, transfer, tmp_path / "straight")
    for step in (2, 4):
        with pytest.raises(RunError, match="stop here"):
            train(0, transfer, tmp_path / "stopped", step)
    train(0, transfer, tmp_path / "stopped")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
    states = [torch.load(tmp_path / name / "state-0.pt", weights_only=True)["parts"] for name in ("straight", "stopped")]
    assert {*states[0]} == {"net", "optim", "stream", "best", "course"}
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "stopped")]
    assert files[0] == files[1]


def test_several_processes_and_parts_of_a_batch_equal_one(transfer: Config, tmp_path: Path):
    """Parts and processes have unequal numbers of words, since images have one to five captions. SGD, whose steps are as far apart
    as the gradients are; the encoder is frozen at first.
    """
    transfer = replace(transfer, optim=OptimConfig("sgd", lr=0.1, label_smoothing=0.1))
    train(0, transfer, tmp_path / "one")
    in_ranks(2, train, replace(transfer, run=replace(transfer.run, processes=2)), tmp_path / "two")
    train(0, replace(transfer, optim=replace(transfer.optim, accumulate=4)), tmp_path / "parts")
    one = load_file(tmp_path / "one" / "model.safetensors")
    for other in ("two", "parts"):
        for name, value in load_file(tmp_path / other / "model.safetensors").items():
            torch.testing.assert_close(value, one[name], rtol=0, atol=1e-5, msg=f"{other}: {name}")
        for row, straight in zip(rows(tmp_path / other), rows(tmp_path / "one"), strict=True):
            assert row == pytest.approx(straight, abs=1e-4)


def test_every_word_counts_the_same_however_it_came(config: Config):
    """The loss is the mean over the words of all captions, ends included, said one after another by the net."""
    task = Caption(config, CPU)
    raw = next(task.source())
    net, total, said = task.model.speaker, 0.0, 0
    seen, images = net.look(net.encode(task.prepare(raw).images)), len(raw.images)
    for image, captions in enumerate(raw.labels.tolist()):
        for caption in captions:
            words, hidden, cell = [word for word in caption if word != PAD], seen.hidden[:, None], seen.cell[:, None]
            for before, word in zip([0, *words], words, strict=False):
                step = net.step(torch.full((images, 1), before), hidden, cell, seen)
                hidden, cell = step.hidden, step.cell
                scores = [math.exp(score) for score in step.logits[image, 0].tolist()]
                logs = [math.log(score / math.fsum(scores)) for score in scores]
                total -= 0.9 * logs[word] + 0.1 * math.fsum(logs) / len(logs)
                said += 1
    loss = task.step(raw)["loss"]
    assert loss.count == said == sum(len(tokens(text)) + 1 for number in raw.number.tolist() for text in told(number))
    assert loss.value == pytest.approx(total / said, rel=1e-4)


def test_the_weights_of_the_epoch_that_speaks_best_are_kept(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of sentences of three words, too, which have no four in a row for BLEU-4 to count."""
    table, seen = striped(tmp_path / "set", most=1), []

    def evaluate(model: Captioner, data: CaptionSet, *_: object) -> CaptionEvaluation:
        said = ("green", "red beside red", "red beside blue", "what is tested")[len(seen)]
        seen.append({name: value.clone() for name, value in model.net.state_dict().items()})
        answers = (said, *(told[0] for told in data.captions[1:]))
        metrics, cider = caption_scores(answers, data.captions)
        return CaptionEvaluation(metrics, answers, torch.full((len(data), 1), END), cider)

    monkeypatch.setattr(Captioner, "evaluate", evaluate)
    config = replace(config, data=replace(config.data, name=str(table)), run=replace(config.run, epochs=3))
    train(0, config, tmp_path / "run")
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert same(kept, seen[1]) == {*kept}
    assert same(kept, seen[2]) != {*kept}


def test_without_validation_the_last_weights_are_kept(config: Config, tmp_path: Path):
    train(0, replace(config, data=replace(config.data, holdout=0), run=replace(config.run, epochs=1)), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["parts"]
    last, kept = state["optim"]["average"], load_file(tmp_path / "run" / "model.safetensors")
    assert same(last, kept) == {*kept}
    assert {row["split"] for row in rows(tmp_path / "run")} == {"train", "test"}


# --- an encoder that is frozen


@pytest.mark.parametrize(("net", "flip"), [(ATTEND, 0.5), (NIC, 0.0)], ids=["mirrored", "not mirrored"])
def test_features_kept_train_as_features_made_anew(
    transfer: Config, net: NetConfig, flip: float, monkeypatch: pytest.MonkeyPatch
):
    """They are kept in half precision, so what is made anew is rounded, too. An image is mirrored in the same epochs."""
    transfer = replace(
        transfer,
        net=net,
        data=replace(transfer.data, augment=AugmentConfig(flip=flip)),
        optim=OptimConfig("sgd", lr=0.5),
        transfer=replace(transfer.transfer, frozen=1.0),
    )
    torch.manual_seed(0)
    kept = Caption(transfer, CPU)
    torch.manual_seed(0)
    anew = Caption(transfer, CPU)
    assert same(begun := state(kept), state(anew)) == {*begun}
    encode = anew.model.speaker.encode
    monkeypatch.setattr(anew.model.net, "encode", lambda images: encode(images).half().float())
    monkeypatch.setattr(anew, "_features", None)
    for _ in range(kept.steps):
        kept.step(next(kept.source()))
        anew.step(next(anew.source()))
    ended, other = state(kept), state(anew)
    assert {name for name in begun if not name.startswith("encoder.")}.isdisjoint(same(begun, ended))
    for name, value in ended.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=1e-4, msg=name)


def test_mirrored_features_are_those_of_the_images_that_training_would_mirror(config: Config, classifiers: dict[str, str]):
    frozen, free = (Caption(normed(config, classifiers, share), CPU) for share in (1.0, 0.0))
    plain, mirrored = 0, 0
    for _ in range(6):
        raw = next(frozen.source())
        with torch.no_grad():
            free.model.net.eval()
            wanted = free.model.speaker.encode(free.prepare(raw).images)
            as_it_is = free.model.features(raw.images)
        frozen_features = frozen.prepare(raw).images
        torch.testing.assert_close(frozen_features, wanted, rtol=2e-3, atol=2e-3)
        turned = ((wanted - as_it_is).abs().amax((1, 2)) > 0.01).sum()
        plain, mirrored = plain + len(raw.number) - int(turned), mirrored + int(turned)
    assert plain >= 5
    assert mirrored >= 5


def test_the_encoder_stays_as_it_is_while_frozen_and_learns_afterwards(config: Config, classifiers: dict[str, str]):
    """Its batch norm keeps the statistics that came with it to the end."""
    task = Caption(normed(config, classifiers, 0.5), CPU)
    begun, source = state(task), task.source()
    encoder = {name for name in begun if name.startswith("encoder.")}
    running = {name for name in encoder if "running" in name or "num_batches" in name}
    for _ in range(3):
        assert task.frozen
        task.step(next(source))
    assert same(begun, state(task)) == encoder
    assert not task.frozen
    task.step(next(source))
    assert same(begun, state(task)) == running


def test_without_weights_to_start_from_all_learns_at_once(config: Config):
    task = Caption(replace(config, net=NORMED, data=replace(config.data, size=32)), CPU)
    begun = state(task)
    task.step(next(task.source()))
    assert not same(begun, state(task))


@pytest.mark.parametrize("change", [{"brightness": 0.2}, {"crop": 0.1, "flip": 0.5}, {"erase": 0.1}])
def test_a_frozen_encoder_sees_no_changes_but_the_mirror(transfer: Config, change: dict[str, float]):
    changed = replace(transfer, data=replace(transfer.data, augment=AugmentConfig(**change)))
    with pytest.raises(ConfigError, match=r"transfer\.frozen 1 .* of data\.augment only flip"):
        Caption(replace(changed, transfer=replace(transfer.transfer, frozen=1.0)), CPU)
    assert Caption(changed, CPU).frozen


# --- words


def test_words_that_are_rare_are_unknown(config: Config):
    task = Caption(replace(config, data=replace(config.data, least_count=7)), CPU)
    counts = Counter(token for number in range(12) for text in told(number) for token in tokens(text))
    often = {word for word, count in counts.items() if count >= 7}
    assert {*counts} > often
    assert task.model.card.classes[: len(SPECIALS)] == SPECIALS
    assert {*task.model.card.classes[len(SPECIALS) :]} == often
    assert task.model.speaker.classes == len(SPECIALS) + len(often)


def test_a_mirror_is_warned_of_where_captions_tell_sides(config: Config, tmp_path: Path, recwarn: pytest.WarningsRecorder):
    table = striped(tmp_path)
    table.write_text(table.read_text().replace(" beside ", " left of "))
    sided = replace(config, data=replace(config.data, name=str(table)))
    with pytest.warns(
        GipiWarning,
        match=r"data\.augment\.flip 0\.5 mirrors images, and more than 1% of the captions have the words left or right",
    ):
        Caption(sided, CPU)
    Caption(replace(sided, data=replace(sided.data, augment=AugmentConfig())), CPU)
    Caption(config, CPU)


# --- what it starts from


def test_it_starts_from_a_classifier_of_its_own_encoder(config: Config, classifiers: dict[str, str]):
    transfer = normed(config, classifiers, 1.0)
    task = Caption(transfer, CPU)
    weights, own = load_file(classifiers["resnet18"]), task.model.net.state_dict()
    handed = {name.removeprefix("encoder.body."): value for name, value in own.items() if name.startswith("encoder.body.")}
    assert {*weights} - {*handed} == {"fc.weight", "fc.bias"}
    assert all(torch.equal(handed[name], weights[name]) for name in handed if "num_batches" not in name)
    assert task.model.card.preprocess == Preprocess((3, 32, 32), "resize", 0, (0.4,), (0.2,))
    assert task.model.card.parents == (classifiers["resnet18"],)
    with pytest.raises(ConfigError, match="is resnet18; 'nic-mobilenet-v2' starts from mobilenet-v2"):
        Caption(replace(transfer, net=NetConfig("nic-mobilenet-v2", SPOKEN)), CPU)
    with pytest.raises(WeightsError, match="does not fit"):
        Caption(replace(transfer, net=replace(NORMED, args={**NORMED.args, "width": 0.25})), CPU)


def test_it_starts_from_another_captioner_and_learns_its_own_words(config: Config, tmp_path: Path):
    """With other words only what knows them begins anew; with the same ones nothing does. The net's arguments are the model's."""
    model = Caption(config, CPU).answering
    table, weights = striped(tmp_path / "other"), state(Caption(config, CPU))
    save_model(tmp_path / "m.safetensors", weights, model.card)
    table.write_text(table.read_text().replace("half", "whole").replace("Here is", "There was"))
    net = NetConfig(ATTEND.name, {"width": 0.0625})
    config = replace(config, net=net, transfer=TransferConfig(str(tmp_path / "m.safetensors")))
    again = Caption(config, CPU)
    assert again.model.card.classes == model.card.classes
    assert same(weights, state(again)) == {*weights}
    other = Caption(replace(config, data=replace(config.data, name=str(table))), CPU)
    card, own = other.model.card, other.model.net.state_dict()
    assert {"half", "whole"} & {*card.classes} == {"whole"}
    assert card.args == {**model.card.args, "classes": len(card.classes)}
    kept = {name for name, value in own.items() if value.shape == weights[name].shape and torch.equal(value, weights[name])}
    assert {name.partition(".")[0] for name in {*own} - kept} == {"embedding", "answer"}
    with pytest.raises(WeightsError, match="does not fit"):
        Caption(replace(config, net=NetConfig(ATTEND.name, {"width": 0.0625, "hidden": 20})), CPU)


def test_it_starts_from_the_body_of_a_model_of_another_kind(config: Config, tmp_path: Path):
    """A shipped detector on the same backbone: what it calls `backbone.body` is the encoder, to the bit; its head is left."""
    shipped, card = load_model(WEIGHTS / "faster-rcnn-scenes.safetensors")
    small = replace(config, data=replace(config.data, size=32), transfer=TransferConfig("faster-rcnn-scenes"))
    net = NetConfig("nic-resnet18", {"width": 0.25, "stem": "small", **SPOKEN})
    task = Caption(replace(small, net=net), CPU)
    own = {name.removeprefix("encoder."): value for name, value in task.model.net.state_dict().items() if "encoder." in name}
    theirs = {name.removeprefix("backbone."): value for name, value in shipped.items() if name.startswith("backbone.body.")}
    assert own.keys() == theirs.keys()
    assert len(own) > 100
    assert all(torch.equal(value, theirs[name]) for name, value in own.items() if "num_batches" not in name)
    assert (task.model.card.args["hidden"], card.args["hidden"]) == (SPOKEN["hidden"], 128)
    assert (task.model.card.preprocess.mean, task.model.card.parents) == (card.preprocess.mean, ("faster-rcnn-scenes",))
    unset = NetConfig("nic-resnet18")  # width and stem are the body's; `hidden` of a detector is not a captioner's
    args = Caption(replace(small, net=unset), CPU).model.card.args
    assert (args["width"], args["stem"], "hidden" in args) == (0.25, "small", False)
    with pytest.raises(ConfigError, match="is faster-rcnn-resnet18-fpn; 'nic-vgg16' starts from vgg16"):
        Caption(replace(small, net=NIC), CPU)


@pytest.mark.skipif(not (REAL / "mobilenet_v2.safetensors").is_file(), reason="no imagenet_weights in $GIPI_DATA")
def test_it_starts_from_imagenet(config: Config):
    net = NetConfig("nic-mobilenet-v2", SPOKEN)
    task = Caption(replace(config, net=net, transfer=TransferConfig("imagenet", frozen=1.0)), CPU)
    published = load_file(REAL / "mobilenet_v2.safetensors")
    assert torch.equal(
        task.model.net.state_dict()["encoder.body.features.17.conv.1.0.weight"], published["features.17.conv.1.0.weight"]
    )
    assert task.model.card.parents == ("imagenet",)
    assert (task.model.card.preprocess.mean, task.model.card.args["padding"]) == ((0.5, 0.5, 0.5), "same")


# --- what is refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": RunConfig(members=2)}, "--members is for classifiers"),
        ({"run": RunConfig(processes=2, shard=True)}, "--shard is for all kinds but captioning"),
        ({"run": RunConfig(compile="on")}, "--compile is for all kinds but captioning"),
        ({"data": {"augment": AugmentConfig(mixup=0.2)}}, "mixup is for classifiers"),
        ({"data": {"augment": AugmentConfig(cutmix=1.0)}}, "cutmix is for classifiers"),
        ({"data": {"class_weights": "median-frequency"}}, "class-weights is for segmentation"),
        ({"net": NetConfig("resnet18")}, "does classify, not caption; those that do: nic-alexnet"),
        ({"data": {"name": "mnist"}}, "has no captions; those that have: flickr8k, scenes"),
        ({"data": {"name": "flickr8"}}, "did you mean 'flickr8k'"),
        ({"data": {"name": ""}}, "name the folder of images and captions by --data"),
        ({"data": {"least_count": 1000}}, "set --data.least-count lower"),
        ({"data": {"batch": 99}}, "batch size 99 does not fit 12"),
        ({"data": {"name": "scenes", "size": 32}}, "has captions for images of 64x96 alone, not 32"),
        ({"net": NIC, "data": {"size": 16}}, "have 16x16 pixels, too few for 'nic-vgg16': give a larger --data.size"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(config: Config, change: dict[str, Any], says: str):
    part = change.get("data", {})
    rest = {name: value for name, value in change.items() if name != "data"}
    with pytest.raises((ConfigError, DataError), match=says):
        Caption(replace(config, data=replace(config.data, **part), **rest), CPU)


# --- what comes of it


def test_a_training_ends_with_a_tested_model(config: Config, data: Path, tmp_path: Path):
    run = api.train(config, out=tmp_path / "run", report=False)
    card, last = read_card(run.model_path), run.rows()[-1]
    train_set, test = (load_captions(str(data), split, side=64) for split in ("train", "test"))
    sentences = [caption for each in train_set.captions for caption in each]
    assert (card.kind, card.net, card.image) == ("caption", ATTEND.name, (3, 64, 64))
    assert card.classes == Vocabulary.of(sentences, 1).words
    assert card.data == {f"{data}/train": train_set.digest(), f"{data}/test": test.digest()}
    assert card.parents == ()
    assert list(card.metrics) == ["bleu4", "bleu1", "bleu2", "bleu3", "rouge_l", "cider", "exact", "perplexity"]
    assert last == {**last, "split": "test", **card.metrics}
    again = api.evaluate(run.path, str(data))
    assert {name: mean.value for name, mean in again.metrics.items()} == pytest.approx(card.metrics, rel=1e-5)
    assert [row["split"] for row in run.rows()].count("validation") == 2


def test_a_model_file_is_all_that_is_needed(config: Config, tmp_path: Path):
    model = Caption(config, CPU).answering
    model.save(tmp_path / "m.safetensors")
    again = Captioner.load(tmp_path / "m.safetensors", CPU)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(model.features(pixels), again.features(pixels))
    assert load_model(tmp_path / "m.safetensors")[1] == model.card


@pytest.mark.slow
@pytest.mark.parametrize(("net", "wanted"), [("attend-resnet18", 1.0), ("nic-resnet18", 7 / 9)], ids=["attends", "does not"])
def test_it_learns_to_say_exactly_what_is_there(config: Config, net: str, wanted: float, tmp_path: Path):
    """A mean over the places tells left from right by the borders alone: there a sentence or two may be wrong."""
    table = striped(tmp_path / "set", train=72, validation=9, test=9, most=1)
    config = replace(
        config,
        net=NetConfig(net, {"width": 0.25, "stem": "small", "embedding": 16, "hidden": 64, "dropout": 0.0}),
        data=replace(config.data, name=str(table), size=32, batch=9, augment=AugmentConfig(brightness=0.2)),
        optim=OptimConfig("adamw", lr=5e-3, schedule="one-cycle", clip=5.0),
        run=replace(config.run, epochs=40),
    )
    train(0, config, tmp_path / "run")
    model, test = Captioner.load(tmp_path / "run" / "model.safetensors", CPU), load_captions(str(table), "test", side=32)
    answers = [answer.text for answer in model.answer([model.frame(table.parent / name) for name in test.names])]
    right = sum(answer == captions[0] for answer, captions in zip(answers, test.captions, strict=True)) / len(test)
    assert right == pytest.approx(model.card.metrics["exact"])
    assert right >= wanted
