"""The replay against a twin that keeps whole stacks of frames, episode by episode, in Python lists."""

from __future__ import annotations

import copy
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.envs.replay import Batch, Replay
from gipi.errors import ConfigError, RunError

FRAME = (2, 1, 3)
DISCOUNT = 0.9


@dataclass
class Episode:
    """What a net saw, decision by decision, then what was done and what it brought. ended: by the task, or cut."""

    stacks: list[np.ndarray] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    over: bool = False


class Wanted(NamedTuple):
    frames: np.ndarray
    action: int
    returns: float
    following: np.ndarray
    factor: float


class Twin:
    """Plays random episodes into a replay and remembers all of them; `at[row]` says where in which episode each environment was."""

    def __init__(
        self, rng: np.random.Generator, envs: int, history: int, n_step: int, *, length: float = 4.0, pixels: bool = True
    ):
        self._rng, self._envs, self._history, self._n_step, self._pixels = rng, envs, history, n_step, pixels
        self._ends = rng.uniform(0.5, 2, envs) / length  # the environments' episodes differ in length
        self._now = [Episode() for _ in range(envs)]
        self.at = list[list[tuple[Episode, int]]]()

    def row(self, *replays: Replay, fails: bool = False) -> None:
        """One more row. fails: an environment raises an error, which cuts all episodes."""
        rng, first = self._rng, np.zeros((self._history, *FRAME))
        self._now = [Episode() if episode.over else episode for episode in self._now]
        frames = rng.integers(1, 256, (self._envs, *FRAME))
        for episode, frame in zip(self._now, frames, strict=True):
            before = episode.stacks[-1].reshape(first.shape) if episode.stacks else first
            episode.stacks.append(np.concatenate([before[1:], frame[None]]).reshape(-1, *FRAME[1:]))
        ages = np.array([len(episode.actions) for episode in self._now])
        cut = (rng.random(self._envs) < self._ends / 2) & (ages > 0)
        final = np.array([episode.terminated for episode in self._now]) | cut
        self.at.append([*zip(self._now, ages.tolist(), strict=True)])
        for replay in replays:
            replay.see(frames.astype(np.uint8 if self._pixels else np.float32), ages, final)
            assert np.array_equal(replay.stacked().numpy(), [episode.stacks[-1] for episode in self._now])
        for episode, end in zip(self._now, final.tolist(), strict=True):
            episode.over = end or fails
        if fails:
            for replay in replays:
                replay.forget()
            return
        actions, terminated = rng.integers(0, 300, self._envs), (rng.random(self._envs) < self._ends / 2) & ~final
        rewards = np.where(final, 0, rng.normal(size=self._envs)).astype(np.float32)
        for episode, *done in zip(self._now, actions.tolist(), rewards.tolist(), terminated.tolist(), strict=True):
            if not episode.over:  # a resting environment takes no action
                episode.actions.append(done[0])
                episode.rewards.append(done[1])
                episode.terminated = done[2]
        for replay in replays:
            replay.note(actions, rewards, terminated)

    def can_be_drawn(self, capacity: int) -> dict[tuple[int, int], Wanted]:
        """By (row, environment): what lies in the last `capacity` places of which all is known."""
        high = len(self.at) - self._n_step
        rows = range(max(0, high - math.ceil(capacity / self._envs)), max(0, high))
        every = {(row, env): self._wanted(*self.at[row][env]) for row in rows for env in range(self._envs)}
        return {place: wanted for place, wanted in every.items() if wanted is not None}

    def _wanted(self, episode: Episode, begin: int) -> Wanted | None:
        if begin == len(episode.actions):  # nothing was done there
            return None
        end = min(begin + self._n_step, len(episode.actions))
        returns = sum(DISCOUNT ** (step - begin) * episode.rewards[step] for step in range(begin, end))
        over = episode.terminated and end == len(episode.actions)
        return Wanted(
            episode.stacks[begin],
            episode.actions[begin],
            returns,
            episode.stacks[end],
            0.0 if over else DISCOUNT ** (end - begin),
        )


def made(capacity: int, envs: int, history: int, n_step: int, *, pixels: bool = True, prioritised: bool = False, slack: int = 0):
    return Replay(
        capacity,
        envs,
        FRAME,
        pixels=pixels,
        history=history,
        n_step=n_step,
        discount=DISCOUNT,
        prioritised=prioritised,
        slack=slack,
    )


