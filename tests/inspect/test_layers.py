"""The layer table against brute force: products counted one by one, receptive fields read off gradients."""

from __future__ import annotations

import json
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gipi.errors import ConfigError
from gipi.inspect.layers import Reach, feature_maps, layer_table
from gipi.models.deepconvnet import deepconvnet


def counted_conv(image: Tensor, conv: nn.Conv2d) -> tuple[Tensor, int]:
    """(output without bias, products) of a convolution computed by loops."""
    padded = nn.functional.pad(image, (conv.padding[1], conv.padding[1], conv.padding[0], conv.padding[0]))
    like = conv(image[None])[0]
    out, products = torch.zeros_like(like), 0
    inner, outer = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    for o, i, j in product(*map(range, like.shape)):
        for c, y, x in product(range(inner), *map(range, conv.weight.shape[2:])):
            row, column = i * conv.stride[0] + y * conv.dilation[0], j * conv.stride[1] + x * conv.dilation[1]
            out[o, i, j] += conv.weight[o, c, y, x] * padded[o // outer * inner + c, row, column]
            products += 1
    return out, products


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.Conv2d(2, 4, (3, 2), stride=2, groups=2, bias=False),
        nn.Conv2d(1, 2, 2, stride=(1, 2), dilation=2, padding=(1, 0), bias=False),
    ],
)
@torch.no_grad()
def test_multiply_adds_of_a_convolution_are_the_products_of_its_loops(conv: nn.Conv2d) -> None:
    image = torch.rand(conv.in_channels, 6, 5)
    out, products = counted_conv(image, conv)
    torch.testing.assert_close(out, conv(image[None])[0])
    table = layer_table(conv, (conv.in_channels, 6, 5))
    assert table.multiply_adds == products
    assert table.layers[0].shape == tuple(out.shape)


@torch.no_grad()
def test_multiply_adds_of_a_transposed_convolution_are_the_products_of_its_loops() -> None:
    conv = nn.ConvTranspose2d(2, 3, 3, stride=2, bias=False)
    image = torch.rand(2, 4, 3)
    out, products = torch.zeros(3, 9, 7), 0
    for c, i, j, o, y, x in product(range(2), range(4), range(3), range(3), range(3), range(3)):
        out[o, 2 * i + y, 2 * j + x] += image[c, i, j] * conv.weight[c, o, y, x]
        products += 1
    torch.testing.assert_close(out, conv(image[None])[0])
    assert layer_table(conv, (2, 4, 3)).multiply_adds == products


def test_multiply_adds_of_an_affine_layer() -> None:
    table = layer_table(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), (3, 2, 2))
    assert [layer.multiply_adds for layer in table.layers] == [0, 12 * 7]
    assert table.parameters == 12 * 7 + 7


def span(values: Tensor, image: Tensor, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(first, last) row and column of the image that values[0, :, row, column] depends on."""
    (gradient,) = torch.autograd.grad(values[0, :, row, column].sum(), image, retain_graph=True)
    touched = gradient[0].sum(0) > 0
    rows, columns = (touched.any(dim).nonzero().flatten() for dim in (1, 0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def positive(net: nn.Module) -> nn.Module:
    """Weights above zero, so that no dependence cancels."""
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)
    return net


def seen(net: nn.Module, image: Tensor) -> Reach:
    """Reach in the middle of the net's output, by gradients."""
    values = net(image)
    row, column = values.shape[2] // 2, values.shape[3] // 2
    (top, bottom), (left, right) = span(values, image, row, column)
    (below, _), (_, _) = span(values, image, row + 1, column)
    (_, _), (beside, _) = span(values, image, row, column + 1)
    jump = below - top, beside - left
    return Reach((bottom - top + 1, right - left + 1), jump, (top - row * jump[0], left - column * jump[1]))


sizes = st.integers(1, 3)
convs = st.builds(
    lambda kernel, stride, padding, dilation: nn.Conv2d(1, 1, kernel, stride, padding, dilation),
    st.tuples(sizes, sizes),
    st.integers(1, 2),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 2),
)
whole_convs = st.builds(
    lambda kernel, padding, dilation: nn.Conv2d(1, 1, kernel, padding=padding, dilation=dilation),
    st.tuples(sizes, sizes),
    st.sampled_from(["same", "valid"]),
    st.integers(1, 2),
)
pools = st.builds(
    lambda pool, kernel, stride: pool(kernel, stride, (kernel[0] // 2, kernel[1] // 2)),
    st.sampled_from([nn.AvgPool2d, nn.MaxPool2d]),
    st.tuples(sizes, sizes),
    st.integers(1, 2),
)
pads = st.builds(nn.ZeroPad2d, st.tuples(*[st.integers(0, 2)] * 4))
others = st.builds(nn.ReLU) | st.builds(nn.BatchNorm2d, st.just(1)) | pads


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=25, deadline=None)
@given(st.lists(convs | whole_convs | pools | others, min_size=1, max_size=5))
def test_receptive_field_is_where_the_gradient_is_not_zero(layers: list[nn.Module]) -> None:
    net = nn.Sequential(*layers)
    last = layer_table(net, (1, 120, 120)).layers[-1]
    # A maximum has a gradient at one place only; the mean over the same window has it at all places it could be.
    twins = [
        nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding) if isinstance(layer, nn.MaxPool2d) else layer
        for layer in layers
    ]
    assert last.reach == seen(positive(nn.Sequential(*twins)).eval(), torch.rand(1, 1, 120, 120, requires_grad=True) + 0.1)


