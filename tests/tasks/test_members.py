"""Members of an ensemble: each is the plain training of its seed, whoever trains it, alone or as a part of a stack."""

import json
import signal
from dataclasses import replace
from statistics import mean, stdev

import pytest
import torch

from gipi import api
from gipi.config import AugmentConfig, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine.place import decide_place
from gipi.errors import ConfigError, RunError, WeightsError
from gipi.model import load_model, save_model
from gipi.models.ensemble import Ensemble
from gipi.recipes import RECIPES
from gipi.runs import Run, claim
from gipi.tasks import members as tasks
from gipi.tasks.classify import Classify
from gipi.tasks.images import load_images
from gipi.tasks.stacked import StackedClassify
from oracle.stopped import signalled

AUGMENT = AugmentConfig(rotate_deg=10, shift_px=2)
CONFIG = replace(
    RECIPES["deepconvnet-digits"].config,
    net=NetConfig("convstack", {"width": 8}),
    data=DataConfig("digits", batch=20, limit=60, augment=AUGMENT),
    run=RunConfig(epochs=2, seed=5, device="cpu", precision="fp32", members=3),
)
CPU = decide_place(device="cpu", precision="fp32")


def train(out, config=CONFIG, echo=None):
    return api.train(config, out=out, echo=echo, report=False)


