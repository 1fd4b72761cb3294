"""Playing: every episode against one played by itself in plain loops, whatever is asked wrongly, a game to watch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gipi.config import ActConfig, Config, DataConfig, NetConfig, RunConfig
from gipi.engine.place import decide_place
from gipi.envs.find import open_envs
from gipi.envs.played import RANDOM, TEST, VALIDATION, Played, seeds
from gipi.errors import ConfigError
from gipi.tasks import player as module
from gipi.tasks.act_start import begin
from gipi.tasks.player import Player
from oracle.environments import CORRIDOR

CPU = decide_place(device="cpu", precision="fp32")
NETS = {"catch": "dqn-small", "snake": "dqn-small", "CartPole-v1": "dqn-mlp", CORRIDOR: "dqn-mlp"}


def made(name: str, history: int = 2, **act: Any) -> Player:
    """An untrained player whose values differ enough to tell actions apart."""
    torch.manual_seed(3)
    config = Config(
        kind="act",
        net=NetConfig(NETS[name]),
        data=DataConfig(name),
        act=ActConfig(history=history, **act),
        run=RunConfig(device="cpu", precision="fp32"),
    )
    envs = open_envs(name, 1)
    net, card = begin(config, envs)
    return Player(net.eval(), card, CPU)


def brute(player: Player, name: str, number: int, actions: list[int], *, purpose: int = TEST) -> tuple[list[Any], ...]:
    """(actions of the highest values, highest values, rewards, discounted returns) of an episode played by itself."""
    envs = open_envs(name, 1)
    frame = envs.reset(np.zeros(1, int), seeds(5, purpose, np.array([number])))[0]
    history = player.card.image[0] // len(frame)
    shown, best, highest, rewards, over, cut = [np.zeros_like(frame)] * history, [], [], [], False, False
    for action in [*actions, None]:
        shown = [*shown[1:], frame]
        with torch.no_grad():
            values = player.net(torch.from_numpy(np.concatenate(shown))[None].float())[0]
        best.append(int(values.argmax()))
        highest.append(float(values.max()))
        if action is not None:
            assert not over | cut
            envs.send(np.array([action]))
            seen = envs.receive()
            frame, over, cut = seen.frames[0], bool(seen.terminated[0]), bool(seen.truncated[0])
            rewards.append(float(seen.rewards[0]))
    assert over | cut, "the episode is not over"
    clipped = [float(np.sign(reward)) if player.card.clip_reward else reward for reward in rewards]
    follows, returns = 0.0 if over else highest[-1], []
    for reward in reversed(clipped):
        follows = reward + player.card.discount * follows
        returns.append(follows)
    return best[:-1], highest[:-1], rewards, returns[::-1]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[int]]:
    """What was done in each episode, by its number, as it is played."""
    actions, send = dict[int, list[int]](), Played.send

    def noted(self: Played, chosen: np.ndarray) -> None:
        for env in np.flatnonzero(~self.resting):
            actions.setdefault(int(self._episodes[env]), []).append(int(chosen[env]))
        send(self, chosen)

    monkeypatch.setattr(Played, "send", noted)
    return actions


@pytest.mark.parametrize(
    ("name", "epsilon", "act"),
    [
        ("catch", 0.0, {}),
        ("catch", 0.3, {}),
        ("snake", 0.3, {"discount": 0.9}),
        ("CartPole-v1", 0.3, {"clip_reward": False}),
        (CORRIDOR, 0.0, {"discount": 0.8, "clip_reward": False}),
        (CORRIDOR, 0.5, {"discount": 0.8}),
    ],
)
def test_every_episode_is_the_one_played_by_itself(name: str, epsilon: float, act: dict[str, Any], log: dict[int, list[int]]):
    """Also what was foreseen and what came, of all states of these episodes and no others; a time limit's end counts its value."""
    player = made(name, **act)
    games = player.play(11, epsilon=epsilon, seed=5)
    assert [episode.number for episode in games.episodes] == [*range(11)]
    predicted, realised, greedy = list[float](), list[float](), list[bool]()
    for episode in games.episodes:
        best, highest, rewards, returns = brute(player, name, episode.number, log[episode.number])
        assert (episode.length, episode.reward) == (len(rewards), pytest.approx(sum(rewards), abs=1e-4))
        assert episode.clipped == sum(np.sign(rewards))
        predicted += highest
        realised += returns
        greedy += [action == wanted for action, wanted in zip(log[episode.number], best, strict=True)]
    assert games.predicted == pytest.approx(np.mean(predicted), abs=1e-4)
    assert games.realised == pytest.approx(np.mean(realised), abs=1e-4)
    random = epsilon * (1 - 1 / len(player.card.classes))
    assert abs(1 - np.mean(greedy) - random) <= 4 * np.sqrt(random / len(greedy))
    metrics = {key: mean.value for key, mean in games.metrics.items()}
    assert metrics["return"] == pytest.approx(np.mean(games.returns))
    assert metrics["spread"] == pytest.approx(np.std(games.returns))
    assert metrics["length"] == pytest.approx(np.mean(games.lengths))
    assert metrics["drift"] == pytest.approx(games.predicted - games.realised)


