"""Every rung trains the same: the same first weights, the same batches, the same losses, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from gipi.bench import deepconvnet_numpy as book
from gipi.bench.loops import LOOPS, comparable, fresh_net, images_of, to_book
from gipi.bench.rungs import GIPI, Rung
from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.data.stream import ImageStream
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.recipes import RECIPES

STEPS = 4
BATCH = 20


def config(net="deepconvnet", **args):
    data = DataConfig("digits", batch=BATCH, limit=60, holdout=0.2)
    return comparable(Config(net=NetConfig(net, args), data=data, run=RunConfig(seed=3, device="cpu", precision="fp32")))


def losses(rung, plan, layout="contiguous", steps=STEPS):
    place = Place(torch.device("cpu"), "fp32", plan.run.seed, layout)
    learner = LOOPS[rung.loop](rung, plan, *images_of(plan, place), place)
    return [float(next(learner.losses)) for _ in range(steps)], learner.accuracy()


def by_hand(plan, steps=STEPS):
    """What the loops are to compute, written down once more, without a DataLoader, a generator or an engine."""
    place = Place(torch.device("cpu"), "fp32", plan.run.seed)
    train, held_out = images_of(plan, place)
    net, _ = fresh_net(plan, train)
    mean, square = ([torch.zeros_like(weight) for weight in net.parameters()] for _ in range(2))
    found = []
    for step, batch in zip(range(1, steps + 1), ImageStream(train, plan.data.batch, plan.run.seed), strict=False):
        loss = F.cross_entropy(net(batch.images / 255), batch.labels)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for weight, gradient, m, v in zip(net.parameters(), gradients, mean, square, strict=True):
                m += 0.1 * (gradient - m)
                v += 0.001 * (gradient**2 - v)
                weight -= plan.optim.lr * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        found.append(float(loss.detach()))
    net.eval()
    return found, float((net(held_out.images / 255).argmax(1) == held_out.labels).float().mean())


@pytest.mark.parametrize(
    ("rung", "layout"),
    [
        (Rung("NumPy", "", loop="numpy"), "contiguous"),
        (Rung("plain", ""), "contiguous"),
        (Rung("channels_last", ""), "channels-last"),
        (Rung("resident", "", resident=True), "channels-last"),
        (Rung(GIPI, "", loop="gipi"), "channels-last"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_loop_takes_the_steps_of_one_written_by_hand(rung, layout):
    """On 60 images a second epoch begins within the steps, so that the order of a later epoch counts, too."""
    plan = config()
    expected, accuracy = by_hand(plan, steps=5)
    with threadpool_limits(1):
        found, read = losses(rung, plan, layout, steps=5)
    assert found == pytest.approx(expected, rel=1e-4)
    assert read == pytest.approx(accuracy)


def test_the_losses_would_show_another_seed():
    plan = config()
    other = replace(plan, run=replace(plan.run, seed=4))
    assert losses(Rung("plain", ""), plan)[0] != pytest.approx(losses(Rung("plain", ""), other)[0], rel=1e-2)


def test_bf16_comes_near():
    plan = config("convstack", depth=1, width=4)
    exact, _ = losses(Rung("plain", ""), plan)
    place = Place(torch.device("cpu"), "bf16", plan.run.seed, "channels-last")
    learner = LOOPS["plain"](Rung("bf16", "", precision="bf16"), plan, *images_of(plan, place), place)
    near = [float(next(learner.losses)) for _ in range(STEPS)]
    assert near == pytest.approx(exact, rel=2e-2)
    assert near != exact


def test_numpy_has_the_weights_of_the_net():
    plan = config()
    train, _ = images_of(plan, Place(torch.device("cpu"), "fp32", 3))
    net, image = fresh_net(plan, train)
    assert image == (1, 28, 28)
    pixels = torch.rand(3, *image)
    with torch.no_grad():
        expected = net.eval()(pixels)
    found = book.Net(to_book(net.state_dict())).forward(pixels.numpy())
    assert torch.from_numpy(found) == pytest.approx(expected, abs=1e-4)


def test_comparable_leaves_net_and_data_and_takes_the_rest_away():
    recipe = RECIPES["finetune"].config
    plain = comparable(recipe)
    assert (plain.net, plain.data.name, plain.data.batch) == (recipe.net, recipe.data.name, recipe.data.batch)
    assert (plain.data.augment, plain.transfer) == (AugmentConfig(), TransferConfig())
    assert plain.optim == OptimConfig("adam", lr=1e-3)
    assert comparable(RECIPES["deepconvnet-fast"].config).data.holdout > 0


def test_a_check_needs_held_out_images():
    plan = config()
    with pytest.raises(ConfigError, match=r"data\.holdout"):
        images_of(replace(plan, data=replace(plan.data, holdout=0.0)), Place(torch.device("cpu"), "fp32", 0))


def test_a_look_at_the_accuracy_changes_nothing_in_the_training():
    plan = config()
    place = Place(torch.device("cpu"), "fp32", 3, "contiguous")

    def found(look):
        learner = LOOPS["plain"](Rung("plain", "", resident=True), plan, *images_of(plan, place), place)
        return [(float(next(learner.losses)), look and learner.accuracy())[0] for _ in range(STEPS)]

    assert found(look=True) == found(look=False)