ups = st.builds(
    lambda kernel, padding: nn.ConvTranspose2d(1, 1, kernel, 2, padding),
    st.tuples(st.integers(2, 5), st.integers(2, 5)),
    st.integers(0, 1),
)
lasts = st.builds(lambda kernel, padding: nn.Conv2d(1, 1, kernel, padding=padding), st.tuples(sizes, sizes), st.integers(0, 1))


@settings(max_examples=15, deadline=None)
@given(convs, ups, lasts)
def test_the_field_behind_a_transposed_convolution_holds_what_its_values_depend_on(
    conv: nn.Module, up: nn.Module, last: nn.Module
) -> None:
    """And is no larger: of two values beside each other one depends on its first row, one on its last; as for columns."""
    net = nn.Sequential(conv, nn.AvgPool2d(2), up, last)
    reach = layer_table(net, (1, 64, 64)).layers[-1].reach
    assert reach is not None
    image = torch.rand(1, 1, 64, 64, requires_grad=True) + 0.1
    values = positive(net)(image)
    beside: list[tuple[int, ...]] = []
    for place in product((12, 13), repeat=2):
        (first, left_most), (last_row, right_most) = zip(*span(values, image, *place), strict=True)
        top, left, bottom, right = reach.box(*place)
        beside.append((first - top, left_most - left, bottom - 1 - last_row, right - 1 - right_most))
    assert [min(each) for each in zip(*beside, strict=True)] == [0, 0, 0, 0]


def test_the_field_behind_an_unpool_is_that_of_the_pool_that_told_it_the_places() -> None:
    """A value and its place depend on one window; the three other places of the window are zero or not by the same pixels."""

    class There(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.up = nn.Conv2d(1, 1, 3), nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

        def forward(self, image: Tensor) -> Tensor:
            return self.up(*self.pool(self.conv(image)))

    net = positive(There())
    conv, pool, up = layer_table(net, (1, 12, 12)).layers
    assert (pool.shape, up.shape) == ((1, 5, 5), (1, 10, 10))
    assert pool.reach == Reach((4, 4), (2, 2), (0, 0))
    assert up.reach == Reach((5, 5), (1, 1), (-1, -1))
    assert conv.reach is not None
    image = torch.rand(1, 1, 12, 12)
    before = net(image)
    for row, column in product(range(12), repeat=2):
        other = image.clone()
        other[0, 0, row, column] = 9.0
        for i, j in (net(other) != before)[0, 0].nonzero().tolist():
            top, left, bottom, right = up.reach.box(i, j)
            assert top <= row < bottom
            assert left <= column < right


def test_a_field_that_moves_by_less_than_a_pixel_is_unknown() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(1, 1, 4, 2, 1), nn.Conv2d(1, 1, 3))
    assert [layer.reach for layer in layer_table(net, (1, 8, 8)).layers] == [None, None]


