"""How a captioner chooses its words: by beam search, or at random."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gipi.errors import ConfigError
from gipi.models.beam_search import Spoken, beam_search, sample
from gipi.models.caption_net import CaptionNet
from gipi.ops.text import LONGEST

BEAM = 5  # unless said otherwise
LENGTH = 0.0  # sentences are ranked by log-probability / words**LENGTH: by the sum, as in the paper
MOST = 100  # sentences of a picture
COOLEST, HOTTEST = 0.01, 100  # temperatures


@dataclass(frozen=True)
class Speech:
    """beam: sentences that the beam search keeps at a time; 1 takes the likeliest word each time.  best: how many are told.

    temperature: 0 for the beam search; above, sentences are drawn at random instead, each word by its probability to the power of
    1 / temperature: 1 draws as the net believes, less is surer, more is wilder.  seed: of those; the same picture then gets the
    same sentences.
    """

    beam: int = BEAM
    best: int = 1
    temperature: float = 0.0
    seed: int = 0

    def changed(self, *, beam: int | None, best: int | None, temperature: float | None, seed: int | None) -> Speech:
        """With other numbers; None leaves one as it is. More sentences than the beam keeps make it wider unless it is given.

        beam, best: 1 to 100.  temperature: 0.01 to 100, or 0.  seed: 0 to 2**63 - 1. Raises ConfigError for others, for more
        sentences than a beam that is given keeps, for a beam of what is drawn and for a seed of what is not.
        """
        for name, value in (("beam", beam), ("best", best)):
            if value is not None and not 1 <= value <= MOST:
                raise ConfigError(f"--{name} is {value}, allowed are 1 to {MOST}")
        warm, count = self.temperature if temperature is None else temperature, best or self.best
        if warm and not COOLEST <= warm <= HOTTEST:
            raise ConfigError(f"--temperature is {warm}, allowed are {COOLEST} to {HOTTEST}, and 0 for the beam search")
        if seed is not None and not 0 <= seed < 2**63:
            raise ConfigError(f"--seed is {seed}, allowed are 0 to 2**63 - 1")
        if warm and beam is not None:
            raise ConfigError(f"--beam {beam} is for the beam search, but --temperature {warm} draws at random: leave one out")
        if not warm and seed is not None:
            raise ConfigError(f"--seed {seed} is for sentences drawn at random: add --temperature 1, or leave it out")
        if beam is not None and count > beam:
            raise ConfigError(f"--best {count} sentences of a beam of {beam}: give --beam {count}, or leave it out")
        return Speech(max(self.beam, count) if beam is None else beam, count, warm, self.seed if seed is None else seed)

    def say(self, net: CaptionNet, features: Tensor, numbers: Tensor) -> Spoken:
        """Sentences for features (n, places, depth). numbers: of the pictures, int64 (n), by which what is drawn differs."""
        if not self.temperature:
            return beam_search(net, features, width=self.beam, longest=LONGEST + 1, length=LENGTH)
        return sample(
            net,
            features,
            count=self.best,
            temperature=self.temperature,
            longest=LONGEST + 1,
            seed=self.seed,
            number=numbers,
        )
