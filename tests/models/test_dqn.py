"""The nets of DQN: plain twins with the same weights, edges, parameters by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gipi import catalog
from gipi.errors import ConfigError
from gipi.models.dqn import DQN, dqn, dqn_mlp, dqn_small
from gipi.models.kinds import build_net


def frames(n: int, *shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (n, *shape)).float()


def made(net: Callable[..., DQN], actions: int, *shape: int, duel: bool = False) -> DQN:
    torch.manual_seed(0)
    channels, height, width = shape
    return net(actions=actions, channels=channels, height=height, width=width, duel=duel)


def twin(net: DQN, *shape: int) -> nn.Sequential:
    """Torch's own layers in the usual order: values of a map by channel, then row, then column. Of a net without streams."""
    layers = list[nn.Module]()
    for layer in net.convolutions or ():
        if isinstance(layer, nn.Conv2d):
            own = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding[0])  # pyright: ignore[reportArgumentType]
            own.load_state_dict(layer.state_dict())
            layers.append(own)
        else:
            layers.append(nn.ReLU())
    with torch.no_grad():
        _, channels, rows, columns = nn.Sequential(*layers)(torch.zeros(1, *shape)).shape
    layers.append(nn.Flatten())
    for number, layer in enumerate([*net.hidden, net.advantage]):
        own = nn.Linear(layer.in_features, layer.out_features)  # pyright: ignore[reportArgumentType]
        own.load_state_dict(layer.state_dict())
        if number == 0:
            weight = own.weight.detach().reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
            own.weight = nn.Parameter(weight.reshape(own.weight.shape))
        layers += [own, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(
    ("net", "shape", "scale"),
    [
        (dqn, (4, 84, 84), 255),
        (dqn, (3, 36, 50), 255),
        (dqn_small, (4, 16, 16), 255),
        (dqn_small, (2, 11, 14), 255),
        (dqn_mlp, (4, 1, 1), 1),
        (dqn_mlp, (9, 1, 1), 1),
    ],
)
def test_a_net_is_the_plain_one_of_pixels_from_0_to_1(net: Callable[..., DQN], shape: tuple[int, int, int], scale: int):
    ours = made(net, 5, *shape)
    seen = frames(7, *shape) / (1 if scale == 255 else 100)
    with torch.no_grad():
        torch.testing.assert_close(ours(seen), twin(ours, *shape)(seen / scale), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours(seen.contiguous(memory_format=torch.channels_last)), ours(seen), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("net", "shape"), [(dqn, (4, 84, 84)), (dqn_small, (4, 16, 16)), (dqn_mlp, (4, 1, 1))])
def test_duelling_streams_make_the_papers_value(net: Callable[..., DQN], shape: tuple[int, int, int]):
    """V + A - mean A of halves of the last hidden layer: so the mean of an answer is its value."""
    ours = made(net, 5, *shape, duel=True)
    seen, inside = frames(6, *shape), list[Tensor]()
    ours.hidden[-1].register_forward_hook(lambda layer, given, made: inside.append(made))
    with torch.no_grad():
        answer = ours(seen)
        last = inside[0].clamp(min=0)
        half = last.shape[1] // 2
        value, advantage = ours.value(last[:, :half]), ours.advantage(last[:, half:])  # pyright: ignore[reportOptionalCall]
    torch.testing.assert_close(answer, value + advantage - advantage.mean(1, keepdim=True), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(answer.mean(1, keepdim=True), value, rtol=1e-4, atol=1e-4)
    assert answer.std(1).min() > 0


def test_parameters_by_hand():
    first = (4 * 8 * 8 * 32 + 32) + (32 * 4 * 4 * 64 + 64) + (64 * 3 * 3 * 64 + 64)  # maps of 20x20, 9x9, 7x7
    rest = (64 * 7 * 7 * 512 + 512) + (512 * 6 + 6)
    small = (4 * 9 * 16 + 16) + (16 * 9 * 32 + 32) + (32 * 8 * 8 * 128 + 128) + (128 * 3 + 3)
    numbers = (4 * 128 + 128) + (128 * 128 + 128) + (128 * 2 + 2)
    for name, net, wanted in (("dqn", dqn(), first + rest), ("dqn-small", dqn_small(), small), ("dqn-mlp", dqn_mlp(), numbers)):
        count = sum(weight.numel() for weight in net.parameters())
        assert count == wanted == catalog.NETS[name].parameters
    assert first + rest == 1_687_206
    duel = sum(weight.numel() for weight in dqn(duel=True).parameters())
    assert duel == first + (64 * 7 * 7 * 512 + 512) + (256 * 6 + 6) + (256 + 1)


def test_multiply_adds_by_hand():
    nature = 20 * 20 * 32 * 4 * 64 + 9 * 9 * 64 * 32 * 16 + 7 * 7 * 64 * 64 * 9 + 3136 * 512 + 512 * 6
    small = 16 * 16 * 16 * 4 * 9 + 8 * 8 * 32 * 16 * 9 + 2048 * 128 + 128 * 3
    numbers = 4 * 128 + 128 * 128 + 128 * 2
    wanted = {"dqn": nature, "dqn-small": small, "dqn-mlp": numbers}
    assert {name: catalog.NETS[name].multiply_adds for name in wanted} == wanted


@pytest.mark.parametrize("size", range(10, 49))
def test_every_pixel_of_the_border_moves_the_values(size: int):
    """Of every history: a ball in a corner that the net cannot see is one that it cannot catch."""
    net = made(dqn_small, 3, 2, size, size + 1)
    seen = frames(2, 2, size, size + 1).requires_grad_()
    (net(seen) * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    moved = seen.grad.abs().sum(0) > 0  # pyright: ignore[reportOptionalMemberAccess]
    assert moved[:, [0, -1]].all()
    assert moved[:, :, [0, -1]].all()
    with torch.no_grad():
        for row, column in ((0, 0), (0, size), (size - 1, 0), (size - 1, size)):
            changed = seen.detach().clone()
            changed[:, -1, row, column] = 255 - changed[:, -1, row, column]
            assert (net(changed) - net(seen)).abs().max() > 1e-7


def test_every_pixel_of_84x84_moves_the_values():
    seen = frames(4, 4, 84, 84).requires_grad_()
    made(dqn, 6, 4, 84, 84)(seen).square().sum().backward()
    assert (seen.grad.abs().sum(0) > 0).all()  # pyright: ignore[reportOptionalMemberAccess]


def test_fresh_values_are_small():
    for net, shape in ((dqn, (4, 84, 84)), (dqn_small, (4, 16, 16))):
        assert made(net, 4, *shape)(frames(8, *shape)).abs().max() < 1


def test_pictures_too_small_for_natures_net():
    build_net("dqn", {"height": 36, "width": 36})
    with pytest.raises(ConfigError, match="frames of 35x84 are too small for its convolutions: use dqn-small below 36 pixels"):
        build_net("dqn", {"height": 35, "width": 84})
