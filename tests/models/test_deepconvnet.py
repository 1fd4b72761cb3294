"""DeepConvNet against the same net written out in NumPy, and against its published facts."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.bench import deepconvnet_numpy as oracle
from gipi.errors import WeightsError
from gipi.models.deepconvnet import DeepConvNet, from_book


@pytest.fixture(autouse=True, scope="module")
def _one_thread_for_numpy():
    with threadpool_limits(1):
        yield


NAMES = [f"{kind}{i}" for kind in "Wb" for i in range(1, 9)]


def close(ours: Tensor | np.ndarray, expected: np.ndarray) -> None:
    """Equal to 1e-9 of the largest value."""
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def weighted(net: DeepConvNet) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def to_oracle(weights: list[Tensor], biases: list[Tensor]) -> oracle.Params:
    """Weights and biases in the order of the layers, or their gradients, by the names and in the layout of the book."""
    arrays = [weight.detach().numpy() for weight in weights]
    turned = {f"W{i}": array.T if array.ndim == 2 else array for i, array in enumerate(arrays, 1)}
    return turned | {f"b{i}": bias.detach().numpy() for i, bias in enumerate(biases, 1)}


def a_net(seed: int, last_dropout: float = 0.0, channels: int = 1, classes: int = 10) -> DeepConvNet:
    """In float64, with biases that are not zero."""
    torch.manual_seed(seed)
    net = DeepConvNet(classes=classes, channels=channels, last_dropout=last_dropout).double()
    for layer in weighted(net):
        nn.init.normal_(layer.bias, std=0.1)
    return net


def some_images(seed: int, count: int, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, 28, 28, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_book(seed: int) -> oracle.Params:
    """Numbers that float32 holds exactly, as float64."""
    mixed = np.random.default_rng(seed)
    moved = {name: value + 0.05 * mixed.normal(size=value.shape) for name, value in oracle.he_init(seed).items()}
    return {name: value.astype(np.float32).astype(np.float64) for name, value in moved.items()}


# --- the net is the oracle


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (3, 1), (8, 2)])
@pytest.mark.parametrize("last_dropout", [0.0, 0.5])
@pytest.mark.parametrize("training", [False, True])
def test_logits_loss_and_every_gradient(count, seed, last_dropout, training):
    net = a_net(seed, last_dropout).train(training)
    images = some_images(seed, count).requires_grad_()
    labels = torch.arange(count) % 10

    masks: list[np.ndarray] = []

    def note_mask(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        # Where the input is 0 the mask does not matter: 0 goes forward, and the ReLU before sends nothing back.
        masks.append(torch.where(inputs[0] != 0, output / inputs[0], 0.0).detach().numpy())

    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(note_mask)

    logits = net(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()

    params = to_oracle([layer.weight for layer in weighted(net)], [layer.bias for layer in weighted(net)])
    expected = oracle.gradients(params, images.detach().numpy(), labels.numpy(), (masks[0], masks[1]))
    close(logits.detach(), expected.logits)
    assert loss.item() == pytest.approx(expected.loss, rel=1e-9)
    grads = to_oracle([layer.weight.grad for layer in weighted(net)], [layer.bias.grad for layer in weighted(net)])
    assert sorted(grads) == sorted(expected.grads) == sorted(NAMES)
    for name in NAMES:
        close(grads[name], expected.grads[name])
    close(images.grad, expected.images_grad)

    allowed = [{0.0, 2.0}, {0.0, 2.0} if last_dropout else {1.0}] if training else [{0.0, 1.0}, {1.0}]
    assert [set(mask.ravel()) <= values for mask, values in zip(masks, allowed, strict=True)] == [True, True]


def test_gradients_of_images_with_a_black_margin():
    """There all pixels of a pooling window are equal: which one is chosen must not matter to any parameter."""
    net = a_net(0).eval()
    images, labels = F.pad(some_images(0, 3)[:, :, 8:20, 8:20], (8, 8, 8, 8)), torch.tensor([1, 2, 3])
    F.cross_entropy(net(images), labels).backward()
    params = to_oracle([layer.weight for layer in weighted(net)], [layer.bias for layer in weighted(net)])
    grads = to_oracle([layer.weight.grad for layer in weighted(net)], [layer.bias.grad for layer in weighted(net)])
    expected = oracle.gradients(params, images.numpy(), labels.numpy())
    for name in NAMES:
        close(grads[name], expected.grads[name])


def test_other_channels_and_classes():
    net = a_net(0, channels=3, classes=7).eval()
    images = some_images(0, 2, channels=3)
    params = to_oracle([layer.weight for layer in weighted(net)], [layer.bias for layer in weighted(net)])
    assert net(images).shape == (2, 7)
    close(net(images).detach(), oracle.Net(params).forward(images.numpy()))


def test_rows_do_not_depend_on_each_other():
    net, images = a_net(0).eval(), some_images(0, 4)
    close(net(images[2:3]).detach(), net(images)[2:3].detach().numpy())


# --- the oracle is right


def test_gradients_of_the_oracle_are_finite_differences():
    params, mixed = random_book(0), np.random.default_rng(0)
    images, labels = some_images(0, 2).numpy(), np.array([3, 8])
    masks = (mixed.integers(0, 2, (2, 50)) * 2.0, mixed.integers(0, 2, (2, 10)) * 2.0)
    result = oracle.gradients(params, images, labels, masks)
    values = params | {"images": images}
    for name, grad in {**result.grads, "images": result.images_grad}.items():
        # The coordinate that matters most, and two at random.
        places = [int(np.abs(grad).argmax()), *mixed.integers(0, grad.size, 2)]
        for place in places:
            losses = []
            for change in (1e-6, -1e-6):
                moved = values[name].copy()
                moved.flat[place] += change
                moved = values | {name: moved}
                losses.append(oracle.gradients(moved, moved["images"], labels, masks).loss)
            slope = (losses[0] - losses[1]) / 2e-6
            assert grad.flat[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), (name, place)


def naive_conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, pad: int) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    out = np.empty((len(weight), padded.shape[1] - 2, padded.shape[2] - 2))
    for k, i, j in product(*map(range, out.shape)):
        out[k, i, j] = (padded[:, i : i + 3, j : j + 3] * weight[k]).sum() + bias[k]
    return out


@pytest.mark.parametrize("pad", [1, 2])
def test_convolution_of_the_oracle_is_the_sum_it_should_be(pad):
    mixed = np.random.default_rng(0)
    x, weight, bias = mixed.normal(size=(2, 3, 5, 6)), mixed.normal(size=(4, 3, 3, 3)), mixed.normal(size=4)
    got = oracle.Conv(weight, bias, pad).forward(x.swapaxes(0, 1))
    for i in range(2):
        close(got[:, i], naive_conv(x[i], weight, bias, pad))


def test_adam_of_the_oracle_is_torchs():
    params = oracle.he_init(0)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    theirs, ours = torch.optim.Adam(tensors.values(), lr=0.01), oracle.Adam(params, lr=0.01)
    mixed = np.random.default_rng(0)
    for _ in range(3):
        grads = {name: mixed.normal(size=value.shape) for name, value in params.items()}
        for name, grad in grads.items():
            tensors[name].grad = torch.tensor(grad)
        theirs.step()
        ours.step(grads)
    for name, tensor in tensors.items():
        close(tensor.detach(), params[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_oracle_stays_in_its_dtype_and_learns(dtype):
    params = oracle.he_init(0, dtype=dtype)
    images, labels, adam = some_images(0, 8).numpy(), np.arange(8), oracle.Adam(params)
    assert {value.dtype for value in params.values()} == {np.dtype(dtype)}
    losses = [oracle.training_step(params, adam, images, labels, seed, last_dropout=0.0) for seed in range(15)]
    assert losses[-1] < losses[0]
    result = oracle.gradients(params, images, labels)
    arrays = [
        *params.values(),
        *adam.mean.values(),
        *adam.square.values(),
        *result.grads.values(),
        result.logits,
        result.images_grad,
    ]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


# --- facts


def test_parameters():
    assert sum(parameter.numel() for parameter in a_net(0).parameters()) == 123_552
    assert sum(value.size for value in oracle.he_init(0).values()) == 123_552


def test_multiply_adds():
    """Of the six convolutions and the two affine layers, for one image."""
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        one = layer.in_channels * math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else layer.in_features
        counts.append(one * output.numel())

    net = a_net(0)
    for layer in weighted(net):
        layer.register_forward_hook(count)
    net(some_images(0, 1))
    assert len(counts) == 8
    assert sum(counts) == 8_772_340


def test_he_initialisation():
    torch.manual_seed(0)
    net = DeepConvNet(classes=10, channels=1, last_dropout=0.5)
    for layer in weighted(net):
        inputs = layer.weight[0].numel()
        size = layer.weight.numel()
        expected = math.sqrt(2 / inputs)
        assert layer.weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * size))
        assert abs(layer.weight.mean().item()) < 4 * expected / math.sqrt(size)
        assert not layer.bias.any()


# --- the book's weights


def test_weights_of_the_book_give_the_logits_of_the_book():
    """Its dropout multiplies by zeros and ones in training, and by 0.5 afterwards."""
    params, images = random_book(1), some_images(1, 5)
    net = a_net(0, last_dropout=0.5)
    net.load_state_dict(from_book(params))
    close(net.eval()(images).detach(), oracle.Net(params, masks=(0.5, 0.5)).forward(images.numpy()))

    masks: list[np.ndarray] = []
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(lambda layer, inputs, output: masks.append((output != 0).double().numpy()))
    logits = net.train()(images).detach()
    assert 0.2 < masks[1].mean() < 0.8
    close(logits, oracle.Net(params, masks=(masks[0], masks[1])).forward(images.numpy()))


def test_weights_of_the_book_fill_every_parameter():
    state, own = from_book(random_book(2)), a_net(0).state_dict()
    assert {key: value.shape for key, value in state.items()} == {key: value.shape for key, value in own.items()}
    assert all(value.is_contiguous() for value in state.values())


def test_other_weights_are_refused():
    params = random_book(4)
    del params["b3"]
    params["gamma1"] = np.zeros(3)
    params["W7"] = params["W7"].T
    with pytest.raises(WeightsError) as error:
        from_book(params)
    message = str(error.value)
    assert "missing b3" in message
    assert "unexpected gamma1" in message
    assert "W7 has shape (50, 1024), the net wants (1024, 50)" in message
    assert message.count(";") == 2
