"""Studies: a claim as a grid of small trainings. `gipi study NAME` runs one.

A study is data: variants (a configuration each, trained with several seeds) and claims that compare two of them. Each training
looks at the test set once. A measurement asks trained models and trains nothing.
"""

from __future__ import annotations

from gipi.studies.dqn import DQN
from gipi.studies.gan import GAN
from gipi.studies.pictures import LANDMARKS, TRANSFER
from gipi.studies.plan import COSTS, Claim, Measurement, Study, Variant, on_data
from gipi.studies.textbook import TEXTBOOK

__all__ = ["COSTS", "MEASUREMENTS", "STUDIES", "Claim", "Measurement", "Study", "Variant", "on_data"]

STUDIES = {**TEXTBOOK, "landmarks": LANDMARKS, "transfer": TRANSFER, "gan": GAN, "dqn": DQN}
MEASUREMENTS = {
    "precision": Measurement(
        "how few bits does a trained net need: accuracy, layers and bytes of the shipped models in 18 formats",
        "1 CPU core, about 5 minutes",
    ),
}