def stop_at(member):
    """An echo that stops the training at the first row of that member."""
    sent = []

    def echo(row):
        if row.get("member") == member and not sent:
            sent.append(row)
            signalled(signal.SIGTERM)

    return echo


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An ensemble trained in one go."""
    run = train(tmp_path_factory.mktemp("straight") / "run")
    assert run.ended() == "done"
    return run


def same_model(run, other):
    return run.model_path.read_bytes() == other.model_path.read_bytes()


def test_a_member_is_the_plain_training_of_its_seed(straight, tmp_path):
    plain = train(tmp_path / "plain", replace(CONFIG, run=replace(CONFIG.run, members=1, seed=6)))
    member = Run.open(straight.path / "member-1")
    assert same_model(member, plain)
    assert member.config() == plain.config()
    assert member.config()["run"]["members"] == 1
    assert not same_model(member, Run.open(straight.path / "member-0"))


def test_the_ensemble_holds_its_members_and_their_scores(straight):
    whole = api.load(straight.path)
    assert isinstance(whole.net, Ensemble)
    assert whole.card.members == 3
    members = [api.load(straight.path / f"member-{number}") for number in range(3)]
    test = load_images("digits", "test")
    chances = torch.stack([member.logits(test.images).softmax(1) for member in members]).mean(0)
    right = (chances.argmax(1) == test.labels).float().mean().item()
    rows = straight.rows()
    assert [row["split"] for row in rows].count("test") == 1
    last = rows[-1]
    assert last["accuracy"] == whole.card.metrics["accuracy"] == pytest.approx(right)
    assert last["loss"] == pytest.approx(-chances.gather(1, test.labels[:, None]).log().mean().item(), rel=1e-4)
    alone = [member.card.metrics["accuracy"] for member in members]
    assert (last["member_accuracy"], last["member_spread"]) == (pytest.approx(mean(alone)), pytest.approx(stdev(alone)))
    trained = [Run(straight.path / f"member-{number}").rows() for number in range(3)]
    assert [(row["split"], row["step"]) for row in rows] == [(row["split"], row["step"]) for row in trained[0]]
    assert rows[0]["loss"] == pytest.approx(mean(own[0]["loss"] for own in trained))
    assert rows[-2]["time_s"] == pytest.approx(sum(own[-2]["time_s"] for own in trained), abs=1e-3)
    assert set(whole.card.data) == {"digits/train", "digits/test"}


def test_rows_of_members_are_shown_with_their_number(tmp_path):
    shown = []
    run = train(tmp_path / "run", replace(CONFIG, run=replace(CONFIG.run, epochs=1, members=2)), shown.append)
    assert [row.get("member") for row in shown if row["split"] == "test"] == [0, 1, None]
    assert shown[-1] == run.rows()[-1]


def test_stopped_in_a_member_and_resumed_is_straight(straight, tmp_path):
    run = train(tmp_path / "run", echo=stop_at(1))
    assert (run.ended(), run.why()) == ("stopped", "SIGTERM")
    assert Run(run.path / "member-1").ended() == "stopped"
    assert not (run.path / "member-2").exists()
    resumed = api.resume(run.path, report=False)
    assert resumed.ended() == "done"
    assert same_model(resumed, straight)
    assert all(same_model(Run(run.path / name), Run(straight.path / name)) for name in ("member-0", "member-1", "member-2"))
    with pytest.raises(RunError, match="is done"):
        api.resume(run.path)


def test_what_another_process_has_claimed_is_left_to_it(straight, tmp_path):
    out = tmp_path / "run"
    with claim(out / "member-1"):
        run = train(out)
        assert run.ended() == "running"
        assert [Run(out / f"member-{number}").ended() for number in range(3)] == ["done", "running", "done"]
        assert not run.model_path.exists()
    done = {number: (out / f"member-{number}" / "end.json").read_bytes() for number in (0, 2)}
    assert same_model(api.resume(out, report=False), straight)
    assert all((out / f"member-{number}" / "end.json").read_bytes() == end for number, end in done.items())


def test_another_process_that_finishes_is_left_to_it(straight, tmp_path, monkeypatch):
    """The lock of the whole is held while the last member ends, as by a process that writes the ensemble."""
    out, held = tmp_path / "run", []
    real = tasks.train_one

    def last(config, open_run, report, alone):
        run = real(config, open_run, report, alone=alone)
        if config.run.seed == 7:
            held.append(claim(out))
            assert held[0].__enter__()
        return run

    monkeypatch.setattr(tasks, "train_one", last)
    run = train(out)
    assert not run.model_path.exists()
    held[0].__exit__(None, None, None)
    monkeypatch.undo()
    assert same_model(api.resume(out, report=False), straight)


def test_a_finish_that_was_cut_off_is_done_again(straight, tmp_path, monkeypatch):
    def broken(*_):
        raise RunError("the disk is full")

    real = tasks.conclude
    monkeypatch.setattr(tasks, "conclude", broken)
    with pytest.raises(RunError, match="disk is full"):
        train(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert (run.ended(), run.why()) == ("failed", "RunError: the disk is full")
    monkeypatch.setattr(tasks, "conclude", real)
    api.resume(run.path, report=False)
    assert same_model(run, straight)
    assert len(run.rows()) == len(straight.rows())


def test_impossible_values_leave_nothing_behind(tmp_path):
    for config, says in (
        (replace(CONFIG, run=replace(CONFIG.run, seed=2**31 - 2)), "seed is 2147483648"),
        (replace(CONFIG, data=replace(CONFIG.data, batch=9999)), "batch size 9999 does not fit"),
    ):
        with pytest.raises(ConfigError, match=says):
            train(tmp_path / "run", config)
    for number in (0, 1001):
        with pytest.raises(ConfigError, match=f"members is {number}, allowed are 1 to 1000"):
            RunConfig(members=number)
    assert not list(tmp_path.iterdir())


def test_an_ensemble_of_too_few_nets_is_refused(straight, tmp_path):
    weights, card = load_model(straight.model_path)
    save_model(tmp_path / "m.safetensors", weights, replace(card, members=4))
    with pytest.raises(WeightsError, match=r"missing nets\.3\.features"):
        api.load(tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match="card has 0 members"):
        replace(card, members=0)


# --- several processes


def test_processes_open_the_same_folder(straight, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert same_model(train(tmp_path / "run"), straight)
    ends = (tmp_path / "run" / "end.json").read_bytes()
    assert train(tmp_path / "run").ended() == "done"  # one that started late
    assert api.resume(tmp_path / "run").ended() == "done"
    assert (tmp_path / "run" / "end.json").read_bytes() == ends
    with pytest.raises(RunError, match="already holds another training"):
        train(tmp_path / "run", replace(CONFIG, run=replace(CONFIG.run, seed=6)))


def test_one_process_alone_refuses_a_folder_that_is_taken(straight):
    with pytest.raises(RunError, match="already holds a run"):
        train(straight.path)


def test_processes_need_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.chdir(tmp_path)
    for members in (1, 2):
        with pytest.raises(ConfigError, match=r"2 processes .* give --out FOLDER"):
            train(None, replace(CONFIG, run=replace(CONFIG.run, members=members)))
    assert not list(tmp_path.iterdir())


def test_a_process_takes_the_device_of_its_rank(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [str(decide_place(device=device, precision="fp32").device) for device in ("auto", "cuda", "cuda:0", "cpu")] == [
        "cuda:1",
        "cuda:1",
        "cuda:0",
        "cpu",
    ]


# --- one stacked net

STACKS = {
    "batch norm": replace(CONFIG, net=NetConfig("convstack", {"width": 8})),
    "digitnet": replace(CONFIG, net=NetConfig("digitnet", {"dropout": 0.0})),
    "no batch norm, mixup, smoothing": replace(
        CONFIG,
        net=NetConfig("convstack", {"width": 8, "batch_norm": False}),
        data=replace(CONFIG.data, augment=replace(AUGMENT, mixup=0.2)),
        optim=OptimConfig(label_smoothing=0.1),
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_its_members_trained_apart(name):
    config = replace(STACKS[name], optim=replace(STACKS[name].optim, name="momentum", lr=0.01, schedule="cosine"))
    stack = StackedClassify(config, CPU)
    alone = []
    for member in config.members():
        torch.manual_seed(member.run.seed)
        alone.append(Classify(member, CPU))
    source = stack.source()
    for step in range(4):
        together = stack.step(next(source))
        apart = [task.step(next(task.source())) for task in alone]
        for key in ("loss", "accuracy", "lr"):
            assert together[key].value == pytest.approx(mean(metrics[key].value for metrics in apart), rel=1e-4), (step, key)
    held_out = [task.evaluate() for task in alone]
    assert stack.evaluate()["loss"].value == pytest.approx(mean(metrics["loss"].value for metrics in held_out), rel=1e-4)
    for task, weights in zip(alone, stack._net.weights(), strict=True):
        for key, value in task.model.net.state_dict().items():
            torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}")


@pytest.fixture
def together(monkeypatch):
    monkeypatch.setitem(tasks.TOGETHER, "cpu", True)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_stacked_run_resumes_and_is_an_ensemble(together, tmp_path, monkeypatch, ema):
    config = replace(CONFIG, optim=OptimConfig(ema=ema))
    straight = train(tmp_path / "straight", config)
    assert straight.ended() == "done"
    assert not (straight.path / "member-0").exists()
    whole, last = api.load(straight.path), straight.rows()[-1]
    assert (whole.card.members, last["split"]) == (3, "test")
    assert api.evaluate(straight.path, "digits").metrics["accuracy"].value == pytest.approx(last["accuracy"])
    assert {"member_accuracy", "member_spread"} < set(last)
    assert straight.rows()[0]["split"] == "train"

    run = train(tmp_path / "run", config, stop_at(None))
    assert run.ended() == "stopped"
    monkeypatch.setitem(tasks.TOGETHER, "cpu", False)  # it goes on as it began
    assert same_model(api.resume(run.path, report=False), straight)
    assert not (run.path / "member-0").exists()


def test_what_would_mix_in_a_stack_is_trained_one_after_another(together, tmp_path):
    short = replace(CONFIG, run=replace(CONFIG.run, epochs=1, members=2))
    for name, config in (
        ("clip", replace(short, optim=OptimConfig(clip=1.0))),
        ("parts", replace(short, optim=OptimConfig(accumulate=2))),
        ("weights", replace(short, transfer=TransferConfig("digitnet-tiny-mnist", frozen=1.0))),
    ):
        run = train(tmp_path / name, config)
        assert json.loads((run.path / "member-1" / "end.json").read_text())["status"] == "done"
