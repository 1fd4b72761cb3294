"""Contender: Keras 3, model.fit on arrays. Variant: the backend, and for TensorFlow whether XLA compiles: "tensorflow jit"."""

from __future__ import annotations

import os

from contest import BATCH, RATE, SEED, Contest

contest = Contest()
backend, jit = contest.variant.split()[0], "jit" in contest.variant.split()
# TensorFlow takes oneDNN's kernels by itself only on CPUs with AVX512-VNNI or better; they are faster on others, too.
os.environ.update(KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="2", TF_ENABLE_ONEDNN_OPTS="1")

import keras
from keras import layers

keras.utils.set_random_seed(SEED)
if contest.precision == "bf16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")


def conv(channels: int, padding: str = "same") -> layers.Layer:
    return layers.Conv2D(channels, 3, padding=padding, activation="relu", kernel_initializer="he_normal")


net = keras.Sequential(
    [
        keras.Input((28, 28, 1), dtype="uint8"),
        layers.Rescaling(1 / 255),
        *(conv(16), conv(16), layers.MaxPooling2D()),
        *(conv(32), layers.ZeroPadding2D(2), conv(32, "valid"), layers.MaxPooling2D()),
        *(conv(64), conv(64), layers.MaxPooling2D()),
        layers.Flatten(),
        layers.Dense(50, activation="relu", kernel_initializer="he_normal"),
        layers.Dropout(0.5),
        layers.Dense(10, kernel_initializer="he_normal", dtype="float32"),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
net.compile(keras.optimizers.Adam(RATE), loss, jit_compile=jit)


class Stopwatch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])  # JAX computes ahead: this waits for it
        contest.mark()


def fit(epochs: int, steps: int) -> None:
    """An epoch is a window here: as many steps, the loss at its end."""
    net.fit(
        contest.images[..., None],
        contest.labels,
        batch_size=BATCH,
        epochs=epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[Stopwatch()],
    )


def right() -> float:
    return (net.predict(contest.held_out[..., None], batch_size=500, verbose=0).argmax(1) == contest.held_out_labels).mean()


contest.begin()
fit(1, 1)
fit(contest.windows + 1, contest.steps)
contest.finish(net.count_params(), right)
