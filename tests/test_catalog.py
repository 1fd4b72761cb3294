"""What the catalogue says is so: each name leads to code, each fact is that of the thing built."""

from __future__ import annotations

import inspect
import re

import gymnasium
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from gipi import catalog
from gipi.data import fetch
from gipi.data.scenes import CAPTIONED
from gipi.envs.atari import rom_of
from gipi.envs.scores import REFERENCE
from gipi.errors import ConfigError, DataError
from gipi.inspect.layers import layer_table
from gipi.model import WEIGHTS, load_model
from gipi.models.kinds import build_net
from gipi.ops.segmentation import VOID
from gipi.recipes import RECIPES

NETS, DATASETS, KINDS = catalog.NETS, catalog.DATASETS, catalog.KINDS
SEGMENT = [name for name, net in NETS.items() if net.kind == "segment"]
DETECT = [name for name, net in NETS.items() if net.kind == "detect"]
OF_ONE_PASS = [name for name in NETS if name not in DETECT]  # what they compute does not depend on what they see
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.LSTM, nn.LSTMCell)


@pytest.mark.parametrize(
    "factory",
    [
        *(entry.factory for entry in (NETS | KINDS).values()),
        *(factory for entry in DATASETS.values() for factory in entry.factories.values()),
        *(entry.model for entry in KINDS.values()),
    ],
)
def test_every_factory_resolves(factory: str):
    made_by = catalog.resolve(factory)
    assert callable(made_by)
    assert factory == f"{made_by.__module__}:{made_by.__qualname__}"


@pytest.mark.parametrize("name", OF_ONE_PASS)
def test_the_facts_of_a_net_are_those_of_the_net_built(name: str):
    fact = NETS[name]
    with torch.device("meta"):  # shapes alone: some nets are half a gigabyte of numbers
        net = catalog.resolve(fact.factory)().eval()
        logits = net(torch.zeros(2, *fact.input))
    assert sum(weight.numel() for weight in net.parameters()) == fact.parameters
    table = layer_table(net, fact.input)
    assert table.parameters == fact.parameters
    assert table.multiply_adds == fact.multiply_adds
    if fact.kind == "segment":
        classes = 21 if fact.input == (3, 224, 224) else 11  # of PASCAL VOC and CamVid
        assert logits.shape == (2, classes, *fact.input[1:])
    elif fact.kind == "generate":
        assert logits.shape == (2, 3, 64, 64), "the paper's images"
    elif fact.kind == "caption":
        assert logits.shape == (2, 3000), "the first word's"
    elif fact.kind == "act":
        assert logits.shape == (2, {"dqn": 6, "dqn-small": 3, "dqn-mlp": 2}[name]), "Pong's, catch's and CartPole's actions"
    else:
        assert logits.shape == (2, 1000 if fact.input == (3, 224, 224) else 10)


@pytest.mark.parametrize("name", DETECT)
def test_the_facts_of_a_detector_are_those_of_the_net_built(name: str):
    """Its convolutions see the image once, its affine layers 1,000 regions; R-CNN's see one region."""
    fact = NETS[name]
    with torch.device("meta"):
        net = catalog.resolve(fact.factory)().eval()
        image = torch.zeros(1, *fact.input)
    assert sum(weight.numel() for weight in net.parameters()) == fact.parameters
    if fact.chain:
        assert layer_table(net.body, fact.input).multiply_adds == fact.multiply_adds
        return
    seen: list[int] = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, _, out: seen.append(layer.weight.numel() * out.shape[2] * out.shape[3]))
    maps = net.backbone(image)
    if net.rpn is not None:
        net.rpn(maps, fact.input[1:])
    affine = sum(layer.weight.numel() for layer in net.modules() if isinstance(layer, nn.Linear))
    assert sum(seen) + 1000 * affine == fact.multiply_adds
    assert (net.GIVEN, net.rpn is None) == ((True, True) if name.startswith("fast-") else (False, False))
    assert NETS[net.origin].kind == "classify"


@pytest.mark.parametrize("name", NETS)
def test_the_depth_of_a_net_counts_its_weighted_layers_one_behind_the_other(name: str):
    """All but shortcuts and skips, and of branches side by side the longest; of a captioner none that say where to look."""
    beside = re.compile(
        r"downsample|branch[134]|expand1x1|score\.(16|8)|rpn\.|bbox_pred|blocks\.[1-9]|^(start|key|query|score|gate|word|view)$"
    )
    with torch.device("meta"):
        layers = catalog.resolve(NETS[name].factory)().named_modules()
    weighted = [key for key, layer in layers if isinstance(layer, WEIGHTED) and not beside.search(key)]
    assert len(weighted) == NETS[name].depth


@pytest.mark.parametrize("name", OF_ONE_PASS)
def test_a_net_takes_images_of_other_sizes_where_it_says_so(name: str):
    fact = NETS[name]
    with torch.device("meta"):
        net = catalog.resolve(fact.factory)().eval()
    step = net.stride if fact.kind == "segment" else 1
    size = (fact.input[0], fact.input[1] + 33 * step, fact.input[2] + 64)
    if fact.any_size:
        assert layer_table(net, size).parameters == fact.parameters
    else:
        with pytest.raises((ConfigError, TypeCheckError)):  # the second where annotations are checked, as in these tests
            layer_table(net, size)


