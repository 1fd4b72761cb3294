"""Training a player: the papers' step by hand, going on after stops, kills and errors, a corridor solved, what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import signal
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gipi import api
from gipi.config import ActConfig, AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DeviceError, RunError
from gipi.model import read_card
from gipi.runs import Run
from gipi.tasks.act import Act
from gipi.tasks.player import Player
from oracle.environments import BREAKING, CORRIDOR, SORTED, STEERED, Breaking, Corridor
from oracle.stopped import signalled, train

CPU = decide_place(device="cpu", precision="fp32")
CLOCK = ("time_s", "samples_per_s", "left_s")


@pytest.fixture
def config() -> Config:
    return Config(
        kind="act",
        net=NetConfig("dqn-small"),
        data=DataConfig("catch", batch=8),
        optim=OptimConfig("adam", lr=1e-3),
        act=ActConfig(
            steps=220, envs=4, history=2, double=True, duel=True, n_step=3, prioritised=True, replay=200, warmup=100, every=3,
            target=7, explore=100, epsilon=0.1, episodes=6,
        ),
        run=RunConfig(epochs=4, device="cpu", precision="fp32", seed=1),
    )  # fmt: skip
    # 40 updates, 10 an epoch


@pytest.fixture
def numbers(config: Config) -> Config:
    act = ActConfig(steps=400, envs=3, history=1, replay=300, warmup=100, every=4, target=10, explore=100, episodes=6)
    return replace(
        config, net=NetConfig("dqn-mlp"), data=DataConfig(CORRIDOR, batch=8), act=act, run=replace(config.run, epochs=3)
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in Run.open(path).rows()]


def ended(path: Path) -> dict[str, str]:
    return json.loads((path / "end.json").read_text())


# --- going on


class Stopper:
    """Watches the updates of trainings: what each was made of; at one of them a signal may come, or the process be killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches = dict[int, str]()
        self.at, self.kill, step = 0, False, Act.step

        def watched(task: Act, batch: Any) -> Any:
            update = task._source._updates
            digest = hashlib.sha256()
            for field in batch:
                digest.update(field.numpy().tobytes())
            assert self.batches.setdefault(update, digest.hexdigest()) == digest.hexdigest(), (
                f"update {update} learns from others"
            )
            if update == self.at and self.kill:
                raise KeyboardInterrupt
            metrics = step(task, batch)
            if update == self.at:
                signalled(signal.SIGTERM)
            return metrics

        monkeypatch.setattr(Act, "step", watched)


@pytest.fixture
def stopper(monkeypatch: pytest.MonkeyPatch) -> Stopper:
    return Stopper(monkeypatch)


