"""The law of the loop: N steps are k steps, a stop, a resume and N - k steps, to the bit, for tasks of three different shapes."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gipi.config import OptimConfig
from gipi.engine import measure
from gipi.engine.loop import fit
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful, Task
from gipi.errors import RunError
from gipi.ops.metrics import Mean, Metrics, correct
from gipi.runs import Row, Run

STEPS, EVERY = 12, 4
SEED = 5
PLACE = Place(torch.device("cpu"), "fp32", SEED)
CLOCK = ("time_s", "samples_per_s", "left_s")
MIXED = torch.Generator().manual_seed(0)
IMAGES, LABELS = torch.randn(20, 6, generator=MIXED), torch.randint(3, (20,), generator=MIXED)


class Batch(NamedTuple):
    x: Tensor
    y: Tensor


class Stream:
    """Shuffled batches of 4 of the 20 samples, 5 an epoch, so that an epoch ends inside the training."""

    def __init__(self) -> None:
        self.drawn = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        epoch, position = divmod(self.drawn, 5)
        index = torch.randperm(20, generator=torch.Generator().manual_seed(epoch))[4 * position : 4 * position + 4]
        self.drawn += 1
        return Batch(IMAGES[index], LABELS[index])

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.drawn = state_dict["drawn"]


class Base:
    """What the three tasks share. `meanwhile` is called at the end of every step with the number of steps done in this process."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        self.meanwhile, self.done, self.saved_models = meanwhile, 0, 0

    def parts(self) -> dict[str, Stateful]:
        raise NotImplementedError

    def evaluate(self) -> Metrics:
        return {}

    def save_model(self, path: Path) -> None:
        self.saved_models += 1
        path.write_bytes(b"model")

    def stepped(self, metrics: Metrics) -> Metrics:
        self.done += 1
        self.meanwhile(self.done)
        return metrics


class DropoutClassifier(Base):
    """Draws from torch's own random numbers in every step."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(meanwhile)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        self.optim = Optim(
            self.net, OptimConfig("adamw", lr=0.05, weight_decay=0.1, schedule="one-cycle", clip=1.0), PLACE, STEPS
        )
        self.stream = Stream()

    def parts(self) -> dict[str, Stateful]:
        return {"net": self.net, "optim": self.optim, "stream": self.stream}

    def source(self) -> Iterator[Batch]:
        return self.stream

    def loss(self, part: Batch) -> tuple[Tensor, int, Metrics]:
        scores = self.net(part.x)
        return F.cross_entropy(scores, part.y), len(part.y), {"accuracy": correct(scores.detach(), part.y)}

    def step(self, batch: Batch) -> Metrics:
        return self.stepped(self.optim.minimize(self.loss, batch))

    def evaluate(self) -> Metrics:
        self.net.eval()
        with torch.inference_mode():
            scores = self.net(IMAGES)
        self.net.train()
        return {"accuracy": correct(scores, LABELS)}


class BatchNormGan(Base):
    """Two nets with running statistics, two optimisers, noise from torch's own random numbers."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(meanwhile)
        self.maker = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
        self.judge = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.maker_optim = Optim(self.maker, OptimConfig(lr=0.02), PLACE, STEPS)
        self.judge_optim = Optim(self.judge, OptimConfig(lr=0.01), PLACE, STEPS)
        self.stream = Stream()

    def parts(self) -> dict[str, Stateful]:
        names = ("maker", "judge", "maker_optim", "judge_optim", "stream")
        return {name: getattr(self, name) for name in names}

    def source(self) -> Iterator[Batch]:
        return self.stream

    def judge_loss(self, part: Batch) -> tuple[Tensor, int, Metrics]:
        fake = self.maker(torch.randn(len(part.x), 3)).detach()
        return F.softplus(-self.judge(part.x)).mean() + F.softplus(self.judge(fake)).mean(), len(part.x), {}

    def maker_loss(self, part: Batch) -> tuple[Tensor, int, Metrics]:
        return F.softplus(-self.judge(self.maker(torch.randn(len(part.x), 3)))).mean(), len(part.x), {}

    def step(self, batch: Batch) -> Metrics:
        judged = self.judge_optim.minimize(self.judge_loss, batch)
        made = self.maker_optim.minimize(self.maker_loss, batch)
        return self.stepped({"loss": judged["loss"], "maker_loss": made["loss"]})


