"""Contender: Flax NNX and Optax, one jitted training step with the digits on the device."""

from __future__ import annotations

from contest import BATCH, RATE, SEED, Contest

contest = Contest()

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

DTYPE = jnp.bfloat16 if contest.precision == "bf16" else jnp.float32


def pool(x: jax.Array) -> jax.Array:
    """The largest of two by two. XLA computes this faster on a CPU than the gradient of nnx.max_pool."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


class DeepConvNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        he = nnx.initializers.he_normal()
        sizes = ((1, 16, 1), (16, 16, 1), (16, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 1))
        self.convs = nnx.List(
            [
                nnx.Conv(before, after, (3, 3), padding=padding, kernel_init=he, dtype=DTYPE, rngs=rngs)
                for before, after, padding in sizes
            ]
        )
        self.hidden = nnx.Linear(1024, 50, kernel_init=he, dtype=DTYPE, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(50, 10, kernel_init=he, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = images[..., None].astype(DTYPE) / 255
        for number, conv in enumerate(self.convs):
            x = nnx.relu(conv(x))
            if number % 2:
                x = pool(x)
        return self.last(self.dropout(nnx.relu(self.hidden(x.reshape(len(x), -1)))).astype(jnp.float32))


net = DeepConvNet(nnx.Rngs(SEED))
optimizer = nnx.Optimizer(net, optax.adam(RATE), wrt=nnx.Param)
images, labels = jnp.asarray(contest.images), jnp.asarray(contest.labels)


@nnx.jit
def train(net: DeepConvNet, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array, index: jax.Array) -> jax.Array:
    def loss_of(net: DeepConvNet) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(net(images[index]), labels[index]).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(net)
    optimizer.update(net, gradients)
    return loss


def orders():
    rng = np.random.default_rng(SEED)
    while True:
        yield from rng.permutation(len(images))[: len(images) // BATCH * BATCH].reshape(-1, BATCH)


source = orders()
cached = nnx.cached_partial(train, net, optimizer)  # walks the module once, not at every step
loss = jnp.zeros(())


def step() -> None:
    global loss
    loss = cached(images, labels, next(source))


def right() -> float:
    net.eval()
    return float((nnx.jit(lambda net, images: net(images))(net, jnp.asarray(contest.held_out)).argmax(1)
                  == jnp.asarray(contest.held_out_labels)).mean())  # fmt: skip


contest.run(step, lambda: loss.block_until_ready())
contest.finish(sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param))), right)
