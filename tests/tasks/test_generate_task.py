"""Training a generator: the laws of any training, the paper's step by hand, what is noticed, what it refuses."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from gipi import api
from gipi.config import AugmentConfig, Config, DataConfig, GanConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.engine.agree import everyone
from gipi.engine.place import decide_place
from gipi.engine.ranks import joined
from gipi.errors import ConfigError, GipiWarning, RunError
from gipi.model import read_card
from gipi.runs import Run
from gipi.tasks import generate as module
from gipi.tasks.generate import NOISE, Generate
from gipi.tasks.generator import Generator
from gipi.tasks.training import new_task
from oracle.ranks import in_ranks
from oracle.stopped import train

CPU = decide_place(device="cpu", precision="fp32")
CLOCK = ("time_s", "samples_per_s", "left_s")
pytestmark = pytest.mark.filterwarnings("ignore:.*(diversity|share|collapse|alike|class).*:gipi.errors.GipiWarning")


@pytest.fixture
def config() -> Config:
    return Config(
        kind="generate",
        net=NetConfig("dcgan", {"width": 4, "noise": 8}),
        data=DataConfig("digits", batch=16, holdout=0.2, limit=96),
        optim=OptimConfig("adam", lr=1e-3, beta1=0.5, schedule="cosine", ema=0.9),
        gan=GanConfig(conditional=True, samples=60),
        run=RunConfig(epochs=2, device="cpu", precision="fp32", seed=1),
    )  # 6 steps an epoch


def rows(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in Run.open(path).rows()]


# --- the laws of any training


@pytest.mark.parametrize("gan", [GanConfig(conditional=True, samples=60), GanConfig("hinge", spectral_norm=True, samples=60)])
def test_resumed_is_straight_to_the_bit(config: Config, gan: GanConfig, tmp_path: Path):
    """Both nets, both optimisers, the average, the best weights and the pictures of the same noise, stopped twice."""
    config = replace(
        config, gan=gan, data=replace(config.data, augment=AugmentConfig(shift_px=2)), run=replace(config.run, epochs=3)
    )
    train(0, config, tmp_path / "straight")
    for step in (6, 12):
        with pytest.raises(RunError, match="stop here"):
            train(0, config, tmp_path / "stopped", step)
    train(0, config, tmp_path / "stopped")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
    states = [torch.load(tmp_path / name / "state-0.pt", weights_only=True)["parts"] for name in ("straight", "stopped")]
    assert {*states[0]} == {"net", "optim", "discriminator", "discriminator_optim", "stream", "best", "course"}
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
    for file in ("model.safetensors", *(f"samples/epoch-000{n}.png" for n in (1, 2, 3))):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "straight" / file).read_bytes(), file


def test_two_processes_equal_one(config: Config, tmp_path: Path):
    """With batch norm over both processes' images, the one thing in a step that sees more than one of them.

    Few steps: two nets that follow each other magnify the last digit of a sum tenfold in every two of them.
    """
    config = replace(config, data=replace(config.data, limit=48), optim=OptimConfig("sgd", lr=0.01, ema=0.9))
    train(0, config, tmp_path / "one")
    in_ranks(2, train, replace(config, run=replace(config.run, processes=2, sync_batchnorm=True)), tmp_path / "two")
    one, two = (torch.load(tmp_path / name / "state-0.pt", weights_only=True)["parts"] for name in ("one", "two"))
    for part in ("net", "discriminator"):
        for name, value in two[part].items():
            torch.testing.assert_close(value, one[part][name], rtol=0, atol=1e-4, msg=f"{part}: {name}")
    for row, straight in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert row == pytest.approx(straight, abs=0.01)


def trained_apart(rank: int, config: Config) -> list[list[float]]:
    """Weights of both nets after three steps of this process as one of two, batch norm of each one's own images."""
    place = replace(CPU, rank=rank, world=2)
    with joined(place, 60, {}):
        torch.manual_seed(0)
        task = new_task(config, place)
        source = task.source()
        for _ in range(3):
            task.step(next(source))
        weights = [weight.detach().flatten().tolist() for net in (task.model.net, task.opponent) for weight in net.parameters()]
        everyone(None, place)
        del task
    return weights


def test_processes_with_batch_norm_of_their_own_keep_the_same_weights(config: Config):
    """The discriminator's replica is called once for each of its backward passes, and never for the generator's."""
    one, two = in_ranks(2, trained_apart, replace(config, run=replace(config.run, processes=2)))
    assert one == two


