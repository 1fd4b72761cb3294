"""Studies: a claim as a grid of small trainings. `gipi study NAME` runs one.

A study is data: variants (a configuration each, trained with several seeds) and claims that compare two of them. Each training
looks at the test set once.
"""

from __future__ import annotations

from gipi.studies.pictures import LANDMARKS, TRANSFER
from gipi.studies.plan import COSTS, Claim, Study, Variant, on_data
from gipi.studies.textbook import TEXTBOOK

__all__ = ["COSTS", "STUDIES", "Claim", "Study", "Variant", "on_data"]

STUDIES = {**TEXTBOOK, "landmarks": LANDMARKS, "transfer": TRANSFER}