def places(replay: Replay, twin: Twin, batch: Batch, envs: int) -> list[tuple[int, int]]:
    """The rows, counted from the first ever, and environments of a batch, from where it lies in the ring."""
    rows = replay._rows
    last = len(twin.at) - 1
    return [(last - (last - place // envs) % rows, place % envs) for place in batch.places.tolist()]


def same(batch: Batch, number: int, wanted: Wanted) -> None:
    assert np.array_equal(batch.frames[number].numpy(), wanted.frames)
    assert np.array_equal(batch.following[number].numpy(), wanted.following)
    assert int(batch.actions[number]) == wanted.action
    assert float(batch.returns[number]) == pytest.approx(wanted.returns, abs=1e-5)
    assert float(batch.factors[number]) == pytest.approx(wanted.factor, abs=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    envs=st.integers(1, 4),
    history=st.integers(1, 4),
    n_step=st.integers(1, 4),
    rows=st.integers(4, 12),
    slack=st.integers(0, 5),
    length=st.sampled_from([1.5, 4.0, 30.0]),
    prioritised=st.booleans(),
    pixels=st.booleans(),
)
def test_every_transition_is_the_twins_and_every_one_is_drawn(
    seed: int, envs: int, history: int, n_step: int, rows: int, slack: int, length: float, prioritised: bool, pixels: bool
):
    """In a ring that is filled several times over, at any moment: none across an episode's border, none older than the capacity."""
    rng = np.random.default_rng(seed)
    capacity = rows * envs - int(rng.integers(0, envs))  # no multiple of the environments
    replay = made(capacity, envs, history, n_step, pixels=pixels, prioritised=prioritised, slack=slack)
    twin = Twin(rng, envs, history, n_step, length=length, pixels=pixels)
    for turn in range(5 * replay._rows):
        twin.row(replay, fails=rng.random() < 0.05)
        wanted = twin.can_be_drawn(capacity)
        if turn % 7 or not wanted:
            continue
        count = len(wanted) if prioritised else 14 * len(wanted) + 50
        batch = replay.sample(rng, count)  # of equal priorities one part of the sum each
        drawn = places(replay, twin, batch, envs)
        assert {*drawn} == {*wanted}
        for number in range(min(count, 25)):
            same(batch, number, wanted[drawn[number]])
        assert (batch.weights == 1).all()


@pytest.mark.parametrize("n_step", [1, 3])
def test_time_limits_bootstrap_from_the_true_last_frame_and_ends_do_not(n_step: int):
    """Two environments, one cut after three decisions, the other over."""
    replay = made(40, 2, 2, n_step)
    shown = np.arange(1, 9).reshape(4, 2, 1, 1, 1) * np.ones((1, 1, *FRAME), int)
    for age in range(4):
        replay.see(shown[age].astype(np.uint8), np.full(2, age), np.full(2, age == 3))
        replay.note(np.full(2, age), np.full(2, 10.0**age * (age < 3)), np.array([False, age == 2]))
    for _ in range(n_step):
        replay.see(np.zeros((2, *FRAME), np.uint8), np.zeros(2, int), np.zeros(2, bool))
        replay.note(np.zeros(2, int), np.zeros(2), np.zeros(2, bool))
    batch = replay.sample(np.random.default_rng(0), 400)
    last = batch.actions == 2
    cut, over = last & (batch.places % 2 == 0), last & (batch.places % 2 == 1)
    assert cut.sum() > 10 < over.sum()
    assert batch.factors[cut].numpy() == pytest.approx(DISCOUNT, abs=1e-6)
    assert (batch.factors[over] == 0).all()
    assert (batch.returns[last] == 100).all()
    assert (batch.following[cut, :2] == shown[2, 0, 0, 0, 0]).all()
    assert (batch.following[cut, 2:] == shown[3, 0, 0, 0, 0]).all(), "not the frame of the episode that follows"


def test_drawn_by_priority_with_the_papers_weights():
    """Against a table of priorities in Python: (|error| + 1e-6) ** 0.6, new ones the greatest ever, weights (N P) ** -beta."""
    rng = np.random.default_rng(3)
    envs, capacity, n_step = 3, 30, 2
    replay, twin = made(capacity, envs, 2, n_step, prioritised=True), Twin(rng, envs, 2, n_step)
    table, greatest, counts = dict[tuple[int, int], float](), 1.0, dict[tuple[int, int], int]()
    for _ in range(60):
        twin.row(replay)
        wanted = twin.can_be_drawn(capacity)
        table = {place: table.get(place, greatest) for place in wanted}
        if not wanted:
            continue
        batch = replay.sample(rng, 16, beta=0.7)
        drawn = places(replay, twin, batch, envs)
        total = sum(table.values())
        weights = [(len(table) * table[place] / total) ** -0.7 for place in drawn]
        assert batch.weights.numpy() == pytest.approx(np.array(weights) / max(weights), rel=1e-5)
        errors = rng.standard_cauchy(16)
        replay.learnt(batch.places, torch.from_numpy(errors))
        for place, error in zip(drawn, errors, strict=True):
            table[place] = (abs(error) + 1e-6) ** 0.6
        greatest = max(greatest, *((abs(error) + 1e-6) ** 0.6 for error in errors))
    for _ in range(400):
        for place in places(replay, twin, replay.sample(rng, 32), envs):
            counts[place] = counts.get(place, 0) + 1
    total = sum(table.values())
    for place, priority in table.items():
        expected = 400 * 32 * priority / total
        assert abs(counts.get(place, 0) - expected) < 6 * math.sqrt(expected) + 1


def test_errors_change_nothing_where_all_are_drawn_alike():
    rng = np.random.default_rng(4)
    replay, twin = made(30, 2, 1, 1), Twin(rng, 2, 1, 1)
    for _ in range(20):
        twin.row(replay)
    first = replay.sample(np.random.default_rng(1), 32)
    replay.learnt(first.places, torch.full((32,), 1e6))
    assert torch.equal(replay.sample(np.random.default_rng(1), 32).places, first.places)


def test_how_many_can_be_drawn():
    replay, twin = made(24, 3, 4, 2), Twin(np.random.default_rng(0), 3, 4, 2)
    assert len(replay) == 0
    for seen in range(1, 40):
        twin.row(replay)
        assert len(replay) == 3 * min(8, max(0, seen - 2))


# --- in files


def equal(one: Batch, other: Batch) -> None:
    for field_, left, right in zip(Batch._fields, one, other, strict=True):
        assert torch.equal(left, right), field_


@pytest.mark.parametrize("prioritised", [False, True])
def test_in_files_as_in_memory(prioritised: bool, tmp_path: Path):
    rng = np.random.default_rng(5)
    here, there = (made(40, 2, 3, 2, prioritised=prioritised, slack=4) for _ in range(2))
    there.store.open(tmp_path / "replay")
    twin = Twin(rng, 2, 3, 2)
    for turn in range(80):
        twin.row(here, there, fails=turn == 50)
        if turn > 5:
            batches = [replay.sample(np.random.default_rng(turn), 16, 0.5) for replay in (here, there)]
            equal(*batches)
            for replay in (here, there):
                replay.learnt(batches[0].places, torch.from_numpy(np.random.default_rng(turn).normal(size=16)))
    assert sum(file.stat().st_size for file in (tmp_path / "replay").iterdir()) == there.store.bytes == here.store.bytes
    assert not there.state_dict()["store"], "what lies in files is not saved again"


@pytest.mark.parametrize("prioritised", [False, True])
@pytest.mark.parametrize("written", [0, 1, 7])
def test_what_a_saved_state_refers_to_is_there_after_a_kill(prioritised: bool, written: int, tmp_path: Path):
    """As many rows as the slack allows are written after the save; then the process is gone, and another one goes on."""
    rng = np.random.default_rng(6)
    for rows in (9, 30, 61):  # before and after the ring is full
        folder = tmp_path / str(rows)
        replay, twin = made(36, 2, 4, 3, prioritised=prioritised, slack=7), Twin(rng, 2, 4, 3)
        replay.store.open(folder)
        for _ in range(rows):
            twin.row(replay)
        batch = replay.sample(rng, 32)
        replay.learnt(batch.places, torch.from_numpy(rng.normal(size=32)))
        torch.save(replay.state_dict(), folder / "state")
        before = [replay.sample(np.random.default_rng(seed), 64, 0.6) for seed in range(3)]
        stacks, at = replay.stacked(), [*twin.at]
        for _ in range(written):
            twin.row(replay)
        again = made(36, 2, 4, 3, prioritised=prioritised, slack=7)
        again.store.open(folder)
        again.load_state_dict(torch.load(folder / "state", weights_only=True))
        for seed, batch in enumerate(before):
            equal(again.sample(np.random.default_rng(seed), 64, 0.6), batch)
        assert torch.equal(again.stacked(), stacks)
        twin.at = at
        assert {*places(again, twin, again.sample(rng, 2000), 2)} == {*twin.can_be_drawn(36)} or prioritised


def test_more_rows_than_the_slack_would_be_noticed_here(tmp_path: Path):
    """The test above can fail."""
    replay, twin = made(36, 2, 4, 3, slack=0), Twin(np.random.default_rng(7), 2, 4, 3)
    replay.store.open(tmp_path)
    for _ in range(61):
        twin.row(replay)
    state, before = replay.state_dict(), replay.sample(np.random.default_rng(0), 64)
    for _ in range(7):
        twin.row(replay)
    replay.load_state_dict(state)
    assert not torch.equal(replay.sample(np.random.default_rng(0), 64).frames, before.frames)


@pytest.mark.parametrize("prioritised", [False, True])
def test_a_state_in_memory_goes_on_to_the_bit(prioritised: bool, tmp_path: Path):
    rng = np.random.default_rng(8)
    straight, twin = made(30, 3, 2, 2, prioritised=prioritised), Twin(rng, 3, 2, 2)
    for _ in range(23):
        twin.row(straight)
    torch.save(straight.state_dict(), tmp_path / "state")
    resumed = made(30, 3, 2, 2, prioritised=prioritised)
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for turn in range(40):
        equal(*(replay.sample(np.random.default_rng(turn), 16) for replay in (straight, resumed)))
        twin.row(straight, resumed)


def test_a_saved_state_is_a_copy():
    rng = np.random.default_rng(9)
    replay, twin = made(30, 2, 2, 1, prioritised=True), Twin(rng, 2, 2, 1)
    for _ in range(20):
        twin.row(replay)
    state = replay.state_dict()
    frozen: dict[str, Any] = copy.deepcopy(state)
    for _ in range(10):
        twin.row(replay)
    assert all(torch.equal(kept, frozen["store"][name]) for name, kept in state["store"].items())
    assert torch.equal(state["priorities"]["priorities"], frozen["priorities"]["priorities"])


def with_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))


def test_a_disk_too_small_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replay = Replay(1_000_000, 8, (1, 84, 84), pixels=True, history=4)
    assert replay.store.bytes < 7.5e9
    with_room(monkeypatch, 5_000_000_000)
    with pytest.raises(ConfigError, match=r"has room for 5\.0 GB, but .* takes 7\.1: lower --act\.replay, or .* --out"):
        replay.store.open(tmp_path / "replay")
    assert not [*(tmp_path / "replay").glob("*.bin")]


def test_files_that_are_there_already_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A resume on a disk that the run itself has filled."""
    replay, twin = made(50_000, 2, 1, 1), Twin(np.random.default_rng(0), 2, 1, 1)
    replay.store.open(tmp_path)
    for array in replay.store.arrays.values():
        array[...] = 1
    twin.row(replay)
    state = replay.state_dict()
    with_room(monkeypatch, 0)
    again = made(50_000, 2, 1, 1)
    again.store.open(tmp_path)
    again.load_state_dict(state)
    assert torch.equal(again.stacked(), replay.stacked())


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "replay").write_text("a file")
    with pytest.raises(RunError, match="cannot keep the replay in"):
        made(30, 2, 1, 1).store.open(tmp_path / "replay")


def test_a_replay_larger_than_memory_is_no_matter_in_files():
    """Nothing is taken before it is known where it shall lie."""
    Replay(10**9, 8, (1, 84, 84), pixels=True, history=4)


@pytest.mark.parametrize("broken", ["frames", "final"])
def test_files_that_are_gone_or_cut_are_noticed(broken: str, tmp_path: Path):
    replay = made(30, 2, 1, 1)
    replay.store.open(tmp_path)
    assert not replay.store.found
    again = made(30, 2, 1, 1)
    again.store.open(tmp_path)
    assert again.store.found
    with open(tmp_path / f"{broken}.bin", "r+b") as file:
        file.truncate(10)
    again.store.open(tmp_path)
    assert not again.store.found