class Branches(nn.Module):
    """Inception-like concatenation, then a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 1, 3, stride=2)
        self.narrow, self.wide = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2)
        self.joined = nn.Conv2d(2, 1, 3, padding=1)
        self.after = nn.Conv2d(1, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        stem = self.stem(image)
        wide, narrow = self.wide(stem), self.narrow(stem)
        return self.after(self.joined(torch.cat([wide, narrow], 1)) + stem)


def test_branches_have_fields_of_their_own_and_join_to_the_largest() -> None:
    net = positive(Branches())
    table = layer_table(net, (1, 60, 60))
    fields = {layer.name: layer.reach and layer.reach.field[0] for layer in table.layers}
    assert fields == {"stem": 3, "wide": 11, "narrow": 3, "joined": 15, "after": 15}
    assert table.layers[-1].reach == seen(net, torch.rand(1, 1, 60, 60, requires_grad=True))


def test_adaptive_pooling_and_affine_layers_reach_the_whole_image() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3), nn.ReLU())
    reaches = [layer.reach for layer in layer_table(net, (1, 8, 10)).layers]
    assert [reach.field for reach in reaches if reach] == [(3, 3), (8, 10), (8, 10), (8, 10), (8, 10)]


def test_field_behind_a_layer_of_unknown_geometry_is_unknown_until_an_affine_layer() -> None:
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2))
    table = layer_table(net, (1, 4, 4))
    assert [layer.reach for layer in table.layers] == [None, None, None, Reach((4, 4), (4, 4), (0, 0))]
    assert table.cells()[1][0][-2:] == ["?", "?"]


def test_deepconvnet() -> None:
    net = deepconvnet()
    table = layer_table(net, (1, 28, 28))
    assert table.parameters == sum(parameter.numel() for parameter in net.parameters()) == 123_552
    assert f"{table.multiply_adds / 1e6:.2f}" == "8.77"
    assert [layer.kind for layer in table.layers[:4]] == ["conv 3x3", "relu", "conv 3x3", "max-pool 2x2"]
    pools = [layer for layer in table.layers if layer.kind == "max-pool 2x2"]
    assert [layer.shape for layer in pools] == [(16, 14, 14), (32, 8, 8), (64, 4, 4)]
    assert [layer.reach for layer in pools] == [
        Reach((k, k), (j, j), (s, s)) for k, j, s in ((6, 2, -2), (16, 4, -8), (36, 8, -16))
    ]
    assert table.layers[-1].reach == Reach((28, 28), (28, 28), (0, 0))


def test_kinds_name_kernel_and_unusual_stride() -> None:
    layers = {
        "conv 7x7, stride 2": nn.Conv2d(1, 1, 7, 2),
        "max-pool 3x3, stride 2": nn.MaxPool2d(3, 2),
        "avg-pool 2x2": nn.AvgPool2d(2),
        "conv-transpose 4x4, stride 2": nn.ConvTranspose2d(1, 1, 4, 2),
        "leaky-relu": nn.LeakyReLU(),
        "zero-pad": nn.ZeroPad2d(1),
        "batch-norm": nn.BatchNorm2d(1),
        "adaptive-avg-pool": nn.AdaptiveAvgPool2d(2),
        "dropout": nn.Dropout(),
        "flatten": nn.Flatten(),
    }
    assert [layer_table(layer, (1, 8, 8)).layers[0].kind for layer in layers.values()] == list(layers)
    assert layer_table(nn.Sequential(nn.Flatten(), nn.LSTMCell(64, 2)), (1, 8, 8)).layers[1].kind == "lstm-cell"


def test_text_and_json_say_the_same() -> None:
    table = layer_table(deepconvnet(), (1, 28, 28))
    value = json.loads(json.dumps(table.json()))
    lines = table.text().splitlines()
    assert len(lines) == len(value["layers"]) + 2  # header and total
    assert len({line.index("conv") for line in lines if "conv" in line}) == 1
    for line, layer in zip(lines[1:], value["layers"], strict=False):
        assert line.startswith(layer["name"])
        assert line.split()[-4:-2] == [f"{layer['parameters']:,}", f"{layer['multiply_adds']:,}"]
    assert lines[-1].split() == ["total", f"{value['parameters']:,}", f"{value['multiply_adds']:,}"]
    assert value["parameters"] == sum(layer["parameters"] for layer in value["layers"])


def test_parameters_of_a_layer_used_twice_count_once_but_its_work_twice() -> None:
    conv = nn.Conv2d(1, 1, 1)
    table = layer_table(nn.Sequential(conv, nn.ReLU(), conv), (1, 2, 2))
    assert [layer.parameters for layer in table.layers] == [2, 0, 0]
    assert table.multiply_adds == 8


@pytest.mark.parametrize("change", ["bfloat16", "float64", "channels_last"])
def test_table_does_not_depend_on_number_and_memory_format(change: str) -> None:
    net = deepconvnet()
    other = net.to(memory_format=torch.channels_last) if change == "channels_last" else net.to(getattr(torch, change))
    assert layer_table(other, (1, 28, 28)) == layer_table(deepconvnet(), (1, 28, 28))
    assert feature_maps(other, torch.rand(1, 1, 28, 28))[0][1].dtype == next(other.parameters()).dtype


@pytest.mark.parametrize("size", [28, 9])
def test_net_is_left_as_it_was_even_after_an_error(size: int) -> None:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Flatten(), nn.Linear(28 * 28, 2)).train()
    net[1].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    try:
        layer_table(net, (1, size, size))
        feature_maps(net, torch.rand(1, 1, size, size))
    except ConfigError as error:
        assert size == 9
        assert "(1, 9, 9)" in str(error)  # noqa: PT017
    assert [module.training for module in net] == [True, False, True, True]
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_net_that_does_not_take_the_image_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"\(3, 28, 28\)"):
        layer_table(deepconvnet(), (3, 28, 28))
    with pytest.raises(ConfigError, match=r"one image.*\(2, 1, 28, 28\)"):
        feature_maps(deepconvnet(), torch.rand(2, 1, 28, 28))


def test_feature_maps_are_what_each_layer_puts_out_although_relus_write_in_place() -> None:
    net = deepconvnet().train()
    image = torch.rand(1, 1, 28, 28)
    maps = feature_maps(net, image)
    assert [name for name, _ in maps[:5]] == [
        "features.0 conv 3x3",
        "features.1 relu",
        "features.2 conv 3x3",
        "features.3 max-pool 2x2",
        "features.4 relu",
    ]
    assert len(maps) == 15  # no zero-pad, nothing of the classifier
    values, place = image, 0
    with torch.no_grad():
        for index, layer in enumerate(net.features):
            values = layer(values.clone())
            if not isinstance(layer, nn.ZeroPad2d):
                name, got = maps[place]
                assert name.startswith(f"features.{index} ")
                torch.testing.assert_close(got, values[0])
                place += 1
    assert maps[0][1].min() < 0
    assert not any(values.requires_grad for _, values in maps)
