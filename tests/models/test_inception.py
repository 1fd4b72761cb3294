"""The Inception net of FID against pytorch-fid's list of weights, published counts and twins written out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gipi.errors import ConfigError
from gipi.models.inception import FidInception

KEYS: str = json.loads((Path(__file__).parents[1] / "oracle" / "inception_keys.json").read_text())["fid_inception_v3"]
AVERAGE = ["Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b"]

# The ways through a block of each kind, in the order of their channels.
WAYS = {
    "Mixed_5b": "branch1x1; branch5x5_1 branch5x5_2; branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3; pool branch_pool",
    "Mixed_6a": "branch3x3; branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3; pool",
    "Mixed_6b": "branch1x1; branch7x7_1 branch7x7_2 branch7x7_3; branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 "
    "branch7x7dbl_5; pool branch_pool",
    "Mixed_7a": "branch3x3_1 branch3x3_2; branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4; pool",
    "Mixed_7b": "branch1x1; branch3x3_1 branch3x3_2a; branch3x3_1 branch3x3_2b; branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a; "
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3b; pool branch_pool",
}


@pytest.fixture(scope="module")
def net() -> FidInception:
    torch.manual_seed(0)
    return FidInception().eval()


def bare() -> FidInception:
    with torch.device("meta"):
        return FidInception()


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_names_and_shapes_are_those_of_the_published_file_without_its_classifier():
    expected: list[tuple[str, tuple[int, ...]]] = []
    for entry in KEYS.split(", "):
        module, kind, size = entry.split()
        shape = tuple(map(int, size.split("x")))
        expected.append((f"{module}.weight", shape))
        if kind != "plain":
            expected.append((f"{module}.bias", shape[:1]))
        if kind == "norm":
            expected += [
                (f"{module}.running_mean", shape),
                (f"{module}.running_var", shape),
                (f"{module}.num_batches_tracked", ()),
            ]
    assert expected[-2:] == [("fc.weight", (1008, 2048)), ("fc.bias", (1008,))]
    assert [(key, tuple(value.shape)) for key, value in bare().state_dict().items()] == expected[:-2]


def test_it_has_the_parameters_of_inception_v3_but_for_its_heads():
    """torchvision publishes 27,161,264 for 1000 classes with the auxiliary head."""
    classifier = 1000 * (2048 + 1)
    auxiliary = (768 * 128 + 2 * 128) + (5 * 5 * 128 * 768 + 2 * 768) + 1000 * (768 + 1)
    assert sum(weight.numel() for weight in bare().parameters()) == 27_161_264 - classifier - auxiliary


def test_maps_have_the_sizes_of_table_1_and_the_work_is_the_published():
    """torchvision publishes 5.713 thousand million multiply-adds, which its last layer is part of."""
    net, shapes, work = FidInception().eval(), dict[str, tuple[int, ...]](), [2048 * 1000]
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _, given, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda one, given, out: work.append(out[0].numel() * one.weight[0].numel()))
    with torch.no_grad():
        assert net(images(1, 3, 299, 299)).shape == (1, 2048)
    assert [shapes[name] for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Mixed_5d")] == [
        (32, 149, 149),
        (32, 147, 147),
        (64, 147, 147),
        (64, 73, 73),
        (288, 35, 35),
    ]
    assert [shapes[name] for name in ("Mixed_6e", "Mixed_7a", "Mixed_7c")] == [(768, 17, 17), (1280, 8, 8), (2048, 8, 8)]
    assert round(sum(work) / 1e9, 3) == 5.713


def pooled(x: np.ndarray, stride: int, edge: int, over: str) -> np.ndarray:
    """What each window of 3x3 has of the map, the padding left out."""
    sides = [(size + 2 * edge - 3) // stride + 1 for size in x.shape[1:]]
    out = np.empty((len(x), *sides), x.dtype)
    for row, column in np.ndindex(*sides):
        top, left = stride * row - edge, stride * column - edge
        out[:, row, column] = getattr(x[:, max(top, 0) : top + 3, max(left, 0) : left + 3], over)((1, 2))
    return out


@pytest.mark.parametrize("name", [*AVERAGE, "Mixed_7c", "Mixed_6a", "Mixed_7a"])
def test_pools_are_those_that_the_file_was_trained_with(net: FidInception, name: str):
    x = torch.randn(2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    stride, edge = (2, 0) if name in ("Mixed_6a", "Mixed_7a") else (1, 1)
    expected = pooled(x.numpy(), stride, edge, "mean" if name in AVERAGE else "max")
    got = net.get_submodule(name).get_submodule("pool")(x[None])[0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", WAYS)
def test_a_block_is_its_branches_side_by_side(net: FidInception, name: str):
    block, channels = net.get_submodule(name), {"5b": 192, "6a": 288, "6b": 768, "7a": 768, "7b": 1280}[name[-2:]]
    x = torch.randn(1, channels, 7, 7, generator=torch.Generator().manual_seed(2))
    outs: list[Tensor] = []
    for way in WAYS[name].split("; "):
        y = x
        for layer in way.split():
            y = block.get_submodule(layer)(y)
        outs.append(y)
    assert torch.equal(block(x), torch.cat(outs, 1))


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """Bilinear between the centres of the two nearest pixels, beyond the outermost centres their values; no smoothing."""
    for axis, size in enumerate(image.shape[:2]):
        at = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 2)
        share = np.expand_dims(at - low, 1 - axis)
        image = image.take(low, axis) * (1 - share) + image.take(low + 1, axis) * share
    return image


@torch.no_grad()
@pytest.mark.parametrize("shape", [(28, 28), (400, 310)])
def test_pictures_of_any_size_are_brought_to_299_and_scaled(net: FidInception, shape: tuple[int, int]):
    given, seen = images(1, 3, *shape), list[Tensor]()

    class ReachedError(Exception):
        pass

    def stop(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])
        raise ReachedError

    hook = net.Conv2d_1a_3x3.register_forward_pre_hook(stop)
    with pytest.raises(ReachedError):
        net(given)
    hook.remove()
    for plane, expected in zip(seen[0][0], given[0].double().numpy(), strict=True):
        np.testing.assert_allclose(plane.numpy(), resized(expected, 299) / 127.5 - 1, rtol=0, atol=1e-4)


@torch.no_grad()
def test_grey_is_three_equal_channels_and_no_image_sees_another(net: FidInception):
    grey = images(2, 1, 28, 28)
    features = net(grey)
    assert features.shape == (2, 2048)
    assert (features >= 0).all()
    alone = net(grey[1:].expand(-1, 3, -1, -1))
    torch.testing.assert_close(alone[0], features[1], rtol=1e-4, atol=1e-7)
    assert torch.dist(features[0], features[1]) > 100 * torch.dist(alone[0], features[1])


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_refused(net: FidInception, channels: int):
    with pytest.raises(ConfigError, match=f"1 or 3 channels, got {channels}: .* --gan.judge random"):
        net(images(1, channels, 28, 28))