@pytest.mark.parametrize("name", ["catch", CORRIDOR])
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 1.0])
def test_the_same_again_and_other_seeds_are_others(name: str, epsilon: float):
    player = made(name)
    first = player.play(10, epsilon=epsilon, seed=5)
    assert player.play(10, epsilon=epsilon, seed=5).episodes == first.episodes
    others = [player.play(10, epsilon=epsilon, seed=5, purpose=VALIDATION), player.play(10, epsilon=epsilon, seed=6)]
    assert sum(other.episodes != first.episodes for other in others) >= (
        1 if epsilon == 1 else 2
    )  # random play has a purpose of its own


@pytest.mark.parametrize("name", ["catch", "snake", CORRIDOR])
def test_how_many_are_played_at_once_does_not_matter_to_a_greedy_player(name: str, monkeypatch: pytest.MonkeyPatch):
    player, seen = made(name), list[Any]()
    for at_once in (1, 3, 8):
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        games = player.play(9, epsilon=0.0, seed=5)
        seen.append((games.episodes, pytest.approx(games.predicted, abs=1e-4), pytest.approx(games.realised, abs=1e-4)))
    assert seen[0] == seen[1] == seen[2]
    assert player.play(4, epsilon=0.0, seed=5).episodes == seen[0][0][:4]


def test_random_play_never_asks_the_net(monkeypatch: pytest.MonkeyPatch, log: dict[int, list[int]]):
    player = made("catch")
    monkeypatch.setattr(player, "net", None)
    games = player.play(40, epsilon=1.0, seed=5)
    assert np.isnan(games.predicted)
    assert {"predicted", "realised", "drift"}.isdisjoint(games.metrics)
    counts = np.bincount([action for number in range(40) for action in log[number]], minlength=3)
    assert counts.sum() == 40 * 15
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200 * 2 / 3)
    again = made("catch").play(40, epsilon=1.0, seed=5, purpose=RANDOM)
    assert again.episodes == games.episodes


def test_the_nets_modes_stay_as_they_are():
    player = made("catch")
    player.net.train()
    player.play(2, seed=5)
    assert player.net.training


def test_values_of_pixels_in_any_format():
    player = made("catch")
    shown = torch.randint(0, 256, (5, *player.card.image), dtype=torch.uint8)
    torch.testing.assert_close(player.values(shown), player.values(shown.float()), rtol=0, atol=1e-5)
    assert player.values(shown).dtype == torch.float32
    bf16 = Player(player.net, player.card, replace(CPU, precision="bf16"))
    torch.testing.assert_close(bf16.values(shown), player.values(shown), rtol=0.1, atol=0.1)


# --- one game to watch


@pytest.mark.parametrize(("name", "epsilon"), [("catch", 0.0), (CORRIDOR, 0.5), ("CartPole-v1", 0.0)])
def test_a_game_is_told_moment_by_moment(name: str, epsilon: float):
    player = made(name)
    moments = [*player.game(seed=5, epsilon=epsilon)]
    total, stack = 0.0, torch.zeros(1, *player.card.image)
    for step, moment in enumerate(moments):
        total += moment.reward
        assert (moment.step, moment.total) == (step, pytest.approx(total))
        channels = len(moment.stacked[0]) // 2
        assert torch.equal(moment.stacked[:, :channels].float(), stack[:, channels:]), "not the frame before"
        stack = moment.stacked.float()
        torch.testing.assert_close(moment.values, player.values(moment.stacked)[0], rtol=0, atol=1e-5)
        assert moment.chance or moment.action == int(moment.values.argmax())
        assert moment.picture.dtype == np.uint8
        assert moment.picture.shape == moments[0].picture.shape
    assert not torch.equal(moments[0].stacked, moments[1].stacked)
    again = [*player.game(seed=5, epsilon=epsilon)]
    assert [moment.action for moment in again] == [moment.action for moment in moments]
    assert [moment.action for moment in player.game(seed=5, epsilon=epsilon, most=2)] == [moment.action for moment in moments[:2]]
    if name == "catch":
        assert len(moments) == 15
        assert moments[-1].reward in (-1, 1)


# --- what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"episodes": 0}, "--episodes is 0, allowed are 1 to 100,000"),
        ({"episodes": 100_001}, "--episodes is 100001"),
        ({"epsilon": -0.1}, r"--epsilon is -0\.1, allowed are 0 to 1"),
        ({"epsilon": float("nan")}, "--epsilon is nan"),
        ({"seed": -1}, "--seed is -1, allowed are 0 to"),
        ({"seed": 2**31}, "--seed is 2147483648"),
        ({"environment": "snake"}, "snake shows 1x12x12 and takes .*; the model was trained on catch: 2x16x16 with its history"),
        ({"environment": "CartPole-v1"}, "CartPole-v1 shows 4x1x1 and takes left, right; the model was trained on catch"),
        ({"environment": "nonsense"}, "no environment 'nonsense'"),
    ],
)
def test_what_is_asked_wrongly(given: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        made("catch").play(**{"episodes": 2, **given})


@pytest.mark.parametrize("most", [0, 1_000_001])
def test_games_of_no_length(most: int):
    with pytest.raises(ConfigError, match=f"--steps is {most}, allowed are 1 to 1,000,000"):
        next(made("catch").game(most=most))
