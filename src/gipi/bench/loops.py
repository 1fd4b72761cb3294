"""The three loops of the ladder, each from the same first weights over the same batches: NumPy, plain PyTorch and gipi's own.

Dropout draws the same numbers in all of them on a CPU, so their losses agree step by step, as far as rounding lets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from gipi.bench import deepconvnet_numpy as book
from gipi.bench.rungs import Rung
from gipi.config import AugmentConfig, Config, OptimConfig, TransferConfig
from gipi.data.stream import ImageSet, ImageStream
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.models.deepconvnet import BOOK_LAYERS
from gipi.models.kinds import build_net
from gipi.ops.image import centre_crop
from gipi.tasks.classify import Classify
from gipi.tasks.images import TrainingImages, training_images
from gipi.tasks.start import start

RATE = 1e-3  # of Adam, on every rung
HOLDOUT = 1 / 12  # share of the training images that is held out where a recipe holds none out
CHECKED = 5000  # held-out images that are read, at most
EVAL_BATCH = 250


class Learner(NamedTuple):
    """losses: one step of training for each that is drawn, the mean over the batch.  accuracy: on the held-out images, now."""

    losses: Iterator[Tensor]
    accuracy: Callable[[], float]


def comparable(config: Config) -> Config:
    """A recipe as every rung trains it: its net from nothing, its data as they are, Adam at one rate."""
    data = replace(config.data, augment=AugmentConfig(), holdout=config.data.holdout or HOLDOUT)
    run = replace(config.run, members=1, processes=1)
    return replace(config, data=data, optim=OptimConfig("adam", lr=RATE), transfer=TransferConfig(), run=run)


def images_of(config: Config, place: Place) -> tuple[ImageSet, ImageSet]:
    """(images to train on, no more held-out images than a check needs). Raises as `training_images` does."""
    train, held_out, _ = training_images(config, place)
    if held_out is None:
        raise ConfigError("a check of the accuracy needs held-out images: data.holdout must be above 0")
    return train, held_out.limit(min(CHECKED, len(held_out)))


def fresh_net(config: Config, train: ImageSet) -> tuple[nn.Module, tuple[int, int, int]]:
    """(the net with the first weights that the engine would give it, channels, height and width of what it is fed)"""
    torch.manual_seed(config.run.seed)
    channels, height, width = train.images.shape[1:]
    side = start(config).side
    net = build_net(config.net.name, {**config.net.args, "classes": len(train.classes), "channels": channels})
    return net, (channels, side, side) if train.framing == "crop" else (channels, height, width)


def plain_loop(rung: Rung, config: Config, train: ImageSet, held_out: ImageSet, place: Place) -> Learner:
    """PyTorch as a learner writes it, with what the rung adds."""
    net, image = fresh_net(config, train)
    net = place.put_net(net)
    if rung.compile_mode:
        net.compile(mode=rung.compile_mode)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.optim.lr)
    scaler = torch.amp.GradScaler(place.device.type, enabled=rung.precision == "fp16")
    batches = _resident(train, config, place) if rung.resident else _loaded(train, config)

    def losses() -> Iterator[Tensor]:
        for pixels, labels in batches:
            inputs = place.put_images(_scale(pixels.to(place.device), train, image))
            optimizer.zero_grad()
            with place.autocast():
                logits = net(inputs)
            loss = F.cross_entropy(logits.float(), labels.to(place.device))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            yield loss.detach()

    @torch.no_grad()
    def logits(pixels: Tensor) -> Tensor:
        net.eval()
        answers = net.forward(place.put_images(_scale(pixels.to(place.device), train, image)))  # never the compiled one
        net.train()
        return answers

    return Learner(losses(), lambda: _accuracy(logits, held_out))


def numpy_loop(rung: Rung, config: Config, train: ImageSet, held_out: ImageSet, place: Place) -> Learner:
    """The book's program in float32; torch only gives it the first weights, the batches and the masks of dropout."""
    net, image = fresh_net(config, train)
    params = to_book(net.state_dict())
    adam = book.Adam(params, lr=config.optim.lr)
    rates = (0.5, float(config.net.args.get("last_dropout", 0.0)))
    widths = (params["b7"].size, params["b8"].size)

    def losses() -> Iterator[Tensor]:
        for batch in ImageStream(train, config.data.batch, config.run.seed):
            masks = [
                F.dropout(torch.ones(len(batch.labels), width), rate).numpy() for width, rate in zip(widths, rates, strict=True)
            ]
            inputs = _scale(batch.images, train, image).numpy()
            result = book.gradients(params, inputs, batch.labels.numpy(), (masks[0], masks[1]))
            adam.step(result.grads)
            yield torch.tensor(result.loss)

    def logits(pixels: Tensor) -> Tensor:
        return torch.from_numpy(book.Net(params).forward(_scale(pixels, train, image).numpy()))

    return Learner(losses(), lambda: _accuracy(logits, held_out))


def gipi_loop(rung: Rung, config: Config, train: ImageSet, held_out: ImageSet, place: Place) -> Learner:
    """The engine's own step."""
    torch.manual_seed(config.run.seed)
    task = Classify(config, place, TrainingImages(train, held_out, {}))
    place.draw_apart()

    def losses() -> Iterator[Tensor]:
        for batch in task.source():
            loss = task.step(batch)["loss"]
            yield torch.as_tensor(loss.total) / loss.count

    return Learner(losses(), lambda: task.evaluate()["accuracy"].value)


LOOPS = {"numpy": numpy_loop, "plain": plain_loop, "gipi": gipi_loop}


def to_book(weights: dict[str, Tensor]) -> book.Params:
    """DeepConvNet's weights by the names and in the layout of the book's program, which drops out as torch does."""
    params: book.Params = {}
    for number, layer in BOOK_LAYERS.items():
        weight = weights[f"{layer}.weight"].numpy()
        params[f"W{number}"] = (weight.T if weight.ndim == 2 else weight).copy()
        params[f"b{number}"] = weights[f"{layer}.bias"].numpy().copy()
    return params


def _scale(pixels: Tensor, train: ImageSet, image: tuple[int, int, int]) -> Tensor:
    mean, std = (torch.tensor(numbers, device=pixels.device).view(-1, 1, 1) for numbers in (train.mean, train.std))
    return (centre_crop(pixels, image[1:]).float() / 255 - mean) / std


def _loaded(train: ImageSet, config: Config) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a DataLoader, in the order of gipi's own stream. Its generator leaves torch's random numbers to dropout."""
    size = config.data.batch

    def batches() -> Iterator[list[int]]:
        for epoch in count():
            order = np.random.default_rng((config.run.seed, epoch)).permutation(len(train))
            yield from order[: len(train) // size * size].reshape(-1, size).tolist()

    pairs = TensorDataset(train.images, train.labels)
    return iter(DataLoader(pairs, batch_sampler=batches(), generator=torch.Generator()))  # pyright: ignore[reportArgumentType]


def _resident(train: ImageSet, config: Config, place: Place) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in ImageStream(train.to(place.device), config.data.batch, config.run.seed):
        yield batch.images, batch.labels


def _accuracy(logits: Callable[[Tensor], Tensor], held_out: ImageSet) -> float:
    right = 0
    for pixels, labels in zip(held_out.images.split(EVAL_BATCH), held_out.labels.split(EVAL_BATCH), strict=True):
        right += int((logits(pixels).argmax(1).cpu() == labels).sum())
    return right / len(held_out)
