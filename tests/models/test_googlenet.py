"""GoogLeNet's own: the auxiliary heads and the input of the published weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.googlenet import BLOCKS, GoogLeNet, googlenet
from gipi.models.kinds import build_net


def narrow(**args: bool | int | float | str) -> GoogLeNet:
    torch.manual_seed(0)
    net = build_net("googlenet", {"width": 0.125, "classes": 5, "stem": "small", **args})
    assert isinstance(net, GoogLeNet)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    net.double()(images(4))  # so that batch norm has the statistics of such images
    return net


def images(count: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_counts_with_and_without_the_auxiliary_heads():
    with torch.device("meta"):
        counts = [sum(weight.numel() for weight in googlenet(auxiliary=heads).parameters()) for heads in (False, True)]
    assert counts == [6_624_904, 13_004_888]


def test_blocks_put_out_the_channels_of_table_1():
    """Column "output size" of the paper."""
    out = [one + three + five + pool for one, _, three, _, five, pool in BLOCKS.values()]
    assert out == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_in_training_the_auxiliary_heads_answer_too():
    net = narrow(auxiliary=True).train()
    answers = net(images(4))
    assert isinstance(answers, tuple)
    assert [answer.shape for answer in answers] == [(4, 5)] * 3
    loss, first, second = (F.cross_entropy(answer, torch.arange(4)) for answer in answers)
    (loss + net.AUXILIARY_WEIGHT * (first + second)).backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


def test_each_auxiliary_head_sees_what_the_paper_says():
    """The first one nothing behind block 4a, the second one nothing behind 4d, neither of them the other."""
    for number, last in ((1, "4a"), (2, "4d")):
        net = narrow(auxiliary=True).train()
        net(images(4))[number].sum().backward()
        reached = [name for name in BLOCKS if next(net.get_submodule(f"inception{name}").parameters()).grad is not None]
        assert reached == list(BLOCKS)[: list(BLOCKS).index(last) + 1]
        assert net.fc.weight.grad is None
        assert (net.aux1.fc2.weight.grad is None) == (number == 2)
        assert (net.aux2.fc2.weight.grad is None) == (number == 1)


def test_in_use_the_auxiliary_heads_vanish():
    net, plain = narrow(auxiliary=True).eval(), narrow().eval()
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith("aux")})
    assert torch.equal(net(images(2)), plain(images(2)))
    assert not any(key.startswith("aux") for key in plain.state_dict())


def test_without_auxiliary_heads_training_gives_logits():
    assert isinstance(narrow().train()(images(4)), Tensor)


def test_logits_of_training_are_those_of_the_net_without_heads():
    net, plain = narrow(auxiliary=True, dropout=0.0).train(), narrow(dropout=0.0).train()
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith("aux")})
    assert torch.equal(net(images(4))[0], plain(images(4)))


def test_a_new_head_is_new_in_the_auxiliary_heads_too():
    net = narrow(auxiliary=True)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.new_head(7)
    changed = [key for key, value in net.state_dict().items() if value.shape != before[key].shape or (value != before[key]).any()]
    heads = ("aux1.fc2", "aux2.fc2", "fc")
    assert {key.rpartition(".")[0] for key in changed} == set(heads)
    assert [answer.shape for answer in net.train()(images(4))] == [(4, 7)] * 3
