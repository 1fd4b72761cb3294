"""Contender: PyTorch Lightning's Trainer.fit, with everything off that is not training.

Variants: "" as in the tutorials; "tuned" with channels_last and fused Adam.
"""

from __future__ import annotations

import logging
import warnings

from contest import BATCH, RATE, SEED, Contest

contest = Contest()

import lightning as L
import torch
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from torch_net import deepconvnet

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", ".*does not have many workers.*")


class Digits(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layout = torch.channels_last if contest.variant else torch.contiguous_format
        self.net = deepconvnet().to(memory_format=self.layout)

    def training_step(self, batch, _):
        images, labels = batch
        return F.cross_entropy(self.net((images.float() / 255).to(memory_format=self.layout)), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=RATE, fused=bool(contest.variant))


class Stopwatch(L.Callback):
    def on_train_start(self, *_):
        contest.begin()

    def on_train_batch_end(self, trainer, *_):
        if (trainer.global_step - 1) % contest.steps == 0:
            contest.mark()


L.seed_everything(SEED, verbose=False)
data = TensorDataset(torch.from_numpy(contest.images)[:, None], torch.from_numpy(contest.labels))
# A batch is one indexing of the tensors: far faster than a hundred images put together again.
loader = DataLoader(data, sampler=BatchSampler(RandomSampler(data), BATCH, drop_last=True), batch_size=None)
module = Digits()
trainer = L.Trainer(
    accelerator="cpu",
    devices=1,
    precision="bf16-mixed" if contest.precision == "bf16" else "32-true",
    max_steps=contest.all_steps,
    barebones=True,  # Lightning's own setting for raw speed: no logger, checkpoint, progress bar, summary, sanity check
    callbacks=[Stopwatch()],
)
trainer.fit(module, loader)


@torch.no_grad()
def right() -> float:
    logits = module.eval().net(torch.from_numpy(contest.held_out)[:, None] / 255)
    return (logits.argmax(1) == torch.from_numpy(contest.held_out_labels)).float().mean().item()


contest.finish(sum(p.numel() for p in module.parameters()), right)
