"""The yardstick of generation: DCGAN as a plain PyTorch script trains it, by the paper's recipe, in fp32 with a DataLoader.

python bench/peers/dcgan_plain.py --data mnist --seconds 900 --out FILE.npz [--size 64] [--device cuda]

The recipe is that of PyTorch's well-known example: batches of 64, noise of 100 numbers, 64 channels in the largest maps, weights
N(0, 0.02), Adam with 2e-4 and (0.5, 0.999), binary cross-entropy, in a discriminator's step one backward pass for real images and
one for made ones. Images of 64x64 have the example's nets of five layers; smaller ones have fewer, 28x28 three from a map of 7x7.

Left out is what the example spends on pictures and files in between, and nothing but the reading of the images is gipi's. FILE
gets the images/s of each tenth of the time, the time, and 10,000 images as uint8, twice: batch norm by its running statistics,
and by those of the batch, as the example draws its pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gipi.tasks.reals import load_reals

BATCH, NOISE, WIDTH = 64, 100, 64
RATE, BETAS = 2e-4, (0.5, 0.999)
SAMPLES = 10_000
TIMES = {28: (7, 2), 32: (4, 3), 64: (4, 4)}  # image size: side of the smallest map, how often it doubles


class Reals(Dataset):
    """One image at a time, -1 to 1."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].float() / 127.5 - 1


def generator(channels: int, size: int) -> nn.Sequential:
    side, times = TIMES[size]
    wide = WIDTH << (times - 1)
    layers: list[nn.Module] = [nn.ConvTranspose2d(NOISE, wide, side, 1, 0, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)]
    for _ in range(times - 1):
        layers += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(wide // 2), nn.ReLU(True)]
        wide //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(wide, channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(channels: int, size: int) -> nn.Sequential:
    side, times = TIMES[size]
    layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    wide = WIDTH
    for _ in range(times - 1):
        layers += [nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * wide), nn.LeakyReLU(0.2, True)]
        wide *= 2
    return nn.Sequential(*layers, nn.Conv2d(wide, 1, side, 1, 0, bias=False), nn.Flatten(0), nn.Sigmoid())


def initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def batches(images: Tensor) -> Iterator[Tensor]:
    loader = DataLoader(Reals(images), BATCH, shuffle=True)
    while True:
        yield from loader


def train(images: Tensor, seconds: float, device: str) -> tuple[nn.Module, list[float], float]:
    """(the generator, images/s of each tenth of the time, seconds)."""
    channels, size = images.shape[1:3]
    maker, judge = (net(channels, size).to(device).apply(initialise) for net in (generator, discriminator))
    makers, judges = (torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS) for net in (maker, judge))
    loss, rates, seen = nn.BCELoss(), list[float](), 0
    start = mark = time.perf_counter()
    for batch in batches(images):
        real = batch.to(device)
        ones, zeros = (torch.full((len(real),), value, device=device) for value in (1.0, 0.0))
        judge.zero_grad()
        real_loss = loss(judge(real), ones)
        real_loss.backward()
        made = maker(torch.randn(len(real), NOISE, 1, 1, device=device))
        made_loss = loss(judge(made.detach()), zeros)
        made_loss.backward()
        judges.step()
        maker.zero_grad()
        fooled = loss(judge(made), ones)
        fooled.backward()
        makers.step()
        told = real_loss.item() + made_loss.item(), fooled.item()
        seen += len(real)
        now = time.perf_counter()
        if now - mark >= seconds / 10:
            rates.append(seen / (now - mark))
            print(f"{now - start:.0f} s: {rates[-1]:,.0f} images/s, losses {told[0]:.3f} and {told[1]:.3f}", flush=True)
            mark, seen = now, 0
        if now - start >= seconds:
            break
    return maker, rates, time.perf_counter() - start


@torch.no_grad()
def sample(maker: nn.Module, device: str) -> np.ndarray:
    torch.manual_seed(1)
    noise = torch.randn(SAMPLES, NOISE, 1, 1)
    images = torch.cat([maker(part.to(device)).cpu() for part in noise.split(BATCH)])
    return ((images + 1) * 127.5).round().byte().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--size", type=int, choices=TIMES, default=28)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    images = load_reals(asked.data, "train", side=asked.size).images
    maker, rates, seconds = train(images, asked.seconds, asked.device)
    running = sample(maker.eval(), asked.device)  # first, for the other changes the running statistics
    by_batch = sample(maker.train(), asked.device)
    np.savez(asked.out, running=running, by_batch=by_batch, images_per_s=rates, seconds=seconds)


if __name__ == "__main__":
    main()