def same(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    states = [torch.load(path / "state-0.pt", weights_only=True)["parts"] for path in (one, other)]
    assert {*states[0]} == {"net", "target", "optim", "source", "best"}
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert not (one / "replay").exists(), "what was played is gone when all is done"


def test_resumed_is_straight_to_the_bit(config: Config, stopper: Stopper, tmp_path: Path):
    """Everything at once, stopped by signals within epochs, and killed after a save, when what lies in files has gone on."""
    api.train(config, out=tmp_path / "straight", report=False)
    assert len(stopper.batches) == 40
    stopper.at = 4
    run = api.train(config, out=tmp_path / "stopped", report=False)
    assert (run.ended(), run.why()) == ("stopped", "SIGTERM")
    stopper.at, stopper.kill = 19, True  # saved at 10
    with pytest.raises(KeyboardInterrupt):
        api.resume(tmp_path / "stopped", report=False)
    stopper.at, stopper.kill = 26, False
    assert api.resume(tmp_path / "stopped", report=False).ended() == "stopped"
    stopper.at = 0
    api.resume(tmp_path / "stopped", report=False)
    same(tmp_path / "straight", tmp_path / "stopped")


def test_stopped_between_two_updates_of_a_turn(numbers: Config, stopper: Stopper, tmp_path: Path):
    """Eight decisions are made at once and give four updates; each is logged, as are the episodes that have ended."""
    config = replace(numbers, act=replace(numbers.act, envs=8, every=2, steps=180), run=replace(numbers.run, epochs=4))
    api.train(config, out=tmp_path / "straight", report=False)
    stopped = tmp_path / "stopped"
    for number, stop in enumerate((5, 6, 7, 8, 27)):
        stopper.at = stop
        api.resume(stopped, report=False) if number else api.train(config, out=stopped, report=False)
    stopper.at = 0
    api.resume(stopped, report=False)
    same(tmp_path / "straight", stopped)
    assert sum("return" in row for row in rows(stopped) if row["split"] == "train") > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ALE/Pong-v5", "PongNoFrameskip-v4"])
def test_pong_resumed_is_straight_to_the_bit(
    name: str, config: Config, stopper: Stopper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Games are cut after 13 decisions, actions are sticky."""
    pytest.importorskip("ale_py", reason="gipi[atari] is not installed")
    from ale_py import vector_env

    monkeypatch.setattr(vector_env, "AtariVectorEnv", partial(vector_env.AtariVectorEnv, max_num_frames_per_episode=52))
    act = replace(config.act, steps=76, envs=2, warmup=40, every=4, target=3, episodes=1)
    config = replace(config, net=NetConfig("dqn"), data=DataConfig(name, batch=4), act=act, run=replace(config.run, epochs=1))
    train(0, config, tmp_path / "straight")
    stopper.at = 5
    train(0, config, tmp_path / "stopped")
    assert ended(tmp_path / "stopped")["status"] == "stopped"
    stopper.at = 0
    train(0, config, tmp_path / "stopped")
    same(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.parametrize("length", [1, 5])
def test_killed_just_before_a_save(
    length: int, numbers: Config, stopper: Stopper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The ring has gone round since the last one; episodes are short, so that many rows show no decision but an end."""
    monkeypatch.setattr(Corridor, "LIMIT", length)
    act = ActConfig(
        steps=400,
        envs=2,
        history=2,
        n_step=2,
        prioritised=True,
        replay=100,
        warmup=100,
        every=4,
        target=10,
        explore=100,
        episodes=3,
    )
    config = replace(numbers, act=act)
    api.train(config, out=tmp_path / "straight", report=False)
    stopper.at, stopper.kill = 50, True  # saved at 25
    with pytest.raises(KeyboardInterrupt):
        api.train(config, out=tmp_path / "killed", report=False)
    stopper.at = 0
    api.resume(tmp_path / "killed", report=False)
    same(tmp_path / "straight", tmp_path / "killed")


def test_what_was_played_must_still_be_there(config: Config, stopper: Stopper, tmp_path: Path):
    stopper.at = 15
    api.train(config, out=tmp_path / "run", report=False)
    shutil.rmtree(tmp_path / "run" / "replay")
    with pytest.raises(RunError, match="what was played until then is gone"):
        api.resume(tmp_path / "run", report=False)


# --- environments that raise errors


@pytest.mark.parametrize("after", [30, 150, 250])
def test_an_environment_that_raises_an_error_leaves_a_run_to_go_on_with(
    after: int, numbers: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """While learning has not begun, and later; what was learnt until then is saved, and the training goes on to its end."""
    config = replace(numbers, data=DataConfig(BREAKING, batch=8))
    monkeypatch.setattr(Breaking, "left", after)
    path = tmp_path / "run"
    with pytest.raises(RunError) as caught:
        api.train(config, out=path, report=False)
    step = torch.load(path / "state-0.pt", weights_only=True)["step"]
    message = f"{BREAKING} raised ZeroDivisionError: the lamp went out. .* Step {step} is saved; go on with: gipi train --resume {path}$"
    caught.match(message)
    assert (step == 0) == (after < 100)
    assert ended(path)["status"] == "failed"
    assert "the lamp went out" in ended(path)["why"]
    assert isinstance(api.load(path), Player)
    assert api.resume(path, report=False).ended() == "done"
    told = [row for row in rows(path) if row["split"] == "train"]
    assert [row["step"] for row in told] == sorted({row["step"] for row in told})
    assert told[-1]["step"] == 75


def test_an_error_in_a_validation_or_test_is_clear_and_the_run_can_be_gone_on_with(
    numbers: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config, play, calls = replace(numbers, data=DataConfig(BREAKING, batch=8)), Player.play, list[int]()

    def breaking(self: Player, episodes: int, **named: Any) -> Any:
        calls.append(episodes)
        if len(calls) in (2, 5):  # the second epoch's, then the test's
            Breaking.left = 3
        return play(self, episodes, **named)

    monkeypatch.setattr(Player, "play", breaking)
    with pytest.raises(RunError, match="the lamp went out"):
        api.train(config, out=tmp_path / "run", report=False)
    assert torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["step"] == 25
    with pytest.raises(RunError, match="the lamp went out"):
        api.resume(tmp_path / "run", report=False)
    assert torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["step"] == 75
    assert ended(tmp_path / "run")["status"] == "failed"
    assert api.resume(tmp_path / "run", report=False).ended() == "done"
    assert rows(tmp_path / "run")[-1]["split"] == "test"


def test_an_error_while_episodes_are_played_again(
    numbers: Config, stopper: Stopper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stopper.at = 30
    api.train(replace(numbers, data=DataConfig(BREAKING, batch=8)), out=tmp_path / "run", report=False)
    monkeypatch.setattr(Breaking, "left", 1)
    with pytest.raises(RunError, match="the lamp went out"):
        api.resume(tmp_path / "run", report=False)
    stopper.at = 0
    assert api.resume(tmp_path / "run", report=False).ended() == "done"


# --- the step


def by_hand(
    task: Act, net: torch.nn.Module, target: torch.nn.Module, batch: Any, *, double: bool
) -> tuple[float, Tensor, Tensor]:
    """(loss, errors, highest values), transition by transition."""
    losses, errors, highest = [], [], []
    for n in range(len(batch.actions)):
        after, now = batch.following[n : n + 1].float(), batch.frames[n : n + 1].float()
        with torch.no_grad():
            chosen = int((net if double else target)(after)[0].argmax())
            wanted = float(batch.returns[n]) + float(batch.factors[n]) * float(target(after)[0, chosen])
        values = net(now)[0]
        error = values[int(batch.actions[n])] - wanted
        size = error.abs()
        losses.append(float(batch.weights[n]) * (0.5 * error**2 if float(size.detach()) <= 1 else size - 0.5))
        errors.append(float(error.detach()))
        highest.append(values.max().detach())
    loss = torch.stack(losses).mean()
    loss.backward()
    return float(loss.detach()), torch.tensor(errors), torch.stack(highest)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"double": True},
        {"duel": True},
        {"n_step": 3},
        {"prioritised": True},
        {"double": True, "duel": True, "n_step": 2, "prioritised": True},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_step_is_the_papers(config: Config, options: dict[str, Any]):
    """Nature's algorithm 1 with the error clipped; double DQN's equation 4; the target net made equal after every third update."""
    plain = {"double": False, "duel": False, "n_step": 1, "prioritised": False}
    act = replace(config.act, **{**plain, **options}, target=3, discount=0.9)
    task = Act(replace(config, act=act, optim=OptimConfig("sgd", lr=0.5)), CPU)
    torch.manual_seed(4)
    for weight in task.player.net.parameters():  # so that values differ, and errors reach beyond 1
        weight.data += torch.randn_like(weight) * 0.1
    net, source = deepcopy(task.player.net), task.source()
    target, clipped = deepcopy(task._target), 0
    assert all(torch.equal(left, right) for left, right in zip(task._target.parameters(), target.parameters(), strict=True))
    for update in range(1, 8):
        batch = next(source)
        net.load_state_dict(task.player.net.state_dict())
        net.zero_grad()
        loss, errors, highest = by_hand(task, net, target, batch, double=act.double)
        before = task._source.replay.state_dict().get("priorities")
        metrics = task.step(batch)
        assert metrics["loss"].value == pytest.approx(loss, abs=1e-4, rel=1e-4)
        assert metrics["q"].value == pytest.approx(float(highest.mean()), abs=1e-4, rel=1e-4)
        for (name, weight), plain_weight in zip(task.player.net.named_parameters(), net.parameters(), strict=True):
            assert plain_weight.grad is not None
            torch.testing.assert_close(
                weight.detach(), plain_weight.detach() - 0.5 * plain_weight.grad, rtol=1e-4, atol=1e-4, msg=name
            )
        clipped += int((errors.abs() > 1).sum())
        if act.prioritised:
            assert before is not None
            after = task._source.replay.state_dict()["priorities"]["priorities"]
            last = {int(place): float(error) for place, error in zip(batch.places, errors, strict=True)}
            for place, error in last.items():
                assert float(after[place]) == pytest.approx((abs(error) + 1e-6) ** 0.6, rel=1e-3, abs=1e-3)
            others = torch.ones(len(after), dtype=torch.bool)
            others[batch.places] = False
            assert torch.equal(after[others], before["priorities"][others])
        if update % 3 == 0:
            target.load_state_dict(task.player.net.state_dict())
        for left, right in zip(task._target.parameters(), target.parameters(), strict=True):
            assert torch.equal(left, right)
            assert not left.requires_grad
    assert clipped > 0


def test_the_corridor_is_solved_to_its_exact_values(numbers: Config):
    """Nine cells: each step's discounted worth, and that although every episode is cut after five steps."""
    act = ActConfig(
        steps=7_000, envs=8, history=1, double=True, discount=0.8, replay=2_000, warmup=500, every=16, target=10, explore=2_000,
        epsilon=0.5, clip_reward=False,
    )  # fmt: skip
    config = replace(numbers, data=DataConfig(CORRIDOR, batch=64), act=act, optim=OptimConfig("adam", lr=4e-3, schedule="cosine"))
    torch.manual_seed(0)
    task = Act(config, CPU)
    source = task.source()
    for _ in range(task.steps):
        task.step(next(source))
    cells = torch.eye(9)[1:-1, :, None, None]
    wanted = Corridor.values(0.8)
    values = task.player.values(cells).numpy()
    assert values == pytest.approx(wanted, abs=0.03)
    assert np.array_equal(values.argmax(1), wanted.argmax(1))
    assert len({*wanted.argmax(1).tolist()}) == 2, "a corridor where one has to turn round"


def test_epsilon_and_rate_are_told_and_the_best_epoch_is_saved(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    returns, play = iter([1.0, 3.0, 3.0, 2.0]), Player.play

    def judged(self: Player, episodes: int, **named: Any) -> Any:
        games = play(self, episodes, **named)
        if named.get("purpose") is None:
            return games
        assert episodes == 2, "a third of the test's"
        reward = next(returns)
        return replace(games, episodes=[episode._replace(reward=reward) for episode in games.episodes])

    monkeypatch.setattr(Player, "play", judged)
    kept = list[dict[str, Tensor]]()
    evaluate = Act.evaluate
    monkeypatch.setattr(Act, "evaluate", lambda task: (kept.append(deepcopy(task.player.net.state_dict())), evaluate(task))[1])
    run = api.train(config, out=tmp_path / "run", report=False)
    saved = torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["parts"]["best"]
    assert saved["score"] == 3
    assert all(torch.equal(saved["weights"][name], weight) for name, weight in kept[2].items()), "of equal ones the last"
    player = api.load(run.path)
    assert isinstance(player, Player)
    assert all(torch.equal(player.net.state_dict()[name], weight) for name, weight in kept[2].items())
    training = [row for row in rows(run.path) if row["split"] == "train"]
    assert training[0]["epsilon"] > 0.9 > 0.11 > training[-1]["epsilon"] >= 0.0999
    assert all(math.isfinite(row[name]) for row in training for name in ("loss", "q", "lr", "epsilon"))
    validation = [row for row in rows(run.path) if row["split"] == "validation"]
    assert [row["return"] for row in validation] == [1, 3, 3, 2]


def test_the_run_and_its_card(config: Config, tmp_path: Path):
    run = api.train(config, out=tmp_path / "run", report=False)
    card, test = read_card(run.model_path), rows(run.path)[-1]
    assert (card.kind, card.environment, card.classes) == ("act", "catch", ("left", "stay", "right"))
    assert card.image == (2, 16, 16)
    assert card.args == {"actions": 3, "channels": 2, "height": 16, "width": 16, "duel": True}
    assert test["split"] == "test"
    assert test["length"] == 15
    for name in ("return", "spread", "length", "clipped", "predicted", "realised", "random"):
        assert card.metrics[name] == test[name]
        assert math.isfinite(test[name])
    again = api.load(run.path)
    assert isinstance(again, Player)
    games = again.play(6, epsilon=0.05, seed=1)
    assert games.metrics["return"].value == test["return"]
    assert not (run.path / "replay").exists()


def test_a_test_of_random_decisions_alone_can_be_trained_for(numbers: Config, tmp_path: Path):
    """It foresees nothing: no number is told that is none."""
    config = replace(numbers, act=replace(numbers.act, test_epsilon=1.0))
    run = api.train(config, out=tmp_path / "run", report=False)
    assert run.ended() == "done"
    assert "NaN" not in (run.path / "metrics.jsonl").read_text()
    assert "predicted" not in rows(run.path)[-1]


def test_the_callers_random_numbers_change_nothing(numbers: Config, tmp_path: Path):
    for seed, name in ((1, "one"), (2, "other")):
        torch.manual_seed(seed)
        np.random.seed(seed)
        api.train(numbers, out=tmp_path / name, report=False)
    same(tmp_path / "one", tmp_path / "other")


# --- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": NetConfig("deepconvnet")}, "does classify, not act; those that do: dqn, dqn-small, dqn-mlp"),
        ({"net": NetConfig("dqn")}, "frames of 16x16 are too small for its convolutions: use dqn-small"),
        ({"net": NetConfig("dqn-mlp")}, "catch shows pictures of 16x16, .* use --net dqn or, below 48 pixels, dqn-small"),
        ({"data": DataConfig("CartPole-v1")}, "CartPole-v1 shows 4 numbers, .* not for net 'dqn-small': use --net dqn-mlp"),
        ({"data": DataConfig("CartPole-v1"), "net": NetConfig("dqn")}, "use --net dqn-mlp"),
        ({"data": DataConfig(STEERED)}, "needs Discrete actions"),
        ({"data": DataConfig("Pendulum-v1")}, "a DQN chooses one of a few, it needs Discrete actions"),
        ({"data": DataConfig(SORTED)}, "shows Dict"),
        ({"data": DataConfig("catsh")}, "no environment 'catsh'; did you mean 'catch'?"),
        ({"data": DataConfig("")}, "environment"),
        ({"data": DataConfig("catch", size=32)}, "--data.size is for images"),
        ({"data": DataConfig("catch", broken=0.5)}, "--data.broken is for images"),
        ({"data": DataConfig("catch", holdout=0.2)}, "--data.holdout is for images"),
        ({"data": DataConfig("catch", limit=9)}, "--data.limit is for images"),
        ({"data": DataConfig("catch", class_weights="median-frequency")}, "--data.class-weights is for images"),
        ({"data": DataConfig("catch", least_count=2)}, "--data.least-count is for images"),
        ({"data": DataConfig("catch", augment=AugmentConfig(flip=0.5))}, "--data.augment with a player"),
        ({"transfer": TransferConfig("dcgan-mnist")}, "--from with a player: players begin with fresh weights"),
        ({"optim": OptimConfig(label_smoothing=0.1)}, "--optim.label-smoothing with a player"),
        ({"optim": OptimConfig(accumulate=2)}, "--optim.accumulate with a player"),
        ({"optim": OptimConfig(ema=0.9)}, "--optim.ema with a player"),
        ({"run": RunConfig(compile="on")}, "--compile with a player"),
        ({"run": RunConfig(resident="on")}, "--resident with a player"),
        ({"run": RunConfig(members=2)}, "ensembles are for classifiers"),
        ({"run": RunConfig(epochs=41)}, "40 updates are too few for 41 epochs; lower --epochs, or raise --act.steps"),
        ({"net": NetConfig("dqn-small", {"depth": 3})}, "takes no argument 'depth'"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_a_player_has_no_use_for_is_refused_before_anything_is_written(
    config: Config, change: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(ConfigError, match=message):
        api.train(replace(config, **change), out=tmp_path / "run", report=False)
    assert not (tmp_path / "run").exists()


def test_several_processes_are_refused(config: Config):
    with pytest.raises(
        ConfigError, match=r"--processes with a player: one process plays and learns, with --act\.envs environments"
    ):
        Act(replace(config, run=replace(config.run, processes=2)), CPU)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warmup": 220}, r"act\.warmup is 220 of act\.steps 220: nothing is left to learn in"),
        ({"warmup": 20}, r"act\.warmup is 20: 4 environments need 28 to learn from"),
        ({"replay": 100, "envs": 15, "warmup": 200}, r"act\.replay is 100: 15 environments need 105"),
        ({"envs": 0}, r"act\.envs is 0"),
        ({"discount": 1.1}, r"act\.discount is 1\.1"),
        ({"epsilon": -1}, r"act\.epsilon is -1"),
        ({"n_step": 0}, r"act\.n_step is 0"),
        ({"explore": 0}, r"act\.explore is 0"),
    ],
)
def test_settings_that_cannot_be(config: Config, values: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        replace(config.act, **values)


def test_settings_of_playing_are_refused_elsewhere():
    with pytest.raises(ConfigError, match=r"act\.double is for playing"):
        Config(kind="classify", act=ActConfig(double=True))


def test_the_least_that_is_allowed_can_be_trained(config: Config, tmp_path: Path):
    """As little warm-up and replay as passes: something to learn from is there at once."""
    for prioritised in (False, True):
        act = ActConfig(
            steps=130,
            envs=14,
            history=1,
            n_step=4,
            prioritised=prioritised,
            replay=100,
            warmup=98,
            every=8,
            explore=10,
            episodes=1,
        )
        small = replace(
            config, net=NetConfig("dqn-mlp"), data=DataConfig(CORRIDOR, batch=8), act=act, run=replace(config.run, epochs=4)
        )
        assert api.train(small, out=tmp_path / str(prioritised), report=False).ended() == "done"


def test_a_disk_too_small_is_told(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20_000))
    with pytest.raises(ConfigError, match=r"has room for 0\.0 GB, .* lower --act\.replay"):
        api.train(config, out=tmp_path / "run", report=False)


def test_a_replay_beyond_all_disks_is_told(config: Config, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"has room for .* GB, .* lower --act\.replay"):
        api.train(replace(config, act=replace(config.act, replay=10**9, prioritised=False)), out=tmp_path / "run", report=False)


def test_atari_without_its_package(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(DeviceError, match=r"pip install 'gipi\[atari\]'"):
        api.train(replace(config, net=NetConfig("dqn"), data=DataConfig("PongNoFrameskip-v4")), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