class Replay:
    """Walks a ring of 6 places by the net's own choice, half of the time by chance; `next` plays two steps and samples four."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.place, self.memory = net, 0, []
        self.random = torch.Generator().manual_seed(SEED)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        for _ in range(2):
            seen = F.one_hot(torch.tensor(self.place), 6).float()
            with torch.no_grad():
                best = int(self.net(seen[None]).argmax())
            action = int(torch.randint(3, (), generator=self.random)) if torch.rand((), generator=self.random) < 0.5 else best
            self.place = (self.place + action - 1) % 6
            self.memory.append(torch.cat([seen, torch.tensor([float(action), float(self.place == 3)])]))
        rows = torch.stack(self.memory)[torch.randint(len(self.memory), (4,), generator=self.random)]
        return Batch(rows[:, :6], rows[:, 6:])

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "memory": torch.stack(self.memory), "random": self.random.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.place, self.memory = state_dict["place"], list(state_dict["memory"])
        self.random.set_state(state_dict["random"])


class ReplayQ(Base):
    """The data depends on the weights: the source is a replay that is itself a part; a target net follows every third step."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(meanwhile)
        self.net, self.target = (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        self.optim = Optim(self.net, OptimConfig(lr=0.05), PLACE, STEPS)
        self.replay = Replay(self.net)
        self.age = Age()

    def parts(self) -> dict[str, Stateful]:
        return {"net": self.net, "target": self.target, "optim": self.optim, "replay": self.replay, "age": self.age}

    def source(self) -> Iterator[Batch]:
        return self.replay

    def loss(self, part: Batch) -> tuple[Tensor, int, Metrics]:
        value = self.net(part.x).gather(1, part.y[:, :1].long())[:, 0]
        with torch.no_grad():
            want = part.y[:, 1] + 0.9 * self.target(part.x).amax(1)
        return F.smooth_l1_loss(value, want), len(value), {"reward": Mean(part.y[:, 1].sum(), len(value))}

    def step(self, batch: Batch) -> Metrics:
        metrics = self.optim.minimize(self.loss, batch)
        self.age.steps += 1
        if self.age.steps % 3 == 0:
            self.target.load_state_dict(self.net.state_dict())
        return self.stepped(metrics)


class Age:
    steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]


TASKS = [DropoutClassifier, BatchNormGan, ReplayQ]
tasks = pytest.mark.parametrize("kind", TASKS)


def new_run(path: Path) -> Run:
    return Run.create({"recipe": "test"}, path)


def start(
    kind: Callable[..., Task], run: Run, meanwhile: Callable[[int], None] = lambda _: None, every: int = EVERY
) -> tuple[Any, str]:
    """One process's part of a training: everything built anew from the seed, then `fit`."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        task = kind(meanwhile)
        torch.rand(3)  # what was drawn before must not matter for a resumed training
        stopped = fit(task, PLACE, run, STEPS, every)
        task.after = torch.rand(4)  # where the random numbers are when it returns
    return task, stopped


def stop_after(count: int) -> Callable[[int], None]:
    def meanwhile(done: int) -> None:
        if done == count:
            os.kill(os.getpid(), signal.SIGTERM)

    return meanwhile


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested states by its path, tensors as their bytes."""
    if isinstance(value, Tensor):
        return {name: (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes())}
    if isinstance(value, dict):
        return {key: leaf for part in value for key, leaf in flat(value[part], f"{name}.{part}").items()}
    if isinstance(value, list | tuple):
        return {key: leaf for i, part in enumerate(value) for key, leaf in flat(part, f"{name}.{i}").items()}
    return {name: value}


def everything(task: Any) -> dict[str, Any]:
    return flat({**{name: part.state_dict() for name, part in task.parts().items()}, "after": task.after})


def timeless(run: Run) -> list[Row]:
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in run.rows()]


