"""The losses of a GAN against their formulas, and what is known of their optimum."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.ops.gan_loss import discriminator_loss, generator_loss

logits = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=6)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(max_examples=60, deadline=None)
@given(logits, logits, st.sampled_from([0.0, 0.1, 0.3]))
def test_the_losses_are_goodfellows(real: list[float], made: list[float], smoothing: float):
    """-log D(x) - log(1 - D(G(z))), the first smoothed on the real side alone; -log D(G(z)) for the generator."""
    tell = sum(-(1 - smoothing) * math.log(sigmoid(x)) - smoothing * math.log(sigmoid(-x)) for x in real) / len(real)
    tell += sum(-math.log(sigmoid(-x)) for x in made) / len(made)
    got = discriminator_loss(torch.tensor(real), torch.tensor(made), "non-saturating", smoothing)
    assert float(got) == pytest.approx(tell, rel=1e-4, abs=1e-5)
    fool = sum(-math.log(sigmoid(x)) for x in made) / len(made)
    assert float(generator_loss(torch.tensor(made), "non-saturating")) == pytest.approx(fool, rel=1e-4, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(logits, logits)
def test_the_hinge_is_miyatos(real: list[float], made: list[float]):
    tell = sum(max(0, 1 - x) for x in real) / len(real) + sum(max(0, 1 + x) for x in made) / len(made)
    got = discriminator_loss(torch.tensor(real), torch.tensor(made), "hinge")
    assert float(got) == pytest.approx(tell, rel=1e-4, abs=1e-5)
    assert float(generator_loss(torch.tensor(made), "hinge")) == pytest.approx(-sum(made) / len(made), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.25])
def test_where_real_and_made_are_alike_the_best_discriminator_is_known(smoothing: float):
    """It then says (1 - smoothing) / 2 (Goodfellow, proposition 1; Salimans, section 3.4)."""
    logit = torch.zeros(1, requires_grad=True)
    rule = torch.optim.SGD([logit], lr=1.0)
    for _ in range(500):
        rule.zero_grad()
        discriminator_loss(logit, logit, "non-saturating", smoothing).backward()
        rule.step()
    assert float(logit.detach().sigmoid()) == pytest.approx((1 - smoothing) / 2, abs=1e-4)


def test_a_generator_learns_from_what_is_not_believed_at_all():
    """The gradient of log(1 - D) vanishes there; that of the non-saturating loss is 1."""
    logit = torch.tensor([-30.0], requires_grad=True)
    generator_loss(logit, "non-saturating").backward()
    assert logit.grad is not None
    assert float(logit.grad) == pytest.approx(-1)
