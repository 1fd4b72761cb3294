"""MobileNetV2's own: TensorFlow's padding, and the widths of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError
from gipi.models.kinds import build_net
from gipi.models.mobilenetv2 import SameConv2d, mobilenet_v2


def images(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def brute_same(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """SAME, place by place: windows that overhang the image as evenly as can be, the odd pixel at the end; outside it is 0."""
    n, _, height, width = x.shape
    out, kernel = weight.shape[0], weight.shape[2]
    rows, columns = (height + stride - 1) // stride, (width + stride - 1) // stride
    top = max((rows - 1) * stride + kernel - height, 0) // 2
    left = max((columns - 1) * stride + kernel - width, 0) // 2
    result = torch.zeros(n, out, rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            for down in range(kernel):
                for across in range(kernel):
                    i, j = row * stride - top + down, column * stride - left + across
                    if 0 <= i < height and 0 <= j < width:
                        result[:, :, row, column] += x[:, :, i, j] @ weight[:, :, down, across].T
    return result


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 9), (7, 10), (1, 2), (5, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_same_padding_is_its_brute_twin(height: int, width: int, stride: int, kernel: int):
    torch.manual_seed(0)
    layer = SameConv2d(3, 2, kernel, stride, bias=False).double()
    torch.testing.assert_close(layer(images(2, height, width)), brute_same(images(2, height, width), layer.weight, stride))


def test_same_padding_of_an_even_side_is_at_its_end():
    torch.manual_seed(0)
    layer = SameConv2d(3, 4, 3, 2).double()
    x = images(1, 8, 8)
    assert torch.equal(layer(x), F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.weight, layer.bias, stride=2))


def test_the_two_paddings_differ_where_a_stride_meets_an_even_side():
    torch.manual_seed(0)
    torch_net, same_net = mobilenet_v2(width=0.25, classes=5), mobilenet_v2(width=0.25, classes=5, padding="same")
    same_net.load_state_dict(torch_net.state_dict())
    torch_net.double().eval()
    same_net.double().eval()
    assert not torch.allclose(torch_net(images(1, 64, 64)), same_net(images(1, 64, 64)), rtol=1e-3)
    # 65 becomes 33, 17, 9, 5, 3: odd sides are padded by 1 at either end by both rules.
    torch.testing.assert_close(torch_net(images(1, 65, 65)), same_net(images(1, 65, 65)))
    strided = [layer for layer in same_net.modules() if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
    assert len(strided) == 5
    assert all(isinstance(layer, SameConv2d) for layer in strided)
    assert not any(isinstance(layer, SameConv2d) for layer in torch_net.modules())


def test_channels_are_multiples_of_8_and_the_last_are_1280():
    for width in (0.1, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
        with torch.device("meta"):
            net = mobilenet_v2(width=width)
        convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
        assert all(layer.out_channels % 8 == 0 for layer in convolutions)
        assert convolutions[0].out_channels >= max(8, 0.9 * 32 * width)
        assert convolutions[-1].out_channels == {1.3: 1664, 1.4: 1792}.get(width, 1280)


def test_activations_stop_at_6():
    net = mobilenet_v2(width=0.1, classes=2).eval()
    embedded = net.embed(1e6 * images(1, 32, 32).float())
    assert embedded.min() >= 0
    assert embedded.max() <= 6
    assert sum(isinstance(layer, nn.ReLU6) for layer in net.modules()) == 35  # 17 depthwise, 16 in front of them, first and last


def test_an_unknown_padding_is_refused():
    with pytest.raises(ConfigError, match="'torch' and 'same'"):
        build_net("mobilenet-v2", {"padding": "valid"})