# --- the law


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[dict[str, Any], Run]]:
    """The straight run of each kind of task, done once."""
    done: dict[Any, tuple[dict[str, Any], Run]] = {}

    def get(kind: Any, every: int = EVERY) -> tuple[dict[str, Any], Run]:
        if (kind, every) not in done:
            run = new_run(tmp_path_factory.mktemp("straight") / "run")
            task, stopped = start(kind, run, every=every)
            assert (stopped, task.done) == ("", STEPS)
            done[kind, every] = everything(task), run
        return done[kind, every]

    return get


@tasks
def test_two_straight_runs_are_one(kind: Any, straight: Any, tmp_path: Path):
    run = new_run(tmp_path / "run")
    task, _ = start(kind, run)
    want, want_run = straight(kind)
    assert everything(task) == want
    assert timeless(run) == timeless(want_run)


@tasks
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_stopped_after_k_steps_and_resumed_is_straight(kind: Any, at: int, straight: Any, tmp_path: Path):
    """By a real signal inside step k. every = 4 logs at every step, so the rows are the same ones too."""
    run = new_run(tmp_path / "run")
    task, stopped = start(kind, run, stop_after(at))
    assert (stopped, task.done) == ("SIGTERM", at)
    assert task.saved_models > 0
    task, stopped = start(kind, run)
    assert (stopped, task.done) == ("", STEPS - at)
    want, want_run = straight(kind)
    assert everything(task) == want
    assert timeless(run) == timeless(want_run)


@tasks
@pytest.mark.parametrize("at", range(STEPS))
def test_killed_after_k_steps_and_resumed_is_straight(kind: Any, at: int, straight: Any, tmp_path: Path):
    """Without the mercy of a signal: whatever came after the last save is done again, its rows included."""

    def power_cut(done: int) -> None:
        if done == at + 1:
            raise KeyboardInterrupt

    run = new_run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        start(kind, run, power_cut)
    task, _ = start(kind, run)
    assert task.done == STEPS - at // EVERY * EVERY
    want, want_run = straight(kind)
    assert everything(task) == want
    assert timeless(run) == timeless(want_run)


@tasks
def test_stopped_after_every_single_step_is_straight(kind: Any, straight: Any, tmp_path: Path):
    run = new_run(tmp_path / "run")
    for _ in range(STEPS):
        task, stopped = start(kind, run, stop_after(1))
        assert (stopped, task.done) == ("SIGTERM", 1)
    want, want_run = straight(kind)
    assert everything(task) == want
    assert timeless(run) == timeless(want_run)


@tasks
def test_a_finished_run_does_nothing_more(kind: Any, straight: Any, tmp_path: Path):
    run = new_run(tmp_path / "run")
    start(kind, run)
    before = timeless(run)
    task, stopped = start(kind, run)
    assert (stopped, task.done) == ("", 0)
    assert everything(task) == straight(kind)[0]
    assert timeless(run) == before


@pytest.mark.parametrize("at", [1, 3, 4, 7])
def test_a_stop_between_two_log_steps_leaves_the_rows_as_they_would_have_been(at: int, straight: Any, tmp_path: Path):
    """every = 60 logs at each sixth step: the numbers of a window that a stop cuts in two are still those of the whole window."""
    run = new_run(tmp_path / "run")
    start(DropoutClassifier, run, stop_after(at), every=60)
    task, _ = start(DropoutClassifier, run, every=60)
    want, want_run = straight(DropoutClassifier, 60)
    assert everything(task) == want
    assert [row["step"] for row in want_run.rows() if row["split"] == "train"] == [6, 12]
    assert timeless(run) == timeless(want_run)


def test_the_time_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    def stop_late(done: int) -> None:
        if done == 5:
            Clock.now = 1000.0
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(measure, "time", Clock())
    run = new_run(tmp_path / "run")
    start(DropoutClassifier, run, stop_late)
    Clock.now = 0.0
    start(DropoutClassifier, run)
    times = [row["time_s"] for row in run.rows()]
    assert times == sorted(times)
    assert times[-1] >= 1000


# --- rows


