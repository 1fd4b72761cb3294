"""DeepConvNet in plain NumPy, forward and backward written out: the oracle of the net and the yardstick of its speed.

Parameters are a dict as the book keeps them: W1..W6 (out, in, 3, 3), W7 (1024, 50), W8 (50, classes), b1..b8. All
arithmetic is done in the dtype of the parameters, float64 or float32. Between the two swaps the channels come first,
(channels, n, h, w): a whole batch is then one matrix product with nothing to transpose around it.
Source: Saito, *Deep Learning from Scratch*, chapters 5 to 8; Adam: Kingma and Ba 2015, algorithm 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Params = dict[str, np.ndarray]
Mask = np.ndarray | float

CHANNELS = (16, 16, 32, 32, 64, 64)
PADDING = (1, 1, 1, 2, 1, 1)


def he_init(seed: int, *, channels: int = 1, classes: int = 10, dtype: type = np.float64) -> Params:
    """Normal weights of standard deviation sqrt(2 / inputs), zero biases."""
    mixed = np.random.default_rng(seed)
    shapes = [(out, into, 3, 3) for out, into in zip(CHANNELS, (channels, *CHANNELS), strict=False)]
    weights = [mixed.normal(size=shape) * np.sqrt(2 / (9 * shape[1])) for shape in shapes]
    weights += [mixed.normal(size=(into, out)) * np.sqrt(2 / into) for into, out in ((1024, 50), (50, classes))]
    biases = [np.zeros(size) for size in (*CHANNELS, 50, classes)]
    named = {f"W{i}": weight for i, weight in enumerate(weights, 1)} | {f"b{i}": bias for i, bias in enumerate(biases, 1)}
    return {name: value.astype(dtype) for name, value in named.items()}


class Conv:
    """3x3 convolution as one matrix product: (in, n, h, w) -> (out, n, h + 2 pad - 2, w + 2 pad - 2)."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, pad: int) -> None:
        self.weight, self.bias, self.pad = weight, bias, pad
        self.rows = weight.reshape(len(weight), -1)

    def forward(self, x: np.ndarray) -> np.ndarray:
        pad = self.pad
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        channels, *places = windows.shape[:4]
        # A column holds the 9 * channels values that the kernel meets at one place of one image.
        self.columns = windows.transpose(0, 4, 5, 1, 2, 3).reshape(channels * 9, -1)
        self.padded_shape = padded.shape
        out = self.rows @ self.columns
        out += self.bias[:, None]
        return out.reshape(-1, *places)

    def backward(self, grad: np.ndarray) -> np.ndarray:
        out, n, height, width = grad.shape
        flat = grad.reshape(out, -1)
        self.weight_grad = (flat @ self.columns.T).reshape(self.weight.shape)
        self.bias_grad = flat.sum(axis=1)
        columns_grad = (self.rows.T @ flat).reshape(-1, 3, 3, n, height, width)
        padded_grad = np.zeros(self.padded_shape, grad.dtype)
        for i in range(3):
            for j in range(3):
                padded_grad[:, :, i : i + height, j : j + width] += columns_grad[:, i, j]
        pad = self.pad
        return padded_grad[:, :, pad:-pad, pad:-pad]


class Relu:
    def forward(self, x: np.ndarray) -> np.ndarray:
        self.positive = x > 0
        return x * self.positive

    def backward(self, grad: np.ndarray) -> np.ndarray:
        return grad * self.positive


def corners(x: np.ndarray) -> list[np.ndarray]:
    """The four pixels of each 2x2 window in reading order, as views."""
    return [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]


class Pool:
    """Maximum of each 2x2 window; the first pixel that equals it gets the gradient."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        first, second, third, fourth = corners(x)
        self.out = np.maximum(np.maximum(first, second), np.maximum(third, fourth))
        return self.out

    def backward(self, grad: np.ndarray) -> np.ndarray:
        x_grad = np.empty_like(self.x)
        waiting = np.ones(grad.shape, bool)
        for pixel, pixel_grad in zip(corners(self.x), corners(x_grad), strict=True):
            winner = waiting & (pixel == self.out)
            np.multiply(grad, winner, out=pixel_grad)
            waiting &= ~winner
        return x_grad


class Swap:
    """Images first to channels first, and back."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.swapaxes(0, 1)

    def backward(self, grad: np.ndarray) -> np.ndarray:
        return grad.swapaxes(0, 1)


