"""What a training learns from: decisions, their share of random ones, and going on as if it had never been stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gipi.config import ActConfig, Config, DataConfig, NetConfig, RunConfig
from gipi.engine.place import decide_place
from gipi.envs.find import open_envs
from gipi.envs.played import Played
from gipi.envs.replay import Batch
from gipi.errors import RunError
from gipi.tasks.act_start import begin
from gipi.tasks.experience import Experience
from gipi.tasks.player import Player
from oracle.environments import CORRIDOR

CPU = decide_place(device="cpu", precision="fp32")
ACT: dict[str, Any] = {
    "steps": 10_000,
    "envs": 3,
    "history": 1,
    "replay": 400,
    "warmup": 60,
    "every": 4,
    "explore": 200,
    "epsilon": 0.1,
}


def made(name: str = "catch", *, seed: int = 5, folder: Path | None = None, batch: int = 16, **act: Any) -> Experience:
    torch.manual_seed(0)
    config = Config(
        kind="act",
        net=NetConfig("dqn-small" if name in ("catch", "snake") else "dqn-mlp"),
        data=DataConfig(name),
        act=ActConfig(**{**ACT, **act}),
        run=RunConfig(device="cpu", precision="fp32"),
    )
    envs = open_envs(name, config.act.envs)
    net, card = begin(config, envs)
    experience = Experience(Player(net.eval(), card, CPU), Played(envs, seed), config.act, batch, seed, 100, slack=200)
    if folder:
        experience.replay.store.open(folder)
    return experience


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """(actions, whether each was of an episode that goes on) of every turn."""
    turns, send = list[tuple[np.ndarray, np.ndarray]](), Played.send

    def noted(self: Played, actions: np.ndarray) -> None:
        turns.append((actions.copy(), ~self.resting))
        send(self, actions)

    monkeypatch.setattr(Played, "send", noted)
    return turns


def decisions(sent: list[tuple[np.ndarray, np.ndarray]]) -> int:
    return sum(int(active.sum()) for _, active in sent)


# --- deciding


def test_the_share_of_random_decisions_falls_as_the_schedule_says(sent: list[Any]):
    experience = made()
    told = list[float]()
    for _ in range(100):
        next(experience)
        explored = (decisions(sent) - 60) / 200
        wanted = 1 if explored < 0 else 0.1 if explored > 1 else 1 - 0.9 * explored
        assert experience.epsilon == pytest.approx(wanted)
        told.append(experience.epsilon)
    assert told[0] > 0.95
    assert told[-1] == pytest.approx(0.1)


def test_an_update_waits_for_its_decisions_and_no_longer(sent: list[Any]):
    """Of resting environments none count."""
    experience = made(envs=7, warmup=100, every=3)
    for update in range(60):
        next(experience)
        assert 100 + 3 * update <= decisions(sent) < 100 + 3 * update + 7 or sent[-1][1].sum() == 0
    assert any(not active.all() for _, active in sent)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_decisions_are_the_best_but_for_the_random_ones(epsilon: float, sent: list[Any], monkeypatch: pytest.MonkeyPatch):
    """The best ones of what is seen now, with its history; asked only where not all are random."""
    experience = made("snake", epsilon=epsilon, explore=1, history=3, warmup=90)
    best = dict[int, np.ndarray]()  # by turn

    def values(stacked: Tensor) -> Tensor:
        assert torch.equal(stacked[:, -1], torch.from_numpy(experience._played.frames[:, 0]))
        wanted = stacked.long().sum((1, 2, 3)) % 4
        best[len(sent)] = wanted.numpy()
        return torch.eye(4)[wanted]

    monkeypatch.setattr(experience._player, "values", values)
    for _ in range(120):
        next(experience)
    warm = min(best)
    assert decisions(sent[:warm]) >= 90
    other = np.concatenate([(actions != best.get(turn, -1))[active] for turn, (actions, active) in enumerate(sent[warm:], warm)])
    random = epsilon * 3 / 4 + epsilon**3 / 4  # where all three are random, none was asked for
    assert len(other) > 300
    assert abs(other.mean() - random) <= 4 * np.sqrt(random / len(other))
    drawn = np.bincount(np.concatenate([actions for actions, _ in sent[:warm]]), minlength=4)
    assert drawn.min() > 0


def test_another_seed_plays_otherwise(sent: list[Any]):
    for seed in (1, 2):
        next(made(seed=seed))
    turns = len(sent) // 2
    assert not np.array_equal([actions for actions, _ in sent[:turns]], [actions for actions, _ in sent[turns : 2 * turns]])


# --- what is learnt from


def test_transitions_follow_the_rules_of_the_game():
    """Catch: one action moves the paddle, the ball falls by one row; caught at the bottom is 1, else -1, and then it is over."""
    experience, kinds = made(warmup=900, replay=1000), set[tuple[bool, float]]()
    for _ in range(60):
        batch = next(experience)
        before, after = batch.frames[:, 0].numpy(), batch.following[:, 0].numpy()
        for number in range(len(before)):
            (row, column), (below, same) = (np.unravel_index(frame[number].argmax(), (16, 16)) for frame in (before, after))
            assert (below, same) == (row + 1, column)
            empty = before[number][:15].sum() == before[number].max()
            paddles = [np.flatnonzero(frame[number][15]) for frame in (before, after)]
            assert empty
            middle = int(np.clip(paddles[0].mean() + int(batch.actions[number]) - 1, 1, 14))
            over = bool(below == 15)
            caught = abs(same - middle) <= 1
            if not over or caught:
                assert paddles[1].tolist() == [middle - 1, middle, middle + 1]
            assert float(batch.factors[number]) == pytest.approx(0 if over else 0.99)
            assert float(batch.returns[number]) == (0 if not over else 1 if caught else -1)
            kinds.add((over, float(batch.returns[number])))
    assert kinds == {(False, 0.0), (True, 1.0), (True, -1.0)}


@pytest.mark.parametrize(("clip", "rewards"), [(True, {0.0, 1.0}), (False, {0.0, 0.3, 1.0})])
def test_rewards_are_clipped_if_asked(clip: bool, rewards: set[float]):
    experience = made(CORRIDOR, clip_reward=clip)
    seen = {round(value, 5) for _ in range(30) for value in next(experience).returns.tolist()}
    assert seen == rewards


def test_time_limits_bootstrap():
    """The corridor's decisions that its limit of five cuts off, and only its ends do not."""
    experience = made(CORRIDOR)
    batches = [next(experience) for _ in range(30)]
    for batch in batches:
        ends = batch.following.reshape(16, 9)[:, [0, 8]].sum(1) == 1
        assert torch.equal(batch.factors == 0, ends)
    assert sum(episode.length == 5 for episode in experience.ended()) > 3