def test_rows_say_what_was_trained(tmp_path: Path):
    shown: list[Row] = []
    run = Run.create({}, tmp_path / "run", shown.append)
    start(DropoutClassifier, run)
    assert shown == run.rows()
    train = [row for row in shown if row["split"] == "train"]
    validation = [row for row in shown if row["split"] == "validation"]
    assert [row["step"] for row in train] == list(range(1, STEPS + 1))
    assert [row["step"] for row in validation] == [4, 8, 12]
    assert {row["steps"] for row in shown} == {STEPS}
    assert {"loss", "accuracy", *CLOCK} <= set(train[0])
    assert all(0 <= row["accuracy"] <= 1 for row in shown)


def test_a_logged_number_is_the_mean_over_its_window(tmp_path: Path):
    every, run = new_run(tmp_path / "every"), new_run(tmp_path / "some")
    start(DropoutClassifier, every)
    start(DropoutClassifier, run, every=60)
    single = [row["loss"] for row in every.rows() if row["split"] == "train"]
    windows = [row["loss"] for row in run.rows() if row["split"] == "train"]
    assert windows == pytest.approx([sum(single[:6]) / 6, sum(single[6:]) / 6], rel=1e-5)


def test_the_last_step_is_a_milestone_even_in_mid_epoch(tmp_path: Path):
    run = new_run(tmp_path / "run")
    start(DropoutClassifier, run, every=5)
    assert [row["step"] for row in run.rows() if row["split"] == "validation"] == [5, 10, 12]
    state = run.load_state()
    assert state is not None
    assert state["step"] == 12