class Flatten:
    """(n, channels, h, w) -> (n, channels * h * w)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad: np.ndarray) -> np.ndarray:
        return grad.reshape(self.shape)


class Affine:
    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight, self.bias = weight, bias

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, grad: np.ndarray) -> np.ndarray:
        self.weight_grad, self.bias_grad = self.x.T @ grad, grad.sum(axis=0)
        return grad @ self.weight.T


class Multiply:
    """Dropout whose mask is given."""

    def __init__(self, mask: Mask, dtype: np.dtype) -> None:
        self.mask = np.asarray(mask, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self.mask

    def backward(self, grad: np.ndarray) -> np.ndarray:
        return grad * self.mask


class Net:
    """The net with these parameters. `masks` multiply the 50 hidden values and the logits; 1 leaves them as they are.

    The book's dropout multiplies by zeros and ones in training and by 0.5 afterwards, the inverted dropout of today by
    zeros and twos in training and by 1 afterwards.
    """

    def __init__(self, params: Params, masks: tuple[Mask, Mask] = (1.0, 1.0)) -> None:
        self.dtype = params["W1"].dtype
        weighted = [Conv(params[f"W{i}"], params[f"b{i}"], pad) for i, pad in enumerate(PADDING, start=1)]
        affine = [Affine(params[f"W{i}"], params[f"b{i}"]) for i in (7, 8)]
        self.weighted: list[Conv | Affine] = [*weighted, *affine]
        self.layers = [
            *(Swap(), weighted[0], Relu(), weighted[1], Relu(), Pool()),
            *(weighted[2], Relu(), weighted[3], Relu(), Pool()),
            *(weighted[4], Relu(), weighted[5], Relu(), Pool()),
            *(
                Swap(),
                Flatten(),
                affine[0],
                Relu(),
                Multiply(masks[0], self.dtype),
                affine[1],
                Multiply(masks[1], self.dtype),
            ),
        ]

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Images (n, channels, 28, 28) -> logits (n, classes)."""
        x = images.astype(self.dtype, copy=False)
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad: np.ndarray) -> tuple[Params, np.ndarray]:
        """Gradient of the logits -> gradients of the parameters and of the images. `forward` comes first."""
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        weights = {f"W{i}": layer.weight_grad for i, layer in enumerate(self.weighted, start=1)}
        return weights | {f"b{i}": layer.bias_grad for i, layer in enumerate(self.weighted, start=1)}, grad


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean loss over the batch and its gradient; labels (n,) are class numbers."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    grad = np.exp(log_p)
    grad[rows, labels] -= 1
    return -float(log_p[rows, labels].mean()), grad / len(labels)


class Result(NamedTuple):
    logits: np.ndarray
    loss: float
    grads: Params
    images_grad: np.ndarray


def gradients(params: Params, images: np.ndarray, labels: np.ndarray, masks: tuple[Mask, Mask] = (1.0, 1.0)) -> Result:
    """Logits, mean loss and its gradient by every parameter and by the images."""
    net = Net(params, masks)
    logits = net.forward(images)
    loss, logits_grad = softmax_cross_entropy(logits, labels)
    return Result(logits, loss, *net.backward(logits_grad))


class Adam:
    """Adam with betas 0.9 and 0.999; `step` changes the parameters in place."""

    def __init__(self, params: Params, lr: float = 0.001) -> None:
        self.params, self.lr, self.steps = params, lr, 0
        self.mean = {name: np.zeros_like(value) for name, value in params.items()}
        self.square = {name: np.zeros_like(value) for name, value in params.items()}

    def step(self, grads: Params) -> None:
        self.steps += 1
        for name, grad in grads.items():
            self.mean[name] += 0.1 * (grad - self.mean[name])
            self.square[name] += 0.001 * (grad * grad - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.steps)
            square = self.square[name] / (1 - 0.999**self.steps)
            self.params[name] -= self.lr * mean / (np.sqrt(square) + 1e-8)


def training_step(params: Params, adam: Adam, images: np.ndarray, labels: np.ndarray, seed: int, last_dropout: float) -> float:
    """One step of Adam with inverted dropout; returns the mean loss."""
    mixed = np.random.default_rng(seed)
    classes = len(params["b8"])
    hidden = (mixed.random((len(images), 50)) > 0.5) / 0.5
    last = (mixed.random((len(images), classes)) > last_dropout) / (1 - last_dropout)
    result = gradients(params, images, labels, (hidden, last))
    adam.step(result.grads)
    return result.loss
