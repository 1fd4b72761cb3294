"""`Optim.minimize` against a plain torch loop: the same weights to the bit, or to rounding where the batch is cut."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gipi.config import DECAYING, OptimConfig
from gipi.data.stream import ImageBatch
from gipi.engine.optim import RULES, Optim
from gipi.engine.place import Place
from gipi.engine.schedule import one_cycle
from gipi.ops.metrics import Mean, Metrics

few = settings(max_examples=25, deadline=None)
PLACE = Place(torch.device("cpu"), "fp32", 0)
BF16 = Place(torch.device("cpu"), "bf16", 0)
STEPS = 6


class Batch(NamedTuple):
    """n rows of `width` values, of which `mask` says which count, as in captions of different length."""

    x: Tensor
    y: Tensor
    mask: Tensor
    epoch: int


def batches(rows: int = 8, width: int = 5) -> list[Batch]:
    mixed = torch.Generator().manual_seed(1)
    made = []
    for number in range(STEPS):
        mask = torch.rand(rows, width, generator=mixed) < 0.6
        mask[:, 0] = True  # no empty row
        made.append(Batch(torch.randn(rows, width, generator=mixed), torch.randn(rows, width, generator=mixed), mask, number))
    return made


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 5))


def ragged_loss(net: nn.Module, batch: Batch) -> tuple[Tensor, int, Metrics]:
    error = (net(batch.x).float() - batch.y)[batch.mask]
    return error.square().mean(), len(error), {"absolute": Mean(error.detach().abs().sum(), len(error))}


def train(config: OptimConfig, net: nn.Module | None = None, place: Place = PLACE) -> tuple[dict[str, Tensor], list[Metrics]]:
    net = net or small_net()
    optim = Optim(net, config, place, STEPS)
    metrics = [optim.minimize(lambda part: ragged_loss(net, part), batch) for batch in batches()]
    return {key: value.clone() for key, value in net.state_dict().items()}, metrics


def plain_rule(config: OptimConfig, net: nn.Module) -> torch.optim.Optimizer:
    weights, lr, decay = net.parameters(), config.lr, config.weight_decay
    if config.name == "sgd":
        return torch.optim.SGD(weights, lr, weight_decay=decay, fused=True)
    if config.name == "momentum":
        return torch.optim.SGD(weights, lr, momentum=0.9, weight_decay=decay, fused=True)
    if config.name == "nesterov":
        return torch.optim.SGD(weights, lr, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)
    if config.name == "adagrad":
        return torch.optim.Adagrad(weights, lr, fused=True)
    if config.name == "rmsprop":
        return torch.optim.RMSprop(weights, lr)
    if config.name == "adam":
        return torch.optim.Adam(weights, lr, fused=True)
    return torch.optim.AdamW(weights, lr, weight_decay=decay, fused=True)


def plain(config: OptimConfig, place: Place = PLACE) -> dict[str, Tensor]:
    """The same training as one would write it by hand."""
    net = small_net()
    rule = plain_rule(config, net)
    for step, batch in enumerate(batches()):
        if config.schedule == "one-cycle":
            rule.param_groups[0]["lr"] = config.lr * one_cycle(step / STEPS, config.final)
        rule.zero_grad()
        with torch.autocast("cpu", dtype=place.dtype, enabled=place.dtype != torch.float32):
            loss = ragged_loss(net, batch)[0]
        loss.backward()
        if config.clip:
            nn.utils.clip_grad_norm_(net.parameters(), config.clip)
        rule.step()
    return net.state_dict()


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


CONFIGS = {
    **{name: OptimConfig(name, lr=0.01) for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")},
    **{f"{name}, decay": OptimConfig(name, lr=0.01, weight_decay=0.3) for name in DECAYING},
    "one-cycle": OptimConfig(lr=0.05, schedule="one-cycle"),
    "clip": OptimConfig(lr=0.01, clip=0.1),
    "all": OptimConfig("adamw", lr=0.02, weight_decay=0.1, schedule="one-cycle", clip=0.5),
}


@pytest.mark.parametrize("place", [PLACE, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_it_is_the_plain_loop_to_the_bit(config: OptimConfig, place: Place):
    weights, _ = train(config, place=place)
    assert same(weights, plain(config, place))
    assert not same(weights, small_net().state_dict())


def test_every_rule_is_held_to_the_plain_loop():
    assert {config.name for config in CONFIGS.values()} == set(RULES)


@pytest.mark.gpu
@pytest.mark.parametrize("name", RULES)
def test_every_rule_runs_on_a_gpu(name: Any):
    net = small_net().cuda()
    optim = Optim(net, OptimConfig(name, lr=0.01), Place(torch.device("cuda"), "fp32", 0), 1)
    batch = batches()[0]
    batch = batch._replace(x=batch.x.cuda(), y=batch.y.cuda(), mask=batch.mask.cuda())
    optim.minimize(lambda part: ragged_loss(net, part), batch)
    assert not any(
        torch.equal(value.cpu(), before) for value, before in zip(net.parameters(), small_net().parameters(), strict=True)
    )


def test_each_setting_makes_a_difference():
    results = [train(config)[0] for config in CONFIGS.values()]
    assert not any(same(a, b) for i, a in enumerate(results) for b in results[:i])


# --- accumulation


def gradient(accumulate: int, batch: Batch) -> tuple[Tensor, Metrics]:
    """The gradient that the update used, and the metrics."""
    net = small_net()
    optim = Optim(net, OptimConfig(lr=0.0, accumulate=accumulate), PLACE, 1)
    metrics = optim.minimize(lambda part: ragged_loss(net, part), batch)
    return torch.cat([weight.grad.flatten() for weight in net.parameters() if weight.grad is not None]), metrics


@few
@given(st.integers(1, 12), st.integers(2, 14), st.integers(0, 99))
def test_a_batch_in_ragged_parts_gives_the_gradient_and_the_metrics_of_the_whole(rows: int, accumulate: int, seed: int):
    mixed = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, 5, generator=mixed) < 0.5
    mask[:, 0] = True
    batch = Batch(torch.randn(rows, 5, generator=mixed), torch.randn(rows, 5, generator=mixed), mask, 0)
    whole, metrics = gradient(1, batch)
    parts, part_metrics = gradient(accumulate, batch)
    assert (parts - whole).abs().max() <= 1e-6 * whole.abs().max() + 1e-7
    assert metrics.keys() == part_metrics.keys() == {"loss", "absolute"}
    for name, mean in metrics.items():
        assert part_metrics[name].count == mean.count == int(mask.sum())
        assert part_metrics[name].value == pytest.approx(mean.value, rel=1e-5)


def test_the_mean_of_means_would_have_been_wrong():
    """The batch of the test above is ragged enough to tell: equal weights for the parts give another gradient."""
    batch = batches()[0]
    parts = [
        gradient(1, Batch(*(field[rows] if isinstance(field, Tensor) else field for field in batch)))[0]
        for rows in torch.arange(8).split(2)
    ]
    assert (torch.stack(parts).mean(0) - gradient(4, batch)[0]).abs().max() > 1e-4


def test_training_in_four_parts_stays_beside_training_in_one():
    one, _ = train(OptimConfig("adamw", lr=0.01, clip=0.1, weight_decay=0.1))
    four, _ = train(OptimConfig("adamw", lr=0.01, clip=0.1, weight_decay=0.1, accumulate=4))
    for key, value in one.items():
        assert (four[key] - value).abs().max() < 1e-5


def test_parts_cover_the_batch_once_in_order():
    seen: list[Tensor] = []
    net = small_net()

    def loss_fn(part: Batch) -> tuple[Tensor, int, Metrics]:
        assert isinstance(part, Batch)
        assert part.epoch == 7
        assert len(part.x) == len(part.y) == len(part.mask)
        seen.append(part.x)
        return ragged_loss(net, part)

    batch = batches(rows=10)[0]._replace(epoch=7)
    Optim(net, OptimConfig(accumulate=4), PLACE, 1).minimize(loss_fn, batch)
    assert [len(part) for part in seen] == [3, 3, 3, 1]
    assert torch.equal(torch.cat(seen), batch.x)


def test_a_part_in_which_nothing_counts_does_not_spoil_the_rest():
    batch = batches(rows=4)[0]
    batch.mask[2:] = False
    whole, whole_metrics = gradient(1, batch)
    parts, metrics = gradient(2, batch)
    assert torch.allclose(parts, whole, atol=1e-6)
    assert metrics["loss"].count == int(batch.mask.sum())
    assert metrics["loss"].value == pytest.approx(whole_metrics["loss"].value)


@pytest.mark.parametrize("mixed", [False, True])
def test_fields_of_a_batch_may_be_none(mixed: bool):
    others, own = (torch.arange(7) * 2, torch.rand(7)) if mixed else (None, None)
    batch = ImageBatch(torch.rand(7, 1, 2, 2), torch.arange(7), torch.arange(7) + 50, 3, others, own)
    weight, seen = nn.Linear(1, 1), []

    def loss_fn(part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        seen.append(part)
        return weight.weight.sum(), len(part.labels), {}

    Optim(weight, OptimConfig(accumulate=3), PLACE, 1).minimize(loss_fn, batch)
    assert [len(part.labels) for part in seen] == [3, 3, 1]
    for name in ("images", "labels", "number", "others", "own"):
        whole, parts = getattr(batch, name), [getattr(part, name) for part in seen]
        assert parts == [None] * 3 if whole is None else torch.equal(torch.cat(parts), whole), name
    assert {part.epoch for part in seen} == {3}


# --- the average


def net_with_batch_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 5))


AVERAGED = OptimConfig("adamw", lr=0.02, weight_decay=0.1, schedule="cosine", warmup=0.3, ema=0.4)


def test_the_average_is_one_made_by_hand():
    net = net_with_batch_norm()
    optim = Optim(net, AVERAGED, PLACE, STEPS)
    expected = {key: value.clone() for key, value in net.state_dict().items()}
    decays = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 0.4]  # (1 + t) / (10 + t), until that is more than what is asked for
    for step, (batch, decay) in enumerate(zip(batches(), decays, strict=True), 1):
        optim.minimize(lambda part: ragged_loss(net, part), batch)
        for key, value in net.state_dict().items():
            expected[key] = decay * expected[key] + (1 - decay) * value if value.is_floating_point() else value.clone()
        got = optim.averaged.state_dict()
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.allclose(got[key], value, atol=1e-6), (step, key)
        assert int(got["1.num_batches_tracked"]) == step
    for key in ("0.weight", "1.running_mean"):
        assert not torch.allclose(optim.averaged.state_dict()[key], net.state_dict()[key], atol=1e-4)


def test_the_average_watches_and_does_not_train():
    with_average, without = net_with_batch_norm(), net_with_batch_norm()
    optim = Optim(with_average, AVERAGED, PLACE, STEPS)
    train(replace(AVERAGED, ema=0.0), without)
    for batch in batches():
        optim.minimize(lambda part: ragged_loss(with_average, part), batch)
    assert same(with_average.state_dict(), without.state_dict())
    assert not optim.averaged.training
    assert with_average.training
    assert not any(weight.requires_grad for weight in optim.averaged.parameters())
    assert all(weight.requires_grad for weight in with_average.parameters())


def test_without_an_average_it_is_the_net_itself():
    net = net_with_batch_norm()
    optim = Optim(net, OptimConfig(), PLACE, STEPS)
    assert optim.averaged is net
    assert "average" not in optim.state_dict()


# --- clipping, learning rate, frozen weights


def test_clipping_bounds_the_norm_of_the_whole_batchs_gradient():
    for accumulate in (1, 4):
        net = small_net()
        optim = Optim(net, OptimConfig(lr=0.0, clip=0.01, accumulate=accumulate), PLACE, 1)
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batches()[0])
        norm = torch.cat([weight.grad.flatten() for weight in net.parameters()]).norm()  # pyright: ignore
        assert float(norm) == pytest.approx(0.01, rel=1e-4)


def test_weight_decay_alone_shrinks_every_weight_by_its_share():
    net = small_net()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optim = Optim(net, OptimConfig("adamw", lr=0.1, weight_decay=0.5), PLACE, 1)
    optim.minimize(lambda part: (0.0 * sum(weight.sum() for weight in net.parameters()), 1, {}), batches()[0])
    for key, value in net.state_dict().items():
        assert torch.allclose(value, before[key] * (1 - 0.1 * 0.5), atol=1e-7)


def test_lr_is_that_of_the_next_step():
    net = small_net()
    optim = Optim(net, OptimConfig(lr=0.3, schedule="one-cycle"), PLACE, STEPS)
    for step, batch in enumerate(batches()):
        assert optim.lr == 0.3 * one_cycle(step / STEPS, 0.01)
        optim.minimize(lambda part: ragged_loss(net, part), batch)


def test_frozen_weights_stay():
    net = small_net()
    net[0].requires_grad_(False)  # pyright: ignore[reportIndexIssue]
    before = copy.deepcopy(net.state_dict())
    after, _ = train(OptimConfig("adamw", lr=0.1, weight_decay=0.5), net)
    assert torch.equal(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["2.weight"], before["2.weight"])


def test_two_optims_leave_each_others_nets_alone():
    """The generator's loss goes through the judge; its gradient there must not reach the judge's next update."""
    want, _ = train(OptimConfig(lr=0.01))
    maker, judge = small_net(), small_net()
    maker_optim, judge_optim = (Optim(net, OptimConfig(lr=0.01), PLACE, STEPS) for net in (maker, judge))
    for batch in batches():
        maker_optim.minimize(lambda part: (judge(maker(part.x)).square().mean(), len(part.x), {}), batch)
        judge_optim.minimize(lambda part: ragged_loss(judge, part), batch)
    assert same(judge.state_dict(), want)
    assert not same(maker.state_dict(), small_net().state_dict())


def test_metrics_hold_no_graph():
    _, metrics = train(OptimConfig())
    assert isinstance(metrics[0]["loss"].total, Tensor)
    assert not metrics[0]["loss"].total.requires_grad
    loss, count, _ = ragged_loss(small_net(), batches()[0])
    assert metrics[0]["loss"].value == pytest.approx(loss.item(), rel=1e-6)
    assert metrics[0]["loss"].count == count == int(batches()[0].mask.sum())


# --- resuming


@pytest.mark.parametrize("at", range(STEPS + 1))
def test_a_state_carried_over_goes_on_to_the_bit(at: int, tmp_path: Any):
    config = AVERAGED
    net = net_with_batch_norm()
    optim = Optim(net, config, PLACE, STEPS)
    for batch in batches():
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batch)
    want, want_average = net.state_dict(), optim.averaged.state_dict()
    net = net_with_batch_norm()
    optim = Optim(net, config, PLACE, STEPS)
    for batch in batches()[:at]:
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batch)
    torch.save({"net": net.state_dict(), "optim": optim.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    net = net_with_batch_norm()
    nn.init.zeros_(net[0].weight)  # pyright: ignore[reportIndexIssue, reportArgumentType]
    optim = Optim(net, config, PLACE, STEPS)
    net.load_state_dict(state["net"])
    optim.load_state_dict(state["optim"])
    for batch in batches()[at:]:
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batch)
    assert same(net.state_dict(), want)
    assert same(optim.averaged.state_dict(), want_average)


@pytest.mark.parametrize("name", RULES)
def test_the_state_of_every_rule_goes_on_to_the_bit(name: Any, tmp_path: Any):
    config = OptimConfig(name, lr=0.01)
    want, _ = train(config)
    net = small_net()
    optim = Optim(net, config, PLACE, STEPS)
    for batch in batches()[:3]:
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batch)
    torch.save({"net": net.state_dict(), "optim": optim.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    net = small_net()
    optim = Optim(net, config, PLACE, STEPS)
    net.load_state_dict(state["net"])
    optim.load_state_dict(state["optim"])
    for batch in batches()[3:]:
        optim.minimize(lambda part, net=net: ragged_loss(net, part), batch)
    assert same(net.state_dict(), want)


def test_rates_grow_by_depth_from_the_first_layer_to_the_last():
    """With plain SGD and a gradient of one everywhere, each weight moves by its own learning rate."""
    net = nn.Sequential(*(nn.Linear(1, 1) for _ in range(12)))
    before = [weight.detach().clone() for weight in net.parameters()]
    optim = Optim(net, OptimConfig("sgd", lr=0.5), PLACE, 1, first_rate=0.01)
    optim.minimize(lambda batch: (sum(weight.sum() for weight in net.parameters()), 1, {}), None)
    rates = [float((old - new.detach()).squeeze()) / 0.5 for old, new in zip(before, net.parameters(), strict=True)]
    assert rates[0] == pytest.approx(0.01, rel=1e-3)
    assert rates[-1] == pytest.approx(1.0, rel=1e-3)
    assert rates == pytest.approx(sorted(rates), rel=1e-4)
    ratios = sorted({round(later / earlier, 2) for earlier, later in pairwise(rates)})
    assert ratios == [1.0, pytest.approx(100 ** (1 / 7), rel=0.01)]  # eight bands, a geometric series