# --- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_named_and_the_handlers_restored(number: signal.Signals, tmp_path: Path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    _, stopped = start(
        DropoutClassifier, new_run(tmp_path / "run"), lambda done: os.kill(os.getpid(), number) if done == 2 else None
    )
    assert stopped == number.name
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_ends_it_as_usual(tmp_path: Path):
    def impatient(done: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start(DropoutClassifier, new_run(tmp_path / "run"), impatient)


def test_the_handlers_are_restored_after_an_error(tmp_path: Path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    def fail(done: int) -> None:
        raise ValueError("a bug in a task")

    with pytest.raises(ValueError, match="a bug"):
        start(DropoutClassifier, new_run(tmp_path / "run"), fail)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_fit_works_outside_the_main_thread(straight: Any, tmp_path: Path):
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(start(DropoutClassifier, new_run(tmp_path / "run"))))
    thread.start()
    thread.join()
    task, stopped = got[0]
    assert stopped == ""
    assert everything(task) == straight(DropoutClassifier)[0]


def lines_of_fit(act: Callable[[int], None], code: Any = fit.__code__) -> Callable[..., Any]:
    """A tracer that calls `act` with a running number before each line of `fit` that is run."""
    count = 0

    def local(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            act(count)
        return local

    return lambda frame, event, _: local if frame.f_code is code else None


def traced(tracer: Callable[..., Any], action: Callable[[], Any]) -> Any:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return action()
    finally:
        sys.settrace(before)


def test_a_signal_at_any_line_of_the_loop_loses_no_step_and_no_row(straight: Any, tmp_path: Path):
    """The signal is raised before the n-th line that `fit` runs, for every n of the first steps and the first save."""
    want, want_run = straight(DropoutClassifier, 60)
    lines: list[int] = []
    guard = signal.signal(signal.SIGTERM, lambda *_: None)  # before and behind the handler of fit
    try:
        n = 0
        while True:
            n += 1
            run = new_run(tmp_path / f"{n}")
            hit = lambda count, n=n: signal.raise_signal(signal.SIGTERM) if count == n else None  # noqa: E731
            task, stopped = traced(lines_of_fit(hit), lambda run=run: start(DropoutClassifier, run, every=60))
            if not stopped:
                lines.append(n)
                assert task.done == STEPS
                if len(lines) > 8 and n > 40:
                    break
                continue
            state = run.load_state()
            assert (state["step"] if state else 0) == task.done, f"line {n}: {task.done} steps done"
            task, _ = start(DropoutClassifier, run, every=60)
            assert everything(task) == want
            assert [row for row in timeless(run) if row["split"] == "validation"] == [
                row for row in timeless(want_run) if row["split"] == "validation"
            ]
            assert {row["step"] for row in timeless(run)} >= {6, 12}
    finally:
        signal.signal(signal.SIGTERM, guard)


# --- numbers that are not finite


class Diverging(DropoutClassifier):
    """After `at` steps something is not finite: the loss, an update's outcome, or the score."""

    def __init__(
        self, meanwhile: Callable[[int], None] = lambda _: None, *, what: str = "", at: int = 6, value: float = math.nan
    ) -> None:
        super().__init__(meanwhile)
        self.what, self.at, self.value = what, at, value

    def loss(self, part: Batch) -> tuple[Tensor, int, Metrics]:
        loss, count, metrics = super().loss(part)
        bad = self.what == "loss" and self.done == self.at - 1
        return (loss * self.value if bad else loss), count, metrics

    def step(self, batch: Batch) -> Metrics:
        metrics = super().step(batch)
        if self.what == "weight" and self.done == self.at:
            with torch.no_grad():
                self.net[0].weight[1, 2] = self.value  # pyright: ignore
        return metrics

    def evaluate(self) -> Metrics:
        return {"accuracy": Mean(self.value, 1)} if self.what == "score" and self.done >= self.at else super().evaluate()


@pytest.mark.parametrize("every", [4, 60])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_it_and_the_last_good_state_stays(value: float, every: int, straight: Any, tmp_path: Path):
    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"step 6: .*'loss': .*(nan|inf).*optim\.(lr|clip)"):
        start(lambda m: Diverging(m, what="loss", value=value), run, every=every)
    assert all(math.isfinite(v) for row in run.rows() for v in row.values() if isinstance(v, float))
    state = run.load_state()
    assert (state["step"] if state else 0) == 6 // every * every
    task, _ = start(DropoutClassifier, run, every=every)
    assert everything(task) == straight(DropoutClassifier, every)[0]


@pytest.mark.parametrize("at", [4, 8, STEPS])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_not_saved(value: float, at: int, straight: Any, tmp_path: Path):
    """In the very last update before a save, so that no loss has told of it yet; the score does not see it either."""

    class Blind(Diverging):
        def evaluate(self) -> Metrics:
            return {}

    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match=f"step {at}: .*not finite"):
        start(lambda m: Blind(m, what="weight", at=at, value=value), run)
    state = run.load_state()
    assert (state["step"] if state else 0) == at - EVERY
    task, _ = start(DropoutClassifier, run)
    assert everything(task) == straight(DropoutClassifier)[0]


def test_a_score_that_is_not_finite_ends_it_before_it_is_saved(tmp_path: Path):
    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"step 8: .*'accuracy': nan"):
        start(lambda m: Diverging(m, what="score"), run)
    state = run.load_state()
    assert state is not None
    assert state["step"] == 4


def test_a_signal_does_not_save_what_is_not_finite(tmp_path: Path):
    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match="step 6"):
        start(lambda m: Diverging(stop_after(6), what="weight", value=math.inf), run)
    state = run.load_state()
    assert state is not None
    assert state["step"] == 4


# --- a state that does not belong to the task


@pytest.mark.parametrize("other", [BatchNormGan, ReplayQ])
def test_the_state_of_another_task_is_an_error_of_ours(other: Any, tmp_path: Path):
    run = new_run(tmp_path / "run")
    start(other, run, stop_after(2))
    with pytest.raises(RunError, match="state"):
        start(DropoutClassifier, run)


def test_the_state_of_a_net_of_another_size_is_an_error_of_ours(tmp_path: Path):
    class Larger(DropoutClassifier):
        def __init__(self, meanwhile: Callable[[int], None]) -> None:
            super().__init__(meanwhile)
            self.net[0] = nn.Linear(6, 9)

    run = new_run(tmp_path / "run")
    start(DropoutClassifier, run, stop_after(2))
    with pytest.raises(RunError, match="state"):
        start(Larger, run)
