"""Ensembles and stacks: the nets one by one are the oracle."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from gipi.models.ensemble import Ensemble, StackedNets, mean_probability
from gipi.models.kinds import build_net

NETS = [
    ("convstack", {}),
    ("convstack", {"depth": 2, "batch_norm": False}),
    ("digitnet", {"dropout": 0.0}),
    ("deepconvnet", {}),
]


def several(name, args, count=3):
    torch.manual_seed(0)
    return [build_net(name, args).to(memory_format=torch.channels_last) for _ in range(count)]  # as trainings have them


def close(left, right):
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_ensemble_answers_with_the_mean_of_the_probabilities():
    nets, images = several("convstack", {}), torch.rand(5, 1, 28, 28)
    whole = Ensemble(nets).eval()
    mean = sum(net(images).softmax(1) for net in nets) / 3
    close(whole(images).softmax(1), mean)
    close(whole(images).exp(), mean)


def test_mean_of_very_sure_nets_is_finite():
    logits = torch.tensor([[[1e4, -1e4]], [[-1e4, 1e4]], [[1e4, -1e4]]])
    close(mean_probability(logits).softmax(1), torch.tensor([[2 / 3, 1 / 3]]))


@pytest.mark.parametrize(("name", "args"), NETS[:3])
def test_stack_in_training_is_the_nets_one_by_one(name, args):
    nets = [net.double() for net in several(name, args)]  # a rounding in float32 can choose another maximum to pool
    images, target = torch.rand(3, 6, 1, 28, 28).double(), torch.randn(3, 6, 10).double()
    stack = StackedNets(nets).train()
    for _ in range(2):  # the running statistics go on from the first
        out = stack(images)
        close(out, torch.stack([net.train()(batch) for net, batch in zip(nets, images, strict=True)]))
    (out * target).sum().backward()
    for net, batch, own in zip(nets, images, target, strict=True):
        before = deepcopy(net.state_dict())
        (net(batch) * own).sum().backward()
        net.load_state_dict(before)  # that was one forward pass more
    gradients = dict(stack.net.named_parameters())
    for number, (net, weights) in enumerate(zip(nets, stack.weights(), strict=True)):
        for key, value in net.state_dict().items():
            close(weights[key], value)
        for key, weight in net.named_parameters():
            torch.testing.assert_close(gradients[key].grad[number], weight.grad, rtol=1e-7, atol=1e-9)


def test_running_statistics_are_each_net_s_own():
    stack = StackedNets(several("convstack", {})).train()
    stack(torch.rand(3, 6, 1, 28, 28) * torch.tensor([1.0, 5.0, 0.0]).view(3, 1, 1, 1, 1))
    means = [weights["features.2.running_mean"] for weights in stack.weights()]  # of the second layer of the net
    counts = [weights["features.2.num_batches_tracked"].item() for weights in stack.weights()]
    assert not torch.equal(means[0], means[1])
    assert means[2].abs().max() == 0  # a black image
    assert counts == [1, 1, 1]


@pytest.mark.parametrize(("name", "args"), NETS)
def test_weights_go_back_into_the_nets(name, args):
    nets = several(name, args)
    stack = deepcopy(StackedNets(nets)).eval()
    stack.load_state_dict({key: value + 1 for key, value in StackedNets(nets).state_dict().items()})
    images = torch.rand(3, 2, 1, 28, 28)
    for number, (net, weights) in enumerate(zip(nets, stack.weights(), strict=True)):
        assert all(torch.equal(weights[key], value + 1) for key, value in net.state_dict().items())
        net.load_state_dict(weights)
        torch.testing.assert_close(stack(images)[number], net.eval()(images[number]), rtol=1e-3, atol=1e-3)


def test_stack_counts_as_all_its_nets():
    nets = several("deepconvnet", {})
    stack = StackedNets(nets)
    assert sum(weight.numel() for weight in stack.parameters()) == 3 * 123_552
    assert all(isinstance(weight, nn.Parameter) and weight.requires_grad for weight in stack.parameters())
    assert not any(torch.equal(weight[0], weight[1]) for key, weight in stack.named_parameters() if key.endswith("weight"))
    with torch.no_grad():
        next(stack.parameters()).zero_()
    assert all(next(net.parameters()).abs().sum() > 0 for net in nets), "the nets keep their own weights"


def test_dropout_draws_for_each_net():
    net = several("deepconvnet", {}, 1)[0]
    stack = StackedNets([net, deepcopy(net)]).train()
    first, second = stack(torch.rand(1, 8, 1, 28, 28).expand(2, -1, -1, -1, -1))
    assert not torch.equal(first, second)
    stack.eval()
    first, second = stack(torch.rand(1, 8, 1, 28, 28).expand(2, -1, -1, -1, -1))
    assert torch.equal(first, second)
