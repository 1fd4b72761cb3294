"""The yardstick: DeepConvNet as a plain PyTorch script would train it, in fp32 with a DataLoader.

python bench/peers/plain_torch.py throughput WORKERS     images/s at batch 100, five windows, no augmentation
python bench/peers/plain_torch.py accuracy SEED          schedule and augmentation of our fast recipe; wall time, test accuracy
Nothing of gipi is used but the reading of the MNIST files and the numbers of the recipe. Prints one line of JSON.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch_net import deepconvnet

from gipi.data.mnist import mnist
from gipi.recipes import RECIPES

BATCH = 100


class Digits(Dataset):
    """One image at a time, augmented with Pillow where asked, as usual transforms do it."""

    def __init__(self, split: str, augmented: bool) -> None:
        data = mnist(split)
        self.images, self.labels, self.augmented = data.images[:, 0].numpy(), data.labels, augmented
        self.change = RECIPES["deepconvnet-fast"].config.data.augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.augmented:
            return torch.from_numpy(self.images[index])[None].float() / 255, self.labels[index]
        image = self._moved(Image.fromarray(self.images[index]))
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(1, 28, 28).float() / 255, self.labels[
            index
        ]

    def _moved(self, image: Image.Image) -> Image.Image:
        angle = math.radians(random.uniform(-self.change.rotate_deg, self.change.rotate_deg))
        zoom = 1 + random.uniform(-self.change.scale, self.change.scale)
        right, down = (random.uniform(-self.change.shift_px, self.change.shift_px) for _ in range(2))
        cos, sin, centre = math.cos(angle) / zoom, math.sin(angle) / zoom, 14.0
        row = (cos, -sin, centre - cos * (centre + right) + sin * (centre + down))
        column = (sin, cos, centre - sin * (centre + right) - cos * (centre + down))
        return image.transform((28, 28), Image.Transform.AFFINE, (*row, *column), Image.Resampling.BILINEAR)


def step(net: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    optimizer.step()


def throughput(workers: int) -> dict[str, object]:
    torch.manual_seed(0)
    net = deepconvnet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = iter(DataLoader(Digits("train", False), BATCH, shuffle=True, num_workers=workers))
    speeds = []
    for window in range(6):
        start = time.perf_counter()
        for _ in range(40):
            step(net, optimizer, *next(batches))
        if window:  # the first warms up
            speeds.append(40 * BATCH / (time.perf_counter() - start))
    return {"images_per_s": speeds}


def accuracy(seed: int) -> dict[str, object]:
    recipe = RECIPES["deepconvnet-fast"].config
    torch.manual_seed(seed)
    random.seed(seed)
    net = deepconvnet()
    loader = DataLoader(Digits("train", True), recipe.data.batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.optim.lr)
    steps = recipe.run.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.optim.lr, total_steps=steps + 1, cycle_momentum=False)
    for _ in range(recipe.run.epochs):
        for images, labels in loader:
            step(net, optimizer, images, labels)
            schedule.step()
    torch.save(net.state_dict(), Path("/tmp") / f"plain-{seed}.pt")
    net.eval()
    with torch.no_grad():
        right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in DataLoader(Digits("test", False), 500))
    return {"accuracy": right / 10_000}


if __name__ == "__main__":
    started = time.perf_counter()
    result = throughput(int(sys.argv[2])) if sys.argv[1] == "throughput" else accuracy(int(sys.argv[2]))
    print(json.dumps({**result, "wall_s": time.perf_counter() - started}))
