"""The laws of several processes: together they are one. Another number of them, parts of a batch, shards and a resume change nothing."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine import ranks
from gipi.errors import ConfigError, RunError
from gipi.model import Card, save_model
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess
from gipi.runs import Run
from gipi.tasks.classify import Classify
from gipi.tasks.training import for_processes
from oracle.ranks import in_ranks
from oracle.stopped import train

SLOW = pytest.mark.slow
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the processes are forked")
ROUNDED = 1e-4  # of weights after 21 steps, in which what is rounded otherwise grows
NET = NetConfig("convstack", {"width": 4, "batch_norm": False})
BASE = Config(
    net=NET,
    data=DataConfig("digits", batch=33, limit=240, holdout=0.25, augment=AugmentConfig(rotate_deg=10, shift_px=2)),
    optim=OptimConfig("adamw", lr=3e-3, schedule="cosine", ema=0.9),
    run=RunConfig(epochs=3, device="cpu", precision="fp32", seed=1),
)  # 7 steps an epoch, whose batches of 33 no even number of processes parts equally


def changed(
    config: Config = BASE, *, optim: dict[str, Any] | None = None, net: dict[str, Any] | None = None, **run: Any
) -> Config:
    net_config = replace(config.net, args={**config.net.args, **(net or {})})
    return replace(config, net=net_config, optim=replace(config.optim, **(optim or {})), run=replace(config.run, **run))


def trained(config: Config, path: Path, world: int = 1, stop_at: int = 0) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """(weights, rows of metrics) of a training by so many processes."""
    config = replace(config, run=replace(config.run, processes=max(world, config.run.processes)))
    if world == 1:
        train(0, config, path, stop_at)
    else:
        in_ranks(world, train, config, path, stop_at)
    clock = ("time_s", "samples_per_s", "left_s")
    rows = [{name: value for name, value in row.items() if name not in clock} for row in Run.open(path).rows()]
    return load_file(path / "model.safetensors"), rows


def assert_same(left: Any, right: Any, *, within: float) -> None:
    (weights, rows), (others, other_rows) = left, right
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=within)
    assert [(row["split"], row["step"]) for row in rows] == [(row["split"], row["step"]) for row in other_rows]
    for row, other in zip(rows, other_rows, strict=True):
        assert row == pytest.approx(other, abs=max(within, 1e-9) * 100)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return trained(BASE, tmp_path_factory.mktemp("alone") / "run")


@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_equal_one(tmp_path: Path, alone: Any, world: int):
    """21 steps on batches that are parted unequally, with augmentation, schedule and running average of the weights."""
    assert_same(trained(BASE, tmp_path / "run", world), alone, within=ROUNDED)


def test_parts_of_a_batch_in_several_processes_equal_one_batch(tmp_path: Path, alone: Any):
    assert_same(trained(changed(optim={"accumulate": 3}), tmp_path / "run", 2), alone, within=ROUNDED)


def test_clipping_sees_the_gradient_of_all_processes(tmp_path: Path):
    config = changed(optim={"clip": 0.05, "name": "sgd", "lr": 0.1})
    assert_same(trained(config, tmp_path / "two", 2), trained(config, tmp_path / "one"), within=ROUNDED)


@pytest.mark.slow
def test_shards_equal_replicas(tmp_path: Path, alone: Any):
    """FSDP, 2 and 3 processes, against one process alone, which DDP equals."""
    for world in (2, 3):
        assert_same(trained(changed(shard=True), tmp_path / f"{world}", world), alone, within=ROUNDED)


@pytest.mark.parametrize("frozen", [1.0, 0.5])
def test_a_head_that_learns_alone_at_first_learns_the_same(tmp_path: Path, frozen: float):
    """All the time on what the body makes of unchanged images, or for half of the steps; no dropout, so that two are one."""
    begin = save_start(tmp_path / "start.safetensors")
    data = replace(BASE.data, augment=AugmentConfig())
    config = replace(BASE, data=data, transfer=TransferConfig(str(begin), frozen=frozen))
    assert_same(trained(config, tmp_path / "two", 2), trained(config, tmp_path / "one"), within=ROUNDED)


def save_start(path: Path) -> Path:
    """A model of the same net with the weights of another seed."""
    torch.manual_seed(5)
    net = build_net(NET.name, {**NET.args, "classes": 10, "channels": 1})
    save_model(
        path,
        net.state_dict(),
        Card(
            "classify",
            NET.name,
            {**NET.args, "classes": 10, "channels": 1},
            tuple("0123456789"),
            Preprocess((1, 28, 28), "digit"),
        ),
    )
    return path


def test_batch_norm_of_all_goes_on_in_one_process(tmp_path: Path):
    config = changed(net={"batch_norm": True}, sync_batchnorm=True, epochs=2)
    with pytest.raises(RunError, match="stop here"):
        trained(config, tmp_path / "run", 2, stop_at=7)
    weights, _ = trained(config, tmp_path / "run", 1)
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.slow
def test_synchronised_batch_norm_equals_one_process(tmp_path: Path):
    config = changed(net={"batch_norm": True}, optim={"name": "sgd", "lr": 0.05}, epochs=1)
    (one, _), (together, _), (apart, _) = (
        trained(config, tmp_path / "one"),
        trained(changed(config, sync_batchnorm=True), tmp_path / "together", 2),
        trained(config, tmp_path / "apart", 2),
    )
    near, far = (max(float((other[name] - value).abs().max()) for name, value in one.items()) for other in (together, apart))
    assert near < 2e-5
    assert far > 100 * near, "it was no choice"


@pytest.mark.parametrize(
    ("before", "after", "shard"),
    [
        (2, 1, False),
        (1, 2, False),
        pytest.param(2, 3, False, marks=SLOW),
        pytest.param(2, 3, True, marks=SLOW),
        pytest.param(3, 2, True, marks=SLOW),
    ],
)
def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path, alone: Any, before: int, after: int, shard: bool):
    path, config = tmp_path / "run", changed(shard=shard)
    with pytest.raises(RunError, match="stop here"):
        trained(config, path, before, stop_at=7)
    assert (path / "state-0.pt").exists()
    assert (path / "shards-7").is_dir() == shard
    assert_same(trained(config, path, after), alone, within=ROUNDED)


@pytest.mark.slow
def test_a_resumed_training_of_several_equals_a_straight_one_bitwise(tmp_path: Path):
    """With dropout, of which each process draws its own."""
    config = replace(BASE, net=NetConfig("digitnet-tiny"))
    straight = trained(config, tmp_path / "straight", 2)
    with pytest.raises(RunError, match="stop here"):
        trained(config, tmp_path / "run", 2, stop_at=14)
    assert_same(trained(config, tmp_path / "run", 2), straight, within=0)


def train_by_another_seed(rank: int, path: Path) -> None:
    train(rank, changed(seed=rank, processes=2), path)


def test_processes_must_have_the_same_configuration(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"process \d .* and process \d differ in configuration"):
        in_ranks(2, train_by_another_seed, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def train_but_the_second_sleeps(rank: int, path: Path) -> str:
    step = Classify.step

    def slow(self: Classify, batch: Any) -> Any:
        time.sleep(15 if rank == 1 else 0)
        return step(self, batch)

    Classify.step, ranks.PATIENCE_S = slow, 2.0
    try:
        train(rank, changed(processes=3, timeout_s=4), path)
    except RunError as error:
        return str(error)
    return "no error"


def test_a_process_that_hangs_is_named(tmp_path: Path):
    said = in_ranks(3, train_but_the_second_sleeps, tmp_path / "run")
    assert all("process 1 did not answer within 4 s" in said[rank] for rank in (0, 2)), said


# --- what does not go together


@pytest.mark.parametrize("flags", [{"shard": True}, {"sync_batchnorm": True}, {"scale": "linear"}])
def test_settings_of_several_processes_need_several(flags: dict[str, Any]):
    with pytest.raises(ConfigError, match="is for several processes: give --processes 2 or more"):
        for_processes(changed(**flags), None)


def test_torchrun_needs_a_folder_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"4 processes.*give --out FOLDER"):
        for_processes(BASE, None)
    assert for_processes(BASE, tmp_path).run.processes == 4
    with pytest.raises(ConfigError, match="--processes 2, but torchrun has started 4"):
        for_processes(changed(processes=2), tmp_path)


def test_a_batch_smaller_than_the_processes_is_refused(tmp_path: Path):
    config = replace(changed(processes=2), data=replace(BASE.data, batch=1))
    with pytest.raises(ConfigError, match="a batch of 1 for 2 processes"):
        in_ranks(2, train, config, tmp_path / "run")


def test_batch_and_rate_follow_the_number_of_processes_by_the_rule():
    assert changed(processes=4).scaled() == changed(processes=4)
    linear, root = changed(processes=4, scale="linear").scaled(), changed(processes=4, scale="sqrt").scaled()
    assert (linear.data.batch, linear.optim.lr) == (132, pytest.approx(12e-3))
    assert (root.data.batch, root.optim.lr) == (132, pytest.approx(6e-3))