@pytest.mark.parametrize("name", SEGMENT)
def test_a_net_for_pixels_takes_multiples_of_its_stride_and_starts_from_a_classifier_of_the_catalogue(name: str):
    fact = NETS[name]
    with torch.device("meta"):
        net = catalog.resolve(fact.factory)()
    layers = layer_table(net, (fact.input[0], net.stride, 2 * net.stride)).layers
    assert layers[-1].shape[1:] == (net.stride, 2 * net.stride)
    assert min(layer.shape[1] for layer in layers) == 1, "the coarsest map has one place for each stride"
    with pytest.raises(ConfigError, match=f"multiples of {net.stride}"):
        layer_table(net, (fact.input[0], net.stride + 1, net.stride))
    assert net.origin in ("", *(other for other in NETS if NETS[other].kind == "classify"))
    assert bool(net.origin) == (name != "segnet-basic")


@pytest.mark.parametrize("name", NETS)
def test_the_arguments_of_a_net_have_defaults_and_names(name: str):
    for argument in inspect.signature(catalog.resolve(NETS[name].factory)).parameters.values():
        assert argument.kind is inspect.Parameter.KEYWORD_ONLY
        assert argument.default is not inspect.Parameter.empty


# What takes long to decode or to draw. The training pictures of cifar10 once, in tests/data/test_cifar.py, are enough.
LONG = {("scenes", "train"), ("camvid", "train"), ("camvid", "test"), ("bccd", "train"), ("flickr8k", "train")}


@pytest.mark.parametrize(
    ("name", "kind", "split"),
    [
        pytest.param(name, kind, split, marks=pytest.mark.slow if (name, split) in LONG else ())
        for name, data in DATASETS.items()
        for kind in data.factories
        for split in ("train", "test")
        if (name, split) != ("cifar10", "train")
    ],
)
def test_a_data_set_is_as_large_as_stated(name: str, kind: str, split: str, monkeypatch: pytest.MonkeyPatch):
    def no_download(*_: object):
        raise DataError("no download in a test")

    monkeypatch.setattr(fetch, "download", no_download)
    fact = DATASETS[name]
    try:
        images = catalog.resolve(fact.factories[kind])(split)
    except DataError as error:
        if "no download in a test" not in str(error) and "is in none of" not in str(error):
            raise
        pytest.skip(f"{name} is not on this machine")
    more = CAPTIONED if (name, kind, split) == ("scenes", "caption", "train") else 1
    assert len(images) == more * getattr(fact, split)
    assert tuple(images.images.shape[1:]) == fact.image
    assert (images.name.removesuffix("-jpeg"), images.split) == (name, split)
    if kind == "caption":
        assert len(images.captions) == len(images)
    else:
        assert set(images.labels.unique().tolist()) - {VOID, -1} == set(range(len(images.classes)))
    assert kind in KINDS


def test_digits_needs_no_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "local_files", lambda *_: pytest.fail("digits asked for a file"))
    images = catalog.resolve(DATASETS["digits"].factories["classify"])("train")
    assert (len(images), DATASETS["digits"].train + DATASETS["digits"].test) == (1437, 1797)


@pytest.mark.parametrize("factory", [factory for data in DATASETS.values() for factory in data.factories.values()])
def test_an_unknown_split_names_the_nearest(factory: str):
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        catalog.resolve(factory)("trian")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_what_exists_and_fits(name: str):
    config = RECIPES[name].config
    net = NETS[config.net.name]
    assert net.kind == config.kind
    if config.kind == "act":
        assert config.data.name in ("", *catalog.GAMES, *gymnasium.registry) or rom_of(config.data.name) in REFERENCE
    elif config.data.name:  # else a folder, named when the recipe is used
        data = DATASETS[config.data.name]
        assert config.kind in data.factories
        assert net.any_size or net.input[1:] == data.image[1:] or net.kind == "generate"
        assert config.data.batch <= data.train * (1 - config.data.holdout)
    assert set(config.net.args) <= set(inspect.signature(catalog.resolve(net.factory)).parameters)


@pytest.mark.parametrize("name", catalog.SHIPPED)
def test_a_shipped_model_is_there_and_says_what_it_is(name: str):
    shipped = catalog.SHIPPED[name]
    assert shipped.recipe in RECIPES
    weights, card = load_model(WEIGHTS / f"{name}.safetensors")
    assert card.recipe == shipped.recipe
    assert card.net in NETS
    net = build_net(card.net, card.args)
    assert {key: value.shape for key, value in weights.items()} == {key: value.shape for key, value in net.state_dict().items()}


def test_an_unknown_name_names_the_nearest_and_all():
    told = f"no data set 'mnits'; did you mean 'mnist'? (allowed: {', '.join(sorted(DATASETS))})"
    with pytest.raises(ConfigError, match=re.escape(told)):
        catalog.entry(DATASETS, "mnits", "data set")
    assert catalog.entry(DATASETS, "mnist", "data set") is DATASETS["mnist"]
