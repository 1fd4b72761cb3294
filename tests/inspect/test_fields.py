"""Receptive fields on an image, against the pixels that have a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gipi.errors import ConfigError, DataError
from gipi.inspect.fields import fields_figure, middle_fields
from gipi.models.convstack import convstack, digitnet
from gipi.models.deepconvnet import deepconvnet
from oracle.pictures import unreadable

NETS = {
    "deepconvnet": deepconvnet,
    "digitnet": digitnet,
    "convstack": lambda: convstack(depth=7, kernel=5, batch_norm=False),
}


def touched(net: nn.Module, name: str, image: Tensor) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the pixels that the middle value of a layer has a gradient for.

    Changes `net`: positive weights, so that nothing cancels, and means for maxima, which depend on one pixel only.
    """
    for owner in list(net.modules()):
        for key, layer in owner.named_children():
            if isinstance(layer, nn.MaxPool2d):
                setattr(owner, key, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    kept: list[Tensor] = []
    net.get_submodule(name).register_forward_hook(lambda _layer, _inputs, output: kept.append(output.clone()))
    net.double().eval()(image.requires_grad_())
    values = kept[0][0].sum(0)
    (gradient,) = torch.autograd.grad(values[values.shape[0] // 2, values.shape[1] // 2], image)
    rows, columns = (gradient[0].sum(0).any(dim).nonzero().flatten().tolist() for dim in (1, 0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@pytest.mark.parametrize("name", NETS)
def test_field_lies_where_the_gradient_is_not_zero(name: str) -> None:
    fields = middle_fields(NETS[name](), (1, 28, 28))
    for layer, (top, left, bottom, right) in fields:
        inside = max(0, top), max(0, left), min(28, bottom), min(28, right)
        assert inside == touched(NETS[name](), layer.name, torch.rand(1, 1, 28, 28, dtype=torch.float64)), layer.name
        assert layer.reach is not None
        assert (bottom - top, right - left) == layer.reach.field
    assert any(min(box[:2]) < 0 or max(box[2:]) > 28 for _, box in fields), "none reaches into padding"


def test_fields_of_an_image_that_is_not_square_and_unequal_padding() -> None:
    net = nn.Sequential(nn.ZeroPad2d((3, 0, 1, 2)), nn.Conv2d(1, 2, (2, 3), stride=(1, 2)))
    [(layer, box)] = middle_fields(net, (1, 6, 9))
    assert layer.shape == (2, 8, 5)
    assert box == (4 - 1, 2 * 2 - 3, 4 - 1 + 2, 2 * 2 - 3 + 3)
    assert box == touched(net, "1", torch.rand(1, 1, 6, 9, dtype=torch.float64))


def test_layers_are_convolutions_and_poolings_and_there_must_be_some() -> None:
    kinds = [layer.kind for layer, _ in middle_fields(deepconvnet(), (1, 28, 28))]
    assert kinds == [*["conv 3x3", "conv 3x3", "max-pool 2x2"] * 3]
    assert middle_fields(digitnet(), (1, 28, 28))[-1][0].kind == "adaptive-avg-pool"
    with pytest.raises(ConfigError, match="no convolution or pooling"):
        middle_fields(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))


@pytest.mark.parametrize(("name", "channels"), [("deepconvnet", 1), ("digitnet", 1), ("convstack", 3)])
def test_figure_shows_every_field_where_it_is_with_room_around(name: str, channels: int) -> None:
    fields = middle_fields(NETS[name](), (1, 28, 28))
    image = torch.randint(0, 256, (channels, 28, 28), dtype=torch.uint8)
    fig = fields_figure(fields, image)
    assert len(fig.axes) == len(fields)
    for ax, (layer, (top, left, bottom, right)) in zip(fig.axes, fields, strict=True):
        [rectangle] = ax.patches
        corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)  # pixels have their centres on whole numbers
        assert (rectangle.get_xy(), rectangle.get_width(), rectangle.get_height()) == (corner, *size)
        (low, high), (deep, shallow) = ax.get_xlim(), ax.get_ylim()
        assert low < min(-0.5, corner[0])
        assert high > max(27.5, corner[0] + size[0])
        assert shallow < min(-0.5, corner[1])
        assert deep > max(27.5, corner[1] + size[1])
        assert ax.get_title().startswith(layer.name)
        assert ax.get_title().endswith(f"\n{size[1]} x {size[0]} pixels")
        assert ax.images[0].get_extent() == [-0.5, 27.5, 27.5, -0.5]
    assert not unreadable(fig)
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in fig.axes}
    assert len(limits) == 1, "all panels are of one scale"


def test_image_of_two_channels_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="1 or 3 channels, got 2"):
        fields_figure(middle_fields(deepconvnet(), (1, 28, 28)), torch.zeros(2, 28, 28, dtype=torch.uint8))
