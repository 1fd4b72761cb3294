"""Using a trained generator: images of noise, what lies between them, what comes of adding and taking away.

Source: Radford, Metz and Chintala, arXiv 1511.06434, section 6.1 (walks) and 6.3.2 (arithmetic).

Deviations from the source: noise is normal, where the paper's is uniform, and walks go along the sphere (see `ops/slerp.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gipi.errors import ConfigError, nearest
from gipi.models import dcgan
from gipi.ops.gallery import grid
from gipi.ops.random import normals
from gipi.ops.slerp import slerp
from gipi.tasks.films import Reel
from gipi.tasks.generation import Generation, Sum, read_terms
from gipi.tasks.trained import Trained

AT_ONCE = 256  # images, of
PIXELS = 1_000_000  # at most so many pixels in all
MOST, SEEDS = 100_000, 2**32  # images that are asked for; seeds that there are
WALKERS = 16
STEPS, BETWEEN = 30, 10  # frames from one seed to the next; images of a row
FRAME_MS = 50


class Generator(Trained):
    """A net that makes images of noise, with its card, ready to use. A seed, 0 to 2**32 - 1, stands for an image."""

    KIND = "generate"

    @property
    def maker(self) -> dcgan.Generator:
        """The net by its own type."""
        return cast(dcgan.Generator, self.net)

    def noise(self, count: int, seed: int) -> Float[Tensor, "n z 1 1"]:
        """N(0, 1), a function of (seed, number): first the seed's own, then more of which no other seed has any."""
        return self._noise(seed + SEEDS * torch.arange(count))

    def _noise(self, seeds: Tensor) -> Tensor:
        return normals(0, 0, seeds, self.maker.noise)[:, :, None, None]

    def images(self, noise: Float[Tensor, "n z 1 1"], labels: Int64[Tensor, " n"] | None = None) -> UInt8[Tensor, "n c h w"]:
        """What the net makes of noise, on the CPU, some at a time.

        labels: of a conditional generator, the classes in turn if not given; others have no use for them.
        """
        labels = self._labels(len(noise)) if labels is None else labels
        at_once = max(1, min(AT_ONCE, PIXELS // self.maker.size**2))
        with self.answering():
            made = [self._images(*part) for part in zip(noise.split(at_once), labels.split(at_once), strict=True)]
        return torch.cat(made)

    def _images(self, noise: Tensor, labels: Tensor) -> Tensor:
        images = self.net(self.place.put_images(noise), labels.to(self.place.device))
        return self.pixels(images.float()).round().clamp(0, 255).byte().cpu().contiguous()

    def make(self, count: int = 64, seed: int = 0, label: str | None = None) -> Generation:
        """The images of `seed` and of those that follow, by which they can be asked for again, each by its own.

        label: the class of all; of a conditional generator the classes in turn if None.
        Raises ConfigError for a count or seed out of range, a class that the generator does not know, and a class asked of one
        that is not conditional.
        """
        _check(count, MOST, seed, seed + count - 1)
        labels = self._labels(count, label)
        images = self.images(self._noise(torch.arange(seed, seed + count)), labels)
        return Generation(images, self._names(labels), {"seed": seed})

    def between(self, first: int, second: int, count: int = 1, label: str | None = None) -> Generation:
        """A row of ten images from one seed's to the other's; with `count`, more rows between more noise of both. Each row is of
        one class, see `make`.
        """
        _check(count, MOST // BETWEEN, first, second)
        ways = self._ways(self.noise(count, first), self.noise(count, second), torch.linspace(0, 1, BETWEEN))
        labels = self._labels(count, label).repeat_interleave(BETWEEN)
        images = self.images(ways.flatten(0, 1), labels)
        return Generation(images, self._names(labels), {"seeds": [first, second]}, BETWEEN)

    def walk(self, seeds: Sequence[int], count: int = WALKERS, label: str | None = None) -> Reel:
        """A film from seed to seed and back to the first, without an end. It shows `count` walkers in a grid.

        The first walker passes the images of these seeds, the others those of more noise of them. Each keeps its class, see
        `make`.
        """
        if len(seeds) < 2:
            raise ConfigError(f"--walk {' '.join(map(str, seeds))}: name two seeds or more, such as --walk 1 2 3")
        _check(count, MOST // 1000, *seeds)
        labels, share = self._labels(count, label), torch.arange(STEPS) / STEPS
        stops = [self.noise(count, seed) for seed in seeds]
        ways = torch.cat([self._ways(a, b, share) for a, b in zip(stops, [*stops[1:], stops[0]], strict=True)], 1)
        steps = ways.transpose(0, 1)  # (frames, walkers, z, 1, 1)
        images = self.images(steps.flatten(0, 1), labels.repeat(len(steps))).unflatten(0, steps.shape[:2])
        classes = {"classes": list(self._names(labels))} if self.maker.conditional else {}
        return Reel(tuple(map(grid, images)), FRAME_MS, asked={"seeds": list(seeds), "count": count, **classes})

    def arithmetic(self, terms: str, label: str | None = None) -> Sum:
        """What comes of adding and taking away noises: "1,2,3-4,5,6+7,8,9" is mean of three less mean of three plus another.

        label: the class of all images, the first one of a conditional generator if None. Raises ConfigError, see `make`.
        """
        parts = read_terms(terms)
        _check(1, MOST, *(seed for term in parts for seed in term.seeds))
        noises = [self._noise(torch.tensor(term.seeds)) for term in parts]
        means = torch.stack([noise.mean(0) for noise in noises])
        signs = torch.tensor([-1.0 if term.sign == "-" else 1.0 for term in parts]).view(-1, 1, 1, 1)
        total = (signs * means).sum(0, keepdim=True)
        every = torch.cat([*noises, means, total])
        images = self.images(every, self._labels(1, label).expand(len(every)))
        *sources, drawn, result = images.split([*map(len, noises), len(parts), 1])
        return Sum(parts, tuple(sources), drawn, result[0], total)

    def _ways(self, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        return slerp(start.flatten(1), end.flatten(1), share)[:, :, :, None, None]

    def _labels(self, count: int, label: str | None = None) -> Tensor:
        """Of the one class, or the classes in turn. Raises ConfigError where there is no such class to be asked for."""
        classes = self.card.classes
        if label is None:
            return torch.arange(count) % len(classes)
        if not self.maker.conditional:
            raise ConfigError(f"--class {label}: this generator makes what it likes, it was not trained with --gan.conditional")
        if label not in classes:
            raise ConfigError(f"--class {label}: the generator makes no such class{nearest(label, classes)}")
        return torch.full((count,), classes.index(label))

    def _names(self, labels: Tensor) -> tuple[str, ...]:
        return tuple(self.card.classes[label] for label in labels.tolist()) if self.maker.conditional else ()


def _check(count: int, most: int, *seeds: int) -> None:
    if not 1 <= count <= most:
        raise ConfigError(f"--count is {count}, allowed are 1 to {most:,}")
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise ConfigError(f"seed {seed}: allowed are 0 to 2**32 - 1")
