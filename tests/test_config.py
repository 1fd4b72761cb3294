"""A configuration survives JSON exactly, and whatever does not fit is refused by name."""

from __future__ import annotations

import json
import typing
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi import catalog
from gipi.config import DECAYING, FINAL, AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, Rule, RunConfig, Schedule
from gipi.errors import ConfigError, GipiError
from gipi.models.kinds import build_net
from gipi.recipes import DEFAULT, OFFLINE, RECIPES

few = settings(max_examples=60, deadline=None)


def real(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


FALLING = ("step", "exponential", "cosine")
MOVES = {"rotate_deg": 180, "shift_px": 1000, "scale": 0.9, "shear_deg": 60, "crop": 0.9, "elastic_px": 1000, "flip": 1}
CHANGES = {
    **MOVES,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "erase": 1,
    "mixup": 100,
    "cutmix": 100,
}  # the largest value of each


@st.composite
def augments(draw: st.DrawFn) -> AugmentConfig:
    unused = draw(st.sampled_from(["mixup", "cutmix"]))
    return AugmentConfig(**{name: draw(real(0, high)) for name, high in CHANGES.items() if name != unused})


@st.composite
def optims(draw: st.DrawFn) -> OptimConfig:
    name, schedule = draw(st.sampled_from(typing.get_args(Rule))), draw(st.sampled_from(typing.get_args(Schedule)))
    return OptimConfig(
        name=name,
        lr=draw(real(0, 100)),
        weight_decay=draw(real(0, 100)) if name in DECAYING else 0.0,
        schedule=schedule,
        final=draw(real(1e-9, 1)) if schedule in FALLING else FINAL,
        warmup=draw(real(0, 1)) if schedule != "one-cycle" else 0.0,
        ema=draw(real(0, 0.999999)),
        label_smoothing=draw(real(0, 0.999999)),
        clip=draw(real(0, 1e6)),
        accumulate=draw(st.integers(1, 1_000_000)),
        beta1=draw(real(0, 0.999999)) if name in ("adam", "adamw") else 0.9,
    )


configs = st.builds(
    Config,
    recipe=st.text(max_size=8),
    kind=st.text(max_size=8),
    net=st.builds(
        NetConfig,
        st.text(max_size=8),
        st.dictionaries(
            st.text(max_size=4), st.booleans() | st.integers() | real(-1e300, 1e300) | st.text(max_size=4), max_size=3
        ),
    ),
    data=st.builds(
        DataConfig,
        name=st.text(max_size=8),
        batch=st.integers(2, 1_000_000),
        holdout=real(0, 0.9),
        limit=st.integers(0, 1_000_000_000),
        augment=augments(),
    ),
    optim=optims(),
    run=st.builds(
        RunConfig,
        epochs=st.integers(1, 1_000_000),
        seed=st.integers(0, 2**31 - 1),
        device=st.text(max_size=8),
        precision=st.sampled_from(["auto", "fp32", "bf16"]),
    ),
)


def through_json(config: Config) -> Config:
    return Config.from_json(json.loads(json.dumps(config.to_json(), allow_nan=False)))


# --- what comes back


@few
@given(configs)
def test_json_gives_back_the_same_configuration(config: Config):
    again = through_json(config)
    assert again == config
    assert again.to_json() == config.to_json()


def test_left_out_keys_take_their_defaults():
    assert Config.from_json({}) == Config()
    assert Config.from_json({"optim": {"lr": 0.5}}) == Config(optim=OptimConfig(lr=0.5))


def test_a_whole_number_stands_for_a_real_one_and_no_more():
    lr = Config.from_json({"optim": {"lr": 1}}).optim.lr
    assert (lr, type(lr)) == (1.0, float)
    for value in (3, 3.0, "3", True, "he"):
        arg = Config.from_json({"net": {"args": {"x": value}}}).net.args["x"]
        assert (arg, type(arg)) == (value, type(value))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json_and_builds(name: str):
    config = RECIPES[name].config
    assert through_json(config) == config
    assert config.recipe == name
    assert config.kind in catalog.KINDS
    assert config.kind == "act" or config.data.name in ("", *catalog.DATASETS)  # "": pictures of one's own
    assert sum(weight.numel() for weight in build_net(config.net.name, config.net.args).parameters()) > 0


def test_the_named_recipes_exist():
    assert {DEFAULT, OFFLINE} <= set(RECIPES)
    assert RECIPES[OFFLINE].config.data.name == "digits"


# --- what is refused


def leaves(cls: type, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key, groups included."""
    paths = []
    for field in fields(cls):
        paths.append((*above, field.name))
        default = getattr(cls(), field.name)
        if is_dataclass(default):
            paths += leaves(type(default), paths[-1])
    return paths


def at(config: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        config = getattr(config, name)
    return config


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value


@pytest.mark.parametrize("path", leaves(Config), ids=".".join)
def test_a_misspelt_key_names_the_nearest(path: tuple[str, ...]):
    misspelt = path[-1] + "x"
    with pytest.raises(ConfigError) as caught:
        Config.from_json(nested((*path[:-1], misspelt), 1))
    message = str(caught.value)
    assert repr(misspelt) in message
    assert f"did you mean {path[-1]!r}?" in message
    assert ".".join(["config", *path[:-1]]) in message


@pytest.mark.parametrize("path", leaves(Config), ids=".".join)
@pytest.mark.parametrize("value", [None, True, [1], "\0 no such word", {"no such key": 1}], ids=repr)
def test_a_value_of_the_wrong_type_is_refused_by_name(path: tuple[str, ...], value: Any):
    target = Config().to_json()
    for key in path:
        target = target[key]
    if isinstance(value, str) and path in (
        ("recipe",),
        ("kind",),
        ("net", "name"),
        ("data", "name"),
        ("run", "device"),
        ("transfer", "weights"),
    ):
        pytest.skip("any word may be a name; the catalogue and the machine decide")
    if path == ("net", "args") and isinstance(value, dict):
        pytest.skip("which arguments there are, the net decides")
    if value is True and path in (("run", "deterministic"), ("run", "shard"), ("run", "sync_batchnorm"), ("act", "clip_reward")):
        pytest.skip("it is of the right type")
    with pytest.raises(ConfigError, match=path[-1]):
        Config.from_json(nested(path, value))


@pytest.mark.parametrize("value", [None, [1], {"a": 1}], ids=repr)
def test_a_net_argument_is_a_number_or_a_word(value: Any):
    with pytest.raises(ConfigError, match="last_dropout"):
        Config.from_json({"net": {"args": {"last_dropout": value}}})


@pytest.mark.parametrize(("path", "value"), [(("data", "batch"), 1.5), (("run", "epochs"), 2.0), (("optim", "lr"), "0.1")])
def test_a_number_is_not_bent_to_fit(path: tuple[str, ...], value: Any):
    with pytest.raises(ConfigError, match=path[-1]):
        Config.from_json(nested(path, value))


def test_a_configuration_is_an_object():
    for value in ([], "config", 3, None):
        with pytest.raises(ConfigError, match="object"):
            Config.from_json(value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("data", "batch"), 0),
        (("data", "batch"), -5),
        (("data", "holdout"), -0.1),
        (("data", "holdout"), 1.0),
        (("data", "limit"), -1),
        (("data", "limit"), 1_000_000_001),
        *((("data", "augment", name), value) for name, high in CHANGES.items() for value in (-0.1, high + 0.1)),
        (("optim", "lr"), -1e-3),
        (("optim", "lr"), 1e9),
        (("optim", "weight_decay"), -1.0),
        (("optim", "final"), -0.1),
        (("optim", "final"), 1.1),
        (("optim", "warmup"), -0.1),
        (("optim", "warmup"), 1.1),
        (("optim", "ema"), -0.1),
        (("optim", "ema"), 1.0),
        (("optim", "label_smoothing"), -0.1),
        (("optim", "label_smoothing"), 1.0),
        (("optim", "clip"), -1.0),
        (("optim", "accumulate"), 0),
        (("run", "epochs"), 0),
        (("run", "seed"), -1),
        (("run", "seed"), 2**31),
    ],
    ids=lambda part: ".".join(part) if isinstance(part, tuple) else repr(part),
)
def test_a_number_out_of_range_is_refused_with_the_range(path: tuple[str, ...], value: float):
    with pytest.raises(ConfigError, match=path[-1]) as caught:
        Config.from_json(nested(path, value))
    assert str(value) in str(caught.value)
    assert "allowed" in str(caught.value)


@pytest.mark.parametrize("path", [path for path in leaves(Config) if type(at(Config(), path)) is float], ids=".".join)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400], ids=["nan", "inf", "-inf", "10**400"])
def test_no_number_that_is_not_finite(path: tuple[str, ...], value: float):
    with pytest.raises(ConfigError, match=path[-1]):
        Config.from_json(nested(path, value))


@pytest.mark.parametrize("name", CHANGES)
def test_the_largest_and_the_smallest_change_are_allowed(name: str):
    for value in (0.0, float(CHANGES[name])):
        change = Config.from_json({"data": {"augment": {name: value}}}).data.augment
        assert getattr(change, name) == value
        assert change.mixes == (value > 0 and name in ("mixup", "cutmix"))


@pytest.mark.parametrize(
    ("group", "values", "says"),
    [
        *(("optim", {"name": name, "weight_decay": 0.1}, "adamw") for name in ("adam", "adagrad", "rmsprop")),
        (
            "optim",
            {"schedule": "constant", "final": 0.1},
            "needs optim.schedule step, thirds, exponential or cosine, got 'constant'",
        ),
        (
            "optim",
            {"schedule": "one-cycle", "final": 0.1},
            "needs optim.schedule step, thirds, exponential or cosine, got 'one-cycle'",
        ),
        ("optim", {"schedule": "step", "final": 0.0}, "final must be above 0"),
        ("optim", {"schedule": "exponential", "final": 0.0}, "final must be above 0"),
        ("optim", {"schedule": "one-cycle", "warmup": 0.1}, "warms up by itself"),
        ("data", {"augment": {"mixup": 0.2, "cutmix": 1.0}}, "set one to 0"),
        ("data", {"augment": {"mixup": 0.2}, "batch": 1}, "data.batch is 1, allowed are 2 and more"),
        ("data", {"augment": {"cutmix": 1.0}, "batch": 1}, "data.batch is 1, allowed are 2 and more"),
    ],
)
def test_a_contradiction_is_refused(group: str, values: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=says):
        Config.from_json({group: values})


@pytest.mark.parametrize(
    ("group", "values"),
    [
        *(("optim", {"name": name, "weight_decay": 0.1}) for name in DECAYING),
        *(("optim", {"schedule": name, "final": 0.1, "warmup": 0.1}) for name in FALLING),
        ("optim", {"schedule": "cosine", "final": 0.0}),
        ("optim", {"schedule": "constant", "warmup": 1.0}),
        ("data", {"augment": {"mixup": 0.2}, "batch": 2}),
        ("data", {"augment": {"flip": 1.0}, "batch": 1}),
    ],
)
def test_what_is_no_contradiction_is_taken(group: str, values: dict[str, Any]):
    config = Config.from_json({group: values}).to_json()
    assert {key: config[group][key] for key in values} == {
        key: {**config[group][key], **value} if isinstance(value, dict) else value for key, value in values.items()
    }


@pytest.mark.parametrize(("key", "word", "near"), [("name", "adamm", "adam"), ("schedule", "one_cycle", "one-cycle")])
def test_an_unknown_choice_names_the_nearest(key: str, word: str, near: str):
    with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
        Config.from_json({"optim": {key: word}})


@pytest.mark.parametrize(("key", "word"), [("name", "lion"), ("schedule", "cosyne")])
def test_a_choice_written_in_python_is_checked_too(key: str, word: str):
    with pytest.raises(ConfigError, match=word):
        OptimConfig(**{key: word})


def test_class_weights_are_one_of_two_words():
    assert Config.from_json({"data": {"class_weights": "median-frequency"}}).data.class_weights == "median-frequency"
    for make in (lambda: DataConfig(class_weights="median"), lambda: Config.from_json({"data": {"class_weights": "median"}})):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="did you mean 'median-frequency'"):
            make()


# --- build_net


def test_an_unknown_net_or_argument_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'deepconvnet'"):
        build_net("deepconvnt", {})
    with pytest.raises(ConfigError, match="did you mean 'last_dropout'"):
        build_net("deepconvnet", {"last_drop": 0.5})


@pytest.mark.parametrize("args", [{"last_dropout": 1.5}, {"last_dropout": -0.5}, {"channels": -1}, {"classes": 2.5}], ids=repr)
def test_an_argument_that_no_net_can_take_is_an_error_of_ours(args: dict[str, float]):
    with pytest.raises(GipiError):
        build_net("deepconvnet", args)
