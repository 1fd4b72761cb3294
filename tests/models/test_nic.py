"""Nets that put images into words: their equations once more in NumPy, word by word beside all at once, on every backbone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi import catalog
from gipi.models.attend import Attend
from gipi.models.backbone import Backbone
from gipi.models.beam_search import beam_search, sample
from gipi.models.caption_net import CaptionNet, Step, before
from gipi.models.kinds import build_net
from gipi.models.nic import NIC
from gipi.ops.text import END, PAD, START

NAMES = [name for name, net in catalog.NETS.items() if net.kind == "caption"]
ATTEND = "gipi.models.attend:"
BOTH = ["nic-resnet18", "attend-resnet18"]
both = pytest.mark.parametrize("name", BOTH)
every = pytest.mark.parametrize("name", NAMES)
CLASSES = 11
WORDS = torch.tensor(  # captions of two images: long and short, cut, of no words, missing
    [
        [[5, 3, 9, END, PAD], [4, END, PAD, PAD, PAD], [END, PAD, PAD, PAD, PAD]],
        [[7, 7, 3, 8, 10], [PAD, PAD, PAD, PAD, PAD], [6, 5, END, PAD, PAD]],
    ]
)


def small(name: str, **args: Any) -> CaptionNet:
    """In eval mode and float64, an eighth as wide, its weights wild enough that everything matters."""
    torch.manual_seed(0)
    sizes = {"attention": 5} if name.startswith("attend") else {}
    net = build_net(name, {"width": 0.125, "stem": "small", "classes": CLASSES, "embedding": 8, "hidden": 6, **sizes, **args})
    assert isinstance(net, CaptionNet)
    for key, weight in net.named_parameters():
        if not key.startswith("encoder."):
            nn.init.normal_(weight, std=0.7)
    return net.double().eval()


def images(count: int = 2, height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def features(net: CaptionNet, count: int = 2) -> Tensor:
    depth = net.encode(images(1)).shape[2]
    return torch.randn(count, 4 if net.ATTENDS else 1, depth, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def start(net: CaptionNet, seen: Tensor, count: int) -> tuple[Any, Step]:
    """What is seen, and the state after START of `count` sentences an image."""
    looked = net.look(seen)
    hidden, cell = (state[:, None].expand(-1, count, -1) for state in (looked.hidden, looked.cell))
    return looked, net.step(torch.full((len(seen), count), START), hidden, cell, looked)


def by_steps(net: CaptionNet, seen: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """(logits (n, c, t, k), maps (n, c, t, p)), a step for each column."""
    looked, said = start(net, seen, words.shape[1])
    steps = [said]
    for column in words.clamp(min=0).unbind(2)[:-1]:
        steps.append(net.step(column, steps[-1].hidden, steps[-1].cell, looked))
    return torch.stack([step.logits for step in steps], 2), torch.stack([step.map for step in steps], 2)


# --- the papers' equations


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    return powers / powers.sum()


class Equations:
    """A decoder's weights in NumPy, and one step of its LSTM: Vinyals et al., equations 4 to 8; Xu et al., equations 1 to 3."""

    def __init__(self, net: CaptionNet, lstm: str, suffix: str) -> None:
        self.weights = {key: value.numpy() for key, value in net.state_dict().items() if not key.startswith("encoder.")}
        self.parts = [self.weights[f"{lstm}.{part}{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def affine(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights.get(f"{name}.bias", 0)

    def lstm(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from_x, from_h, bias, more_bias = self.parts
        i, f, g, o = np.split(from_x @ x + from_h @ h + bias + more_bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def word(self, number: int) -> np.ndarray:
        return self.weights["embedding.weight"][number]


def nic_twin(net: NIC, image: np.ndarray, words: list[int]) -> list[np.ndarray]:
    """Logits of each word of a caption, from the features of an image."""
    own, hidden = Equations(net, "lstm", "_l0"), net.lstm.hidden_size
    h, c = own.lstm(own.affine("image", image[0]), np.zeros(hidden), np.zeros(hidden))
    logits = []
    for word in [START, *words][: len(words)]:
        h, c = own.lstm(own.word(word), h, c)
        logits.append(own.affine("answer", h))
    return logits


def attend_twin(net: Attend, image: np.ndarray, words: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Logits and maps: Xu et al., section 3.1.2, looking at the mean of section 4.2; departures as `models/attend.py` has them."""
    own = Equations(net, "cell", "")
    places = [np.maximum(own.affine("image", place), 0) for place in image]
    h, c = np.split(np.tanh(own.affine("start", np.mean(places, 0))), 2)
    logits, maps = [], []
    for word in [START, *words][: len(words)]:
        energy = [own.affine("score", np.tanh(own.affine("key", place) + own.affine("query", h)))[0] for place in places]
        map = softmax(np.array(energy))
        view = sigmoid(own.affine("gate", h)) * sum(share * place for share, place in zip(map, places, strict=True))
        h, c = own.lstm(np.concatenate([own.word(word), view]), h, c)
        logits.append(own.affine("answer", h + own.affine("word", own.word(word)) + own.affine("view", view)))
        maps.append(map)
    return logits, maps


@torch.no_grad()
def test_nic_is_the_papers_equations():
    net = small("nic-resnet18")
    assert isinstance(net, NIC)
    seen, wanted = features(net), []
    for image, captions in zip(seen.numpy(), WORDS.tolist(), strict=True):
        for caption in captions:
            wanted += nic_twin(net, image, [word for word in caption if word != PAD])
    logits, maps = net.unroll(seen, WORDS)
    np.testing.assert_allclose(logits, wanted, rtol=1e-10, atol=1e-12)
    assert torch.equal(maps[..., 0], (WORDS != PAD).double())


@torch.no_grad()
def test_attention_is_the_papers_equations():
    net = small("attend-resnet18")
    assert isinstance(net, Attend)
    seen, wanted, looked = features(net), [], []
    for image, captions in zip(seen.numpy(), WORDS.tolist(), strict=True):
        for caption in captions:
            one, where = attend_twin(net, image, [word for word in caption if word != PAD])
            wanted, looked = wanted + one, looked + where
    logits, maps = net.unroll(seen, WORDS)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)  # maps are float32
    np.testing.assert_allclose(maps[WORDS != PAD], looked, rtol=1e-5, atol=1e-6)
    assert np.std(looked, 0).min() > 0.01, "each word looks elsewhere"


# --- word by word, and all at once


@both
@torch.no_grad()
def test_word_by_word_is_as_all_at_once(name: str):
    net = small(name)
    seen, there = features(net), WORDS != PAD
    logits, maps = net.unroll(seen, WORDS)
    single, looked = by_steps(net, seen, WORDS)
    assert logits.shape == (int(there.sum()), CLASSES)
    torch.testing.assert_close(logits, single[there], rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(maps, torch.where(there[..., None], looked, 0).to(maps.dtype), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(maps.sum(3), there.to(maps.dtype))
    torch.testing.assert_close(net(seen), single[:, 0, 0], rtol=1e-7, atol=1e-8)


@both
def test_what_stands_behind_the_end_has_no_influence(name: str):
    """More PAD behind, and captions of nothing but PAD: neither on logits nor on gradients."""
    net = small(name)
    seen = features(net)
    padded = F.pad(WORDS, (0, 3, 1, 2), value=PAD)
    results = []
    for words in (WORDS, padded):
        net.zero_grad()
        logits, maps = net.unroll(seen, words)
        F.cross_entropy(logits, words[words != PAD]).backward()
        assert not maps[words == PAD].any()
        results.append([logits.detach(), *(weight.grad.clone() for weight in net.parameters() if weight.grad is not None)])
    assert len(results[0]) > 6
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@both
@torch.no_grad()
def test_a_word_follows_from_those_before_it_its_image_and_nothing_else(name: str):
    net = small(name)
    seen, words = features(net), torch.randint(3, CLASSES, (2, 2, 6), generator=torch.Generator().manual_seed(2))
    before_change = net.unroll(seen, words)[0].unflatten(0, words.shape)
    words[0, 1, 3] = 3 if words[0, 1, 3] != 3 else 4
    changed = (net.unroll(seen, words)[0].unflatten(0, words.shape) - before_change).abs().amax(3) > 1e-9
    assert changed[0, 1].tolist() == [False, False, False, False, True, True]
    assert changed.sum() == 2
    other = seen.clone()
    other[1] += 1
    changed = (net.unroll(other, words)[0] - net.unroll(seen, words)[0]).unflatten(0, words.shape).abs().amax(3) > 1e-9
    assert changed[1].all()
    assert not changed[0].any()


def test_before_each_word_stands_the_last_and_before_the_first_START():  # noqa: N802
    assert before(torch.tensor([[5, 4, END, PAD, PAD], [PAD] * 5])).tolist() == [[START, 5, 4, END, 0], [START, 0, 0, 0, 0]]


@both
@torch.no_grad()
def test_what_is_said_has_the_probability_and_the_maps_of_the_net_all_at_once(name: str):
    net = small(name)
    seen = features(net, 3)
    found = beam_search(net, seen, width=4, longest=6, length=0.7)
    drawn = sample(net, seen, count=4, temperature=1.0, longest=6, seed=0, number=torch.arange(3))
    for spoken in (found, drawn):
        there = spoken.words != PAD
        logits, maps = net.unroll(seen, spoken.words)
        logs = logits.log_softmax(1).gather(1, spoken.words[there][:, None])[:, 0]
        summed = torch.zeros(there.shape, dtype=logs.dtype).masked_scatter(there, logs).sum(2)
        torch.testing.assert_close(spoken.log_probability.double(), summed, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(spoken.maps, maps.float(), rtol=1e-5, atol=1e-6)


# --- what is seen


def classifier(name: str) -> Backbone:
    """The one of the catalogue that a captioner's encoder comes from, as narrow; batch norm has seen something."""
    torch.manual_seed(3)
    net = build_net(name.partition("-")[2], {"width": 0.125, "stem": "small", "classes": 7})
    assert isinstance(net, Backbone)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(layer.running_var, 0.5, 1)  # pyright: ignore[reportArgumentType]
    return net.double().eval()


@pytest.mark.parametrize("name", ["nic-resnet18", *(name for name in NAMES if catalog.NETS[name].factory.startswith(ATTEND))])
@torch.no_grad()
def test_what_is_seen_is_the_coarsest_map_of_a_trained_classifier_and_its_words_stay(name: str):
    net, trained = small(name), classifier(name)
    own = {key: value.clone() for key, value in net.state_dict().items() if not key.startswith("encoder.")}
    net.load_state_dict(net.from_classifier(trained.state_dict()))
    assert all(torch.equal(net.state_dict()[key], value) for key, value in own.items())
    *_, coarsest = trained.pyramid(images()).values()
    seen, (rows, columns) = net.encode(images()), net.grid(32, 48)
    if net.ATTENDS:
        assert (rows, columns) == coarsest.shape[2:]
        assert rows < columns
        for row in range(rows):
            for column in range(columns):
                place = seen[:, row * columns + column, : coarsest.shape[1]]
                torch.testing.assert_close(place, coarsest[:, :, row, column])
    else:
        assert (rows, columns) == (1, 1)
        torch.testing.assert_close(seen, coarsest.mean((2, 3))[:, None])


@torch.no_grad()
def test_a_place_tells_where_it_is():
    net = small("attend-resnet18")
    rows, columns = net.grid(64, 96)
    where = net.encode(images(1, 64, 96))[0, :, -2:].unflatten(0, (rows, columns))
    assert where[0, 0].tolist() == [-1, -1]
    assert where[-1, -1].tolist() == [1, 1]
    assert where[0, -1].tolist() == [-1, 1]
    torch.testing.assert_close(where.diff(dim=0)[..., 0], torch.full((rows - 1, columns), 2 / (rows - 1)).double())
    torch.testing.assert_close(where.diff(dim=1)[..., 1], torch.full((rows, columns - 1), 2 / (columns - 1)).double())


@pytest.mark.parametrize(
    ("name", "other", "told"),
    [
        ("nic-resnet18", "resnet34", r"a resnet18 as wide as this net: unexpected encoder|unexpected layer1\.2\.conv1\.weight"),
        ("attend-vgg16", "vgg11", r"a vgg16 as wide as this net: missing features"),
        ("nic-mobilenet-v2", "resnet18", r"a mobilenet-v2 as wide as this net: missing features"),
    ],
)
def test_another_classifiers_weights_are_refused(name: str, other: str, told: str):
    weights = build_net(other, {"width": 0.125, "stem": "small", "classes": 7}).state_dict()
    with pytest.raises(ValueError, match=told):
        small(name).from_classifier(weights)


# --- learning


@every
def test_sizes_and_that_every_weight_learns(name: str):
    net = small(name).train()
    logits, maps = net(images(), WORDS)
    rows, columns = net.grid(32, 48)
    assert (rows, columns) == (1, 1) or net.ATTENDS
    assert logits.shape == ((WORDS != PAD).sum(), CLASSES)
    assert maps.shape == (*WORDS.shape, rows * columns)
    F.cross_entropy(logits, WORDS[WORDS != PAD]).backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key
        assert weight.grad.abs().sum() > 0, key


@both
@torch.no_grad()
def test_of_images_it_says_what_it_says_of_their_features(name: str):
    net = small(name)
    seen = net.encode(images())
    for one, other in zip(net(images(), WORDS), net(seen, WORDS), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(net(images()), net(seen))
    assert net(seen).shape == (2, CLASSES)


@both
def test_from_features_the_encoder_learns_nothing(name: str):
    net = small(name)
    logits, _ = net(features(net), WORDS)
    F.cross_entropy(logits, WORDS[WORDS != PAD]).backward()
    learns = {key for key, weight in net.named_parameters() if weight.grad is not None}
    assert learns == {key for key, _ in net.named_parameters() if not key.startswith("encoder.")}


@both
def test_it_learns_captions_by_heart_and_says_them(name: str):
    """Four images, each with one caption; that of the third begins as that of the first, and the last one has no words."""
    captions = [[3, 4, 5, 6, END], [7, 3, END], [3, 4, 8, END], [END]]
    words = torch.tensor([[caption + [PAD] * (5 - len(caption))] for caption in captions])
    torch.manual_seed(0)
    args = {"width": 0.125, "stem": "small", "classes": CLASSES, "embedding": 16, "hidden": 32, "dropout": 0.0}
    net = build_net(name, args)
    assert isinstance(net, CaptionNet)
    seen = features(net.eval().double(), 4).float()
    net.float().train()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(net(seen, words)[0], words[words != PAD])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(CLASSES), abs=0.3)
    assert losses[-1] < 0.1, losses
    spoken = beam_search(net.eval(), seen, width=3, longest=5, length=0.7)
    assert torch.equal(spoken.words[:, 0], words[:, 0])
    assert (spoken.log_probability[:, 0] > spoken.log_probability[:, 1]).all()


@both
def test_dropout_is_as_told_and_off_in_use(name: str):
    net = small(name, dropout=0.3)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.3]
    seen = features(net)
    assert torch.equal(net(seen, WORDS)[0], net(seen, WORDS)[0])
    net.train()
    assert not torch.equal(net(seen, WORDS)[0], net(seen, WORDS)[0])
    net = small(name, dropout=0.0).train()
    assert torch.equal(net(seen, WORDS)[0], net(seen, WORDS)[0])


@both
@torch.no_grad()
def test_bfloat16_hardly_changes_the_answer(name: str):
    net = small(name).float()
    seen = features(net.double()).float()
    net.float()
    wanted, maps = net(seen, WORDS)
    with torch.autocast("cpu", torch.bfloat16):
        got, looked = net(seen, WORDS)
        spoken = beam_search(net, seen, width=3, longest=5, length=0.7)
    assert (got.float() - wanted).abs().max() < 0.1 * wanted.abs().max()
    assert (looked.float() - maps).abs().max() < 0.1
    assert spoken.log_probability.dtype == spoken.maps.dtype == torch.float32
