"""A model file gives back its weights to the bit, and no other file is taken for one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gipi import catalog, model
from gipi.errors import WeightsError
from gipi.model import Card, find_model, fit_weights, load_model, save_model
from gipi.preprocess import Preprocess

CARD = Card(
    kind="classify",
    net="deepconvnet",
    args={"classes": 3, "channels": 1, "last_dropout": 0.5},
    classes=("zero", "one", "näme"),
    preprocess=Preprocess((1, 28, 28), "crop", 32, mean=(0.1,), std=(0.7,)),
    recipe="a recipe",
    data={"digits/train": "ab" * 32},
    parents=("other", "one more"),
    metrics={"accuracy": 0.1 + 0.2},
    gipi="0.1.0",
)


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))


def bits(weights: dict[str, torch.Tensor]) -> dict[str, tuple[Any, ...]]:
    return {key: (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()) for key, value in weights.items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(tmp_path / "model.safetensors", small_net().state_dict(), CARD)
    return tmp_path / "model.safetensors"


# --- what comes back


def test_weights_and_card_come_back_to_the_bit(saved: Path):
    weights, card = load_model(saved)
    assert bits(weights) == bits(small_net().state_dict())
    assert card == CARD
    assert hash(card.classes) == hash(CARD.classes)  # a tuple again, not a list


def test_odd_numbers_come_back_to_the_bit(tmp_path: Path):
    odd = torch.tensor([0.0, -0.0, 1e-45, torch.finfo().max, float("inf"), float("nan")])
    odd = {"odd": odd, "scalar": torch.tensor(3), "empty": torch.zeros(0, 3), "turned": torch.arange(6.0).reshape(2, 3).T}
    save_model(tmp_path / "odd", odd, CARD)
    assert bits(load_model(tmp_path / "odd")[0]) == bits(odd)


def test_the_layout_in_memory_does_not_reach_the_file(saved: Path, tmp_path: Path):
    net = small_net().to(memory_format=torch.channels_last)
    save_model(tmp_path / "other", net.state_dict(), CARD)
    assert (tmp_path / "other").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_float_type_are_read_as_float32(tmp_path: Path, dtype: torch.dtype):
    weights = {"weight": torch.tensor([0.1, -2.5, 1e-3]).to(dtype), "steps": torch.tensor(7)}
    save_model(tmp_path / "half", weights, CARD)
    got, _ = load_model(tmp_path / "half")
    assert got["weight"].dtype == torch.float32
    assert torch.equal(got["weight"], weights["weight"].float())
    assert torch.equal(got["steps"], torch.tensor(7))
    assert got["steps"].dtype == torch.int64


def test_saving_replaces_the_file_and_leaves_nothing_beside(saved: Path):
    save_model(saved, {"weight": torch.ones(1)}, replace(CARD, recipe="later"))
    assert load_model(saved)[1].recipe == "later"
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_saving_where_nothing_can_be_written_is_an_error_of_ours(tmp_path: Path):
    with pytest.raises(WeightsError, match="nowhere"):
        save_model(tmp_path / "nowhere" / "model.safetensors", {"weight": torch.ones(1)}, CARD)


# --- what is refused


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path):
    refused(tmp_path / "nowhere.safetensors")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder")


def test_a_file_cut_anywhere(saved: Path):
    whole = saved.read_bytes()
    for size in sorted({*range(0, len(whole), 37), 7, 8, 9, len(whole) - 1}):
        saved.write_bytes(whole[:size])
        refused(saved)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"\xff" * 100, b"PK\x03\x04" + b"\0" * 60, (2**63).to_bytes(8, "little") + b"{}"]
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    refused(path)


def test_a_pickle_is_not_opened(tmp_path: Path):
    torch.save({"weight": torch.ones(1)}, tmp_path / "file")
    refused(tmp_path / "file")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}], ids=repr)
def test_safetensors_of_others_have_no_card(tmp_path: Path, metadata: dict[str, str] | None):
    save_file({"weight": torch.ones(1)}, tmp_path / "foreign", metadata=metadata)
    assert "no card" in refused(tmp_path / "foreign")


def card_json(changes: dict[str, Any], drop: str = "") -> str:
    return json.dumps({key: value for key, value in {**asdict(CARD), **changes}.items() if key != drop})


HOSTILE = {
    "empty": "",
    "no JSON": "{",
    "null": "null",
    "list": "[]",
    "word": '"card"',
    "deep": "[" * 100_000,
    "long number": "1" * 10_000,
    "unknown key": card_json({"hostile": 1}),
    **{f"no {key}": card_json({}, drop=key) for key in ("kind", "net", "args", "classes", "preprocess")},
    **{
        f"{key} is {value!r}": card_json({key: value})
        for key, value in [
            ("kind", 5),
            ("net", None),
            ("net", ["deepconvnet"]),
            ("args", "classes"),
            ("args", ["classes"]),
            ("args", {"classes": [3]}),
            ("args", {"classes": None}),
            ("classes", 3),
            ("classes", "abc"),
            ("classes", [1, 2, 3]),
            ("classes", []),
            ("preprocess", 3),
            *(
                ("preprocess", {**asdict(CARD.preprocess), key: value})
                for key, value in [
                    ("image", "abc"),
                    ("image", [1, 28]),
                    ("image", [1, 28, 28, 28]),
                    ("image", [1.5, 28, 28]),
                    ("image", [1, -28, 28]),
                    ("framing", "none"),
                    ("framing", 3),
                    ("short", 27),
                    ("short", None),
                    ("mean", 0.1),
                    ("mean", [float("inf")]),
                    ("mean", [0.1, 0.2]),
                    ("std", [0.0]),
                    ("std", []),
                ]
            ),
            ("recipe", 3),
            ("data", []),
            ("data", {"digits/train": 3}),
            ("parents", 3),
            ("parents", [3]),
            ("metrics", {"accuracy": "high"}),
            ("metrics", []),
            ("gipi", 1),
        ]
    },
}


@pytest.mark.parametrize("card", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_card_is_refused(tmp_path: Path, card: str):
    save_file({"weight": torch.ones(1)}, tmp_path / "hostile", metadata={"gipi": card})
    assert "card" in refused(tmp_path / "hostile")


# --- fit_weights


def test_fitting_weights_are_loaded():
    net, other = small_net(), small_net()
    nn.init.ones_(other[0].weight)
    fit_weights(net, other.state_dict(), "it")
    assert bits(net.state_dict()) == bits(other.state_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("0.bias"), ["missing 0.bias"]),
        (lambda w: w.update(extra=torch.ones(1)), ["unexpected extra"]),
        (lambda w: w.update({"3.weight": torch.ones(3, 5)}), ["3.weight", "(3, 5)", "(3, 4)"]),
        (lambda w: w.update({"1.num_batches_tracked": torch.ones(1)}), ["1.num_batches_tracked", "(1,)", "()"]),
        (lambda w: (w.pop("0.bias"), w.update(extra=torch.ones(1))), ["missing 0.bias", "unexpected extra"]),
        (lambda w: w.clear(), ["missing 0.weight", "missing 3.weight", "and 1 more"]),
    ],
    ids=["missing", "unexpected", "shape", "no shape", "two faults", "nothing"],
)
def test_what_does_not_fit_is_named_and_the_net_left_unchanged(change: Any, words: list[str]):
    net = small_net()
    before = bits(net.state_dict())
    weights = {key: torch.full_like(value, 9) for key, value in net.state_dict().items()}
    change(weights)
    with pytest.raises(WeightsError, match="a file does not fit") as caught:
        fit_weights(net, weights, "a file")
    for word in words:
        assert word in str(caught.value)
    assert bits(net.state_dict()) == before


# --- find_model


def test_a_model_is_found_as_file_as_run_folder_and_by_name(saved: Path):
    assert find_model(saved) == saved
    assert find_model(str(saved)) == saved
    assert find_model(saved.parent) == saved
    for name in catalog.SHIPPED:
        assert find_model(name) == model.WEIGHTS / f"{name}.safetensors"


def test_a_file_goes_before_a_shipped_name(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(saved.parent)
    name = next(iter(catalog.SHIPPED))
    saved.rename(saved.parent / name)
    assert find_model(name) == Path(name)


def test_what_is_not_found_names_the_nearest(tmp_path: Path):
    with pytest.raises(WeightsError, match="did you mean 'deepconvnet-mnist'"):
        find_model("deepconvnet-mnits")
    with pytest.raises(WeightsError, match="no file, no run folder"):
        find_model(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"holds no model\.safetensors yet"):
        find_model(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "x" * 5000, "a\0b"], ids=["empty", "dot", "long", "zero"])
def test_a_name_that_cannot_be_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError):
        find_model(name)