@pytest.mark.parametrize(("loss", "smoothing"), [("non-saturating", 0.1), ("hinge", 0.0)])
def test_a_step_is_the_papers(config: Config, loss: Any, smoothing: float):
    """Against the plain way: real and made images in two backward passes, each net's gradients thrown away by the other's step."""
    gan = replace(config.gan, loss=loss, rate=2.0)
    config = replace(config, gan=gan, optim=OptimConfig("sgd", lr=0.01, label_smoothing=smoothing))
    torch.manual_seed(0)
    task = Generate(config, CPU)
    maker, judge = deepcopy(task.model.net), deepcopy(task.opponent)
    rules = [torch.optim.SGD(net.parameters(), lr=lr) for net, lr in ((maker, 0.01), (judge, 0.02))]
    source = task.source()
    for _ in range(3):
        batch = next(source)
        metrics = task.step(batch)
        real = batch.images.float() / 127.5 - 1
        noise = module.normals(config.run.seed + NOISE, batch.epoch, batch.number, 8)[:, :, None, None]
        made = maker(noise, batch.labels)
        rules[1].zero_grad()
        sides = [judge(real, batch.labels), judge(made.detach(), batch.labels)]
        if loss == "hinge":
            losses = [F.relu(1 - sides[0]).mean(), F.relu(1 + sides[1]).mean()]
        else:
            wanted = [torch.full_like(sides[0], 1 - smoothing), torch.zeros_like(sides[1])]
            losses = [F.binary_cross_entropy_with_logits(*pair) for pair in zip(sides, wanted, strict=True)]
        for part in losses:
            part.backward()
        rules[1].step()
        maker.zero_grad()
        fooled = judge(made, batch.labels)
        fooling = -fooled.mean() if loss == "hinge" else F.binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled))
        fooling.backward()
        rules[0].step()
        assert metrics["loss"].value == pytest.approx(float(fooling.detach()), abs=1e-4)
        assert metrics["discriminator_loss"].value == pytest.approx(float(sum(losses).detach()), abs=1e-4)  # pyright: ignore[reportAttributeAccessIssue]
    for net, plain in ((task.model.net, maker), (task.opponent, judge)):
        for (name, value), other in zip(net.state_dict().items(), plain.state_dict().values(), strict=True):
            torch.testing.assert_close(value, other, rtol=0, atol=2e-4, msg=name)


def test_both_rules_have_the_papers_beta1(config: Config):
    task = Generate(config, CPU)
    rules = [optim.state_dict()["rule"]["param_groups"][0] for optim in (task._generator, task._discriminator)]
    assert [rule["betas"] for rule in rules] == [(0.5, 0.999), (0.5, 0.999)]


def test_the_generators_step_leaves_the_discriminator_as_it_is_and_ready(config: Config, monkeypatch: pytest.MonkeyPatch):
    task = Generate(config, CPU)
    seen: list[dict[str, Tensor]] = []
    fool = task._fool

    def watched(pair: Any) -> Any:
        assert not any(weight.requires_grad for weight in task.opponent.parameters())
        seen.append({name: weight.detach().clone() for name, weight in task.opponent.named_parameters()})
        return fool(pair)

    monkeypatch.setattr(task, "_fool", watched)
    task.step(next(task.source()))
    assert all(torch.equal(weight, seen[0][name]) for name, weight in task.opponent.named_parameters())
    assert all(weight.requires_grad for weight in task.opponent.parameters())


def test_augmentation_reaches_the_discriminator_alone(config: Config):
    """Both kinds of image go through it, the gradient comes back through it, and what is saved and judged is made without it."""
    config = replace(config, data=replace(config.data, augment=AugmentConfig(shift_px=6, brightness=0.5)))
    task, seen = Generate(config, CPU), list[Tensor]()
    task.opponent.register_forward_pre_hook(lambda net, given: seen.append(given[0].detach().clone()))
    batch = next(task.source())
    before = [weight.detach().clone() for weight in task.model.net.parameters()]
    task.step(batch)
    real, made, again = seen
    assert torch.equal(made, again), "the generator is changed by what the discriminator has seen"
    plain = batch.images.float() / 127.5 - 1
    assert not torch.allclose(real, plain)
    moved = [weight for weight, old in zip(task.model.net.parameters(), before, strict=True) if not torch.equal(weight, old)]
    assert len(moved) == len(before)


# --- which epoch is kept, and what is drawn


def test_the_weights_with_the_smallest_distance_are_saved(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    true, distances = module.quality, iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(module, "quality", lambda *given: {**true(*given), "frechet": next(distances)})
    config = replace(config, run=replace(config.run, epochs=3))
    run = api.train(config, out=tmp_path / "run", report=False)
    state = torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)
    assert state["parts"]["best"]["score"] == -1.0
    saved = load_file(run.model_path)
    assert all(torch.equal(saved[name], value) for name, value in state["parts"]["best"]["weights"].items())
    assert not all(torch.equal(saved[name], value) for name, value in state["parts"]["optim"]["average"].items())


