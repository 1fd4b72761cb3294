"""NumPy's random numbers with an address, as `ops/random.py` gives torch's."""

from __future__ import annotations

import numpy as np


def chance(seed: int, purpose: int, number: int) -> np.random.Generator:
    """A generator that is a function of the three, each below 2**63; see Salmon et al., "Parallel random numbers", SC 2011."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, number, purpose, 0]))
