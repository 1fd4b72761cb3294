"""Contender: a plain PyTorch loop over images in memory.

Variants: "" as in the tutorials; "tuned" with channels_last and fused Adam; "compiled" with torch.compile on top of that.
"""

from __future__ import annotations

from contest import BATCH, RATE, SEED, Contest

contest = Contest()

import torch
from torch.nn import functional as F
from torch_net import deepconvnet

torch.manual_seed(SEED)
layout = torch.channels_last if contest.variant else torch.contiguous_format
net = deepconvnet().to(memory_format=layout)
forward = torch.compile(net) if contest.variant == "compiled" else net
optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=bool(contest.variant))
images, labels = torch.from_numpy(contest.images)[:, None], torch.from_numpy(contest.labels)


def batches():
    while True:
        for index in torch.randperm(len(images)).split(BATCH):
            yield (images[index].float() / 255).to(memory_format=layout), labels[index]


source = batches()


def step() -> None:
    batch, answers = next(source)
    with torch.autocast("cpu", torch.bfloat16, enabled=contest.precision == "bf16"):
        loss = F.cross_entropy(forward(batch), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def right() -> float:
    logits = net.eval()(torch.from_numpy(contest.held_out)[:, None] / 255)
    return (logits.argmax(1) == torch.from_numpy(contest.held_out_labels)).float().mean().item()


contest.run(step)
contest.finish(sum(p.numel() for p in net.parameters()), right)