def test_the_run_holds_pictures_of_every_epoch_and_the_card_says_how_good_it_is(config: Config, tmp_path: Path):
    run = api.train(config, out=tmp_path / "run")
    pictures = [Image.open(run.path / "samples" / f"epoch-000{epoch}.png") for epoch in (1, 2)]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()
    card, test = read_card(run.model_path), run.rows()[-1]
    assert (card.kind, card.image, card.classes) == ("generate", (1, 28, 28), tuple("0123456789"))
    assert test["split"] == "test"
    for name in ("frechet", "precision", "recall", "diversity", "confidence", "as_asked", "floor_frechet"):
        assert card.metrics[name] == test[name]
    assert test["floor_frechet"] < test["frechet"], "after two epochs"
    assert (run.path / "report.html").exists()
    assert isinstance(api.load(run.path), Generator)


# --- what is noticed


def test_a_discriminator_that_tells_all_apart_ends_the_training_at_the_last_good_state(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    true, calls = module.discriminator_loss, [0]

    def fallen(real: Tensor, made: Tensor, kind: Any, smoothing: float) -> Tensor:
        calls[0] += 1
        return true(real, made, kind, smoothing) * (1 if calls[0] <= 6 else 1e-5)

    monkeypatch.setattr(module, "discriminator_loss", fallen)
    with pytest.raises(RunError, match=r"tells all images apart .* last saved state is kept"):
        api.train(config, out=tmp_path / "run", report=False)
    assert torch.load(tmp_path / "run" / "state-0.pt", weights_only=True)["step"] == 6
    assert (tmp_path / "run" / "samples" / "epoch-0001.png").exists()
    api.load(tmp_path / "run").make(4, seed=1)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]


def test_a_discriminator_about_to_win_is_warned_of(config: Config):
    task = Generate(config, CPU)
    task._losses = [torch.tensor(0.005), torch.tensor(0.015)]
    with pytest.warns(GipiWarning, match="loss has fallen to 0.010"):
        task.evaluate()
    task._losses = [torch.tensor(0.5)]
    task._watch()


def test_a_loss_that_is_no_number_ends_the_training(config: Config, tmp_path: Path):
    with pytest.raises(RunError, match=r"not finite.*last saved state is kept"):
        api.train(replace(config, optim=replace(config.optim, name="sgd", lr=100, beta1=0.9)), out=tmp_path / "run", report=False)


def test_images_all_alike_are_warned_of(config: Config):
    task = Generate(config, CPU)
    with torch.no_grad():
        task.answering.net.get_submodule("project").weight.zero_()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(GipiWarning) as caught:
        task.evaluate()
    assert any("alike" in str(one.message) or "diversity" in str(one.message) for one in caught)


# --- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": NetConfig("deepconvnet")}, "does classify, not generate; those that do: dcgan"),
        ({"transfer": TransferConfig("dcgan-mnist")}, "--from with a generator: a model holds no discriminator"),
        ({"optim": OptimConfig(accumulate=2)}, "--optim.accumulate with a generator"),
        ({"gan": GanConfig("hinge"), "optim": OptimConfig(label_smoothing=0.1)}, "the hinge has no labels"),
        ({"data": DataConfig("digits", augment=AugmentConfig(mixup=0.2))}, "--data.augment.mixup with a generator"),
        ({"data": DataConfig("digits", class_weights="median-frequency")}, "--data.class-weights with a generator"),
        ({"data": DataConfig("digits", least_count=3)}, "--data.least-count with a generator"),
        ({"data": DataConfig("digits", batch=1)}, "data.batch 1: batch norm needs 2 images"),
        ({"data": DataConfig("digits", size=4)}, "data.size 4: .* allowed are sides of 5"),
        ({"run": RunConfig(members=2)}, "ensembles are for classifiers"),
        ({"run": RunConfig(compile="on")}, "--compile with a generator"),
    ],
)
def test_what_a_generator_has_no_use_for_is_refused_before_anything_is_written(
    config: Config, change: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(ConfigError, match=message):
        api.train(replace(config, **change), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_generation_are_refused_elsewhere():
    with pytest.raises(ConfigError, match=r"gan\.conditional is for generation"):
        Config(kind="classify", gan=GanConfig(conditional=True))


def test_without_held_out_images_those_trained_on_are_the_measure(config: Config):
    held_out, all_of_them = Generate(config, CPU), Generate(replace(config, data=replace(config.data, holdout=0.0)), CPU)
    assert len(held_out._real.features) == round(0.2 * 1437)
    assert len(all_of_them._real.features) == 96


def test_the_average_of_a_generator_is_what_is_judged(config: Config):
    task = Generate(config, CPU)
    source = task.source()
    for _ in range(4):
        task.step(next(source))
    assert task.answering.net is not task.model.net
    assert math.isfinite(task.evaluate()["frechet"].value)
    assert not any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in task.answering.net.modules())
