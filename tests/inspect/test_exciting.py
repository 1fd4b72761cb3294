"""The most exciting images against a brute force that keeps every output of every image."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.inspect.exciting import Top, choose, convolutions, crop, exciting_figure, most_exciting, patches
from gipi.models.convstack import convstack
from gipi.models.deepconvnet import deepconvnet
from oracle.pictures import unreadable

NETS = {"deepconvnet": deepconvnet, "convstack": convstack}
COUNT = 23


def pictures(count: int = COUNT, channels: int = 1) -> ImageSet:
    images = torch.randint(0, 256, (count, channels, 28, 28), dtype=torch.uint8)
    return ImageSet("noise", "test", ("a",), images, torch.zeros(count, dtype=torch.int64))


def net_and_input(name: str) -> tuple[nn.Module, ImageSet, Tensor]:
    torch.manual_seed(0)
    net, data = NETS[name](), pictures()
    return net, data, data.images.float() / 255


def outputs(net: nn.Module, layer: str, images: Tensor) -> Tensor:
    """All that a layer puts out for all images, (n, d, h, w)."""
    kept: list[Tensor] = []
    hook = net.get_submodule(layer).register_forward_hook(lambda _layer, _inputs, output: kept.append(output.clone()))
    with torch.no_grad():
        net.eval()(images)
    hook.remove()
    return kept[0]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("batch", [4, COUNT])
def test_one_pass_in_batches_finds_what_a_brute_force_finds(name: str, batch: int) -> None:
    net, _, inputs = net_and_input(name)
    layers = convolutions(net, (1, 28, 28))
    tops = most_exciting(net.train(), inputs.split(batch), layers, 5)
    assert all(module.training for module in net.modules())
    assert list(tops) == list(layers)
    for layer in layers:
        values = outputs(net, layer, inputs)
        for channel in range(values.shape[1]):
            ranking = sorted(range(COUNT), key=lambda image: -float(values[image, channel].max()))[:5]
            assert tops[layer].image[:, channel].tolist() == ranking
            for rank, image in enumerate(ranking):
                row, column = divmod(int(tops[layer].place[rank, channel]), values.shape[3])
                assert values[image, channel, row, column] == values[image, channel].max()
                torch.testing.assert_close(tops[layer].value[rank, channel], values[image, channel].max())


def test_of_equally_exciting_images_the_first_is_kept_and_fewer_images_than_asked_for_are_all() -> None:
    net = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(net.weight)
    values = torch.tensor([1.0, 3, 2, 3, 1, 3]).view(6, 1, 1, 1)
    for batch in (1, 2, 4):
        assert most_exciting(net, values.split(batch), [""], 4)[""].image.flatten().tolist() == [1, 3, 5, 2]
    assert most_exciting(net, values.split(4), [""], 9)[""].image.flatten().tolist() == [1, 3, 5, 2, 0, 4]


def test_no_more_is_kept_than_asked_for() -> None:
    net, _, inputs = net_and_input("convstack")
    seen: list[weakref.ref[Tensor]] = []

    def batches() -> Iterator[Tensor]:
        for place in range(0, COUNT, 2):
            batch = inputs[place : place + 2].clone()
            seen.append(weakref.ref(batch))
            yield batch
            assert sum(batch() is not None for batch in seen) <= 2

    tops = most_exciting(net, batches(), convolutions(net, (1, 28, 28)), 3)
    for part in (part for top in tops.values() for part in top):
        assert part.untyped_storage().nbytes() == part.nbytes == 3 * 16 * part.itemsize


@pytest.mark.parametrize("name", NETS)
def test_a_patch_alone_gives_the_output_that_made_it_exciting(name: str) -> None:
    """What is drawn is all that the value sees: with anything else around it, the value is the same."""
    net, data, inputs = net_and_input(name)
    layers = convolutions(net, (1, 28, 28))
    tops = most_exciting(net, [inputs], layers, 4)
    for layer, found in layers.items():
        assert found.reach is not None
        for channel in range(3):
            for rank in range(4):
                number, place = int(tops[layer].image[rank, channel]), int(tops[layer].place[rank, channel])
                row, column = divmod(place, found.shape[2])
                top, left, bottom, right = found.reach.box(row, column)
                other = torch.rand(1, 1, 28, 28)
                seen = slice(max(0, top), bottom), slice(max(0, left), right)
                other[0, 0][seen] = inputs[number, 0][seen]
                value = outputs(net, layer, other)[0, channel, row, column]
                torch.testing.assert_close(value, tops[layer].value[rank, channel], rtol=1e-4, atol=1e-5)
        shown = patches(tops[layer], found, 0, data.images)
        assert {tuple(patch.shape[1:]) for patch in shown} == {found.reach.field}


def test_patch_of_an_image_that_is_not_square_is_around_the_maximum() -> None:
    net = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    nn.init.ones_(net.weight)
    image = torch.zeros(1, 1, 5, 9, dtype=torch.uint8)
    image[0, 0, 3, 6:] = torch.tensor([50, 70, 60])
    layers = convolutions(net, (1, 5, 9))
    top = most_exciting(net, [image.float()], [""], 1)[""]
    assert (top.value.item(), top.place.item()) == (180, 3 * 9 + 7)
    assert [patch.tolist() for patch in patches(top, layers[""], 0, image)] == [[[[50, 70, 60]]]]


def test_crop_is_grey_outside_the_image() -> None:
    image = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    assert torch.equal(crop(image, (1, 1, 3, 3)), image[:, 1:3, 1:3])
    assert torch.equal(crop(image, (0, 0, 3, 4)), image)
    assert crop(image, (-1, 2, 2, 6))[0].tolist() == [[228] * 4, [2, 3, 228, 228], [6, 7, 228, 228]]
    assert crop(image, (5, 7, 7, 8))[0].tolist() == [[228], [228]]
    assert crop(image.expand(3, 3, 4), (-2, 0, 1, 1)).shape == (3, 3, 1)


def test_choice_of_layers_and_channels() -> None:
    layers = convolutions(deepconvnet(), (1, 28, 28))
    assert list(layers) == [f"features.{number}" for number in (0, 2, 5, 8, 11, 13)]
    assert choose(layers, None, None) == dict.fromkeys(layers, range(6))
    assert choose(layers, "features.5", None) == {"features.5": range(32)}
    assert choose(layers, "features.5", 31) == {"features.5": [31]}
    assert choose(convolutions(convstack(width=2), (1, 28, 28)), None, None).popitem()[1] == range(2)
    with pytest.raises(ConfigError, match=r"no convolution 'feature.5'; did you mean 'features.5'\? \(allowed: features.0, "):
        choose(layers, "feature.5", None)
    with pytest.raises(ConfigError, match=r"no convolution 'features\.1'"):  # a ReLU
        choose(layers, "features.1", None)
    for channel in (-1, 32):
        with pytest.raises(ConfigError, match=f"'features.5' has no channel {channel}: allowed are 0 to 31"):
            choose(layers, "features.5", channel)
    with pytest.raises(ConfigError, match=r"channel 3 of which layer\? .*features.0"):
        choose(layers, None, 3)
    with pytest.raises(ConfigError, match="no convolution"):
        choose({}, None, None)


@pytest.mark.parametrize(("layer", "channel", "images"), [(None, None, 9), ("features.5", None, 9), ("features.13", 63, 23)])
def test_figure_shows_the_patches_the_most_exciting_first(layer: str | None, channel: int | None, images: int) -> None:
    net, data, inputs = net_and_input("deepconvnet")
    layers = convolutions(net, (1, 28, 28))
    channels = choose(layers, layer, channel)
    tops = most_exciting(net, [inputs], channels, images)
    fig = exciting_figure(tops, layers, channels, data)
    pairs = [(name, number) for name, numbers in channels.items() for number in numbers]
    assert [ax.get_title() for ax in fig.axes] == [f"channel {number}" for _, number in pairs]
    for ax, (name, number) in zip(fig.axes, pairs, strict=True):
        assert len(ax.images) == images
        places = [(extent[3], extent[0]) for extent in (picture.get_extent() for picture in ax.images)]
        assert places == sorted(places), "not in reading order"
        for picture, patch in zip(ax.images, patches(tops[name], layers[name], number, data.images), strict=True):
            np.testing.assert_array_equal(np.squeeze(picture.get_array()), patch[0])
    labels = [text.get_text() for text in fig.texts[1:]]
    assert [label.split()[0] for label in labels] == list(channels)
    assert all(f"sees {layers[n].reach.field[0]} x" in label for n, label in zip(channels, labels, strict=True))
    assert f"of 23 images of 'noise' (test), the parts that its {images} largest" in fig.texts[0].get_text()
    assert not unreadable(fig)


def test_colour_images_and_layers_of_unknown_geometry_are_drawn() -> None:
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 3))
    data = pictures(4, channels=3)
    layers = convolutions(net, (3, 28, 28))
    tops = most_exciting(net, [data.images.float()], layers, 9)
    fig = exciting_figure(tops, layers, choose(layers, None, None), data)
    assert {picture.get_array().shape for ax in fig.axes for picture in ax.images} == {(28, 28, 3)}
    assert not unreadable(fig)


def test_images_that_the_net_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(3, 28, 28\)"):
        most_exciting(deepconvnet(), [torch.rand(2, 3, 28, 28)], ["features.0"], 3)


def test_a_top_is_of_each_channel_on_its_own() -> None:
    top = most_exciting(nn.Conv2d(1, 2, 1, bias=False), [torch.rand(5, 1, 2, 2)], [""], 3)[""]
    assert isinstance(top, Top)
    assert top.value.shape == top.image.shape == top.place.shape == (3, 2)
    assert (top.value.diff(dim=0) <= 0).all()