def test_weights_of_prioritised_replay_make_up_for_it_wholly_at_the_end(monkeypatch: pytest.MonkeyPatch):
    experience, betas = made(prioritised=True), list[float]()
    sample = experience.replay.sample

    def noted(rng: np.random.Generator, count: int, beta: float) -> Batch:
        betas.append(beta)
        return sample(rng, count, beta)

    monkeypatch.setattr(experience.replay, "sample", noted)
    for _ in range(100):
        next(experience)
    assert betas == pytest.approx(np.linspace(0.4, 1, 101)[1:])


def test_episodes_are_told_once():
    experience, told = made(CORRIDOR), list[Any]()
    for _ in range(60):
        next(experience)
        told += experience.ended()
    assert experience.ended() == []
    numbers = sorted(episode.number for episode in told)
    assert len({*numbers}) == len(numbers)
    assert numbers[:20] == [*range(20)]


# --- going on


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("catch", {"envs": 8, "every": 2, "prioritised": True, "n_step": 3, "history": 2}),  # several updates in a turn
        ("CartPole-v1", {"envs": 3, "every": 7}),  # several turns an update
        (CORRIDOR, {"envs": 5, "every": 1, "n_step": 2}),
    ],
)
def test_resumed_is_straight_to_the_bit(name: str, act: dict[str, Any], files: bool, tmp_path: Path):
    """Saved after any update: batches, episodes told and epsilon, though the saving one itself goes on for a while, and is killed."""
    act = {"warmup": 120, **act}
    straight = made(name, **act)
    wanted = list[Any]()
    for _ in range(60):
        batch = next(straight)
        straight.replay.learnt(batch.places, batch.returns)
        wanted.append((batch, straight.ended(), straight.epsilon))
    for stop in (1, 2, 31):
        folder = tmp_path / str(stop) if files else None
        saving = made(name, folder=folder, **act)
        for update in range(stop + 10):
            if update == stop:
                torch.save(saving.state_dict(), tmp_path / "state")
            batch = next(saving)
            saving.replay.learnt(batch.places, batch.returns)
            saving.ended()
        resumed = made(name, folder=folder, **act)
        resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
        for batch, ended, epsilon in wanted[stop:]:
            again = next(resumed)
            resumed.replay.learnt(again.places, again.returns)
            for left, right in zip(again, batch, strict=True):
                assert torch.equal(left, right)
            assert resumed.ended() == ended
            assert resumed.epsilon == epsilon


def test_what_was_played_must_still_be_there(tmp_path: Path):
    experience = made(folder=tmp_path)
    next(experience)
    state = experience.state_dict()
    (tmp_path / "frames.bin").unlink()
    with pytest.raises(RunError, match="what was played until then is gone"):
        made(folder=tmp_path).load_state_dict(state)
