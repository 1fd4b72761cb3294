"""State dicts of other programs in every form, and files that are broken or hostile."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gipi.errors import WeightsError
from gipi.models.kinds import build_net
from gipi.tasks.state_dict import fit_state_dict, read_state_dict

NET = "digitnet-tiny"


def weights(net: str = NET, **args: Any) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.detach() for key, value in build_net(net, args).state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def renamed(prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights().items()}


FORMS = {
    "plain": lambda: weights(),
    "ordered": lambda: OrderedDict(weights()),
    "parameters": lambda: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in weights().items()},
    "state_dict": lambda: {"epoch": 3, "arch": NET, "state_dict": weights(), "optimizer": {"state": {}, "param_groups": []}},
    "model": lambda: {"model": weights(), "lr": 0.1},
    "model_state_dict": lambda: {"epoch": 3, "model_state_dict": weights(), "loss": torch.tensor(0.5)},
    "parallel": lambda: renamed("module."),
    "compiled": lambda: renamed("_orig_mod."),
    "both": lambda: {"state_dict": renamed("_orig_mod.module.")},
    "both, the other way round": lambda: renamed("module._orig_mod."),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_weights_under_their_own_names(form: str, zipped: bool, tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save(FORMS[form](), path, _use_new_zipfile_serialization=zipped)
    assert same(read_state_dict(path), weights())


def test_safetensors_without_a_card(tmp_path: Path):
    path = tmp_path / "net.safetensors"
    save_file(renamed("module."), path, metadata={"format": "pt"})
    assert same(read_state_dict(path), weights())


def test_a_prefix_that_only_some_names_have_is_part_of_them(tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    assert list(read_state_dict(path)) == ["module.a", "b"]


def test_fitted_weights_are_float32_and_own_their_memory(tmp_path: Path):
    want, path = weights(), tmp_path / "net.pth"
    torch.save({key: value.double() if value.is_floating_point() else value for key, value in want.items()}, path)
    got = fit_state_dict(read_state_dict(path), NET, {}, "here")
    assert same(got, want)
    assert {value.dtype for value in got.values()} == {torch.float32, torch.int64}
    half = {key: value.half() if value.is_floating_point() else value for key, value in want.items()}
    got = fit_state_dict(half, NET, {}, "here")
    assert all(torch.equal(got[key], half[key].float()) for key in got if want[key].is_floating_point())
    base = torch.zeros(1000, 1000)
    narrow = {key: base.flatten()[: value.numel()].view(value.shape) for key, value in want.items()}
    assert all(value.untyped_storage().nbytes() <= 10_000 * 4 for value in fit_state_dict(narrow, NET, {}, "here").values())


def test_files_from_before_batch_norm_counted():
    want = weights()
    old = {key: value for key, value in want.items() if not key.endswith("num_batches_tracked")}
    assert len(old) < len(want)
    got = fit_state_dict(old, NET, {}, "here")
    assert same(got, want)
    counted = want | {key: torch.tensor(7) for key in want if key not in old}
    assert all(value == 7 for key, value in fit_state_dict(counted, NET, {}, "here").items() if key not in old)


def test_auxiliary_heads_are_left_out_where_the_net_has_none():
    args = {"width": 0.125, "stem": "small", "classes": 5}
    full = weights("googlenet", auxiliary=True, **args)
    want = {key: value for key, value in full.items() if not key.startswith("aux")}
    assert len(want) < len(full)
    assert same(fit_state_dict(full, "googlenet", args, "here"), want)
    assert same(fit_state_dict(full, "googlenet", {**args, "auxiliary": True}, "here"), full)


def test_what_does_not_fit_is_named_by_key():
    head = "classifier.3.weight"
    changed = weights() | {head: torch.zeros(10, 7), "extra.bias": torch.zeros(1)}
    del changed["features.0.weight"]
    with pytest.raises(WeightsError) as failure:
        fit_state_dict(changed, NET, {}, "some/file.pth")
    for part in ("some/file.pth", "missing features.0.weight", "unexpected extra.bias", f"{head} has shape (10, 7)"):
        assert part in str(failure.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named_by_key(value: float):
    broken = weights()
    broken["features.0.weight"].view(-1)[3] = value
    with pytest.raises(WeightsError, match=r"here holds NaN or infinite values: features\.0\.weight"):
        fit_state_dict(broken, NET, {}, "here")


def test_fitting_draws_no_random_numbers():
    state = torch.get_rng_state()
    given = weights()
    torch.set_rng_state(state)
    fit_state_dict(given, NET, {}, "here")
    assert torch.equal(torch.get_rng_state(), state)


# --- broken and hostile files


class Command:
    """Runs a command where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"echo hacked > '{self.mark}'",)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("inside", [False, True], ids=["all of it", "beside weights"])
def test_nothing_is_executed(how: str, inside: bool, tmp_path: Path):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    evil = {**weights(), "epoch": Command(mark)} if inside else Command(mark)
    if how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pth is no readable file of weights") as failure:
        read_state_dict(path)
    assert not mark.exists()
    assert "weights_only" not in str(failure.value), "torch's advice to read it all the same is not passed on"
    if how != "pickle":
        assert "it asks for posix.system" in str(failure.value) or "it asks for nt.system" in str(failure.value)


def test_objects_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save({"model": weights(), "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(WeightsError, match=r"asks for argparse\.Namespace, and only tensors and plain values are read"):
        read_state_dict(path)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        read_state_dict(path)


def test_a_file_that_unpacks_to_more_than_itself(tmp_path: Path):
    plain, path = tmp_path / "plain.pth", tmp_path / "net.pth"
    torch.save({"a": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in stored.infolist():
            packed.writestr(part.filename, stored.read(part))
    assert path.stat().st_size < 10_000
    assert len(torch.load(path, weights_only=True)["a"]) == 1_000_000, "torch would unpack it"
    with pytest.raises(WeightsError, match=r"unpacks to 4,\d\d\d,\d\d\d bytes"):
        read_state_dict(path)


NOT_WEIGHTS = {
    "a shape without its numbers": (torch.zeros(1).expand(10**6, 10**6), "claims a shape of"),
    "no numbers": (torch.zeros(10**9, 0), "holds no numbers"),
    "meta": (torch.zeros(3, device="meta"), "shell of a tensor"),
    "sparse": (torch.eye(3).to_sparse(), "sparse"),
    "complex": (torch.zeros(3, dtype=torch.complex64), "is of complex64"),
    "whole numbers": (torch.zeros(3, dtype=torch.int8), "is of int8"),
    "a number": (3, "is no tensor but int"),
    "a dict": ({"weight": torch.zeros(1)}, "is no tensor but dict"),
}


@pytest.mark.parametrize(("value", "reason"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS.keys())
def test_what_is_no_weight_is_named_by_key(value: object, reason: str, tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save({"first": torch.zeros(2), "second": value}, path)
    with pytest.raises(WeightsError, match=rf"net\.pth: second .*{reason}"):
        read_state_dict(path)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {}, "text", None], ids=["list", "tensor", "empty", "text", "none"])
def test_what_is_no_state_dict(value: object, tmp_path: Path):
    path = tmp_path / "net.pth"
    torch.save(value, path)
    with pytest.raises(WeightsError, match=r"net\.pth holds no state dict"):
        read_state_dict(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("left", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_off(kind: str, left: float, tmp_path: Path):
    whole = tmp_path / ("net.safetensors" if kind == "safetensors" else "net.pth")
    if kind == "safetensors":
        save_file(weights(), whole)
    else:
        torch.save(weights(), whole, _use_new_zipfile_serialization=kind == "zip")
    data = whole.read_bytes()
    whole.write_bytes(data[: int(left * len(data))])
    with pytest.raises(WeightsError, match="is no readable file of weights"):
        read_state_dict(whole)


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.safetensors", "net.jpg"])
@pytest.mark.parametrize("content", [b"hello", b"\x80\x04N.", b"PK\x03\x04" + bytes(50), bytes(100), b"<html></html>"])
def test_files_of_other_kinds(name: str, content: bytes, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.\w+ (is no readable file of weights|holds no state dict)"):
        read_state_dict(path)


def test_damage_anywhere_is_an_error_or_other_numbers(tmp_path: Path):
    """Never anything but WeightsError."""
    rng, path = np.random.default_rng(0), tmp_path / "net.pth"
    torch.save({"a": torch.zeros(3), "b": {"c": 1}}, path, _use_new_zipfile_serialization=False)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    failed = 0
    for _ in range(300):
        broken = whole.copy()
        broken[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(broken.tobytes())
        try:
            read_state_dict(path)
        except WeightsError:
            failed += 1
    assert failed == 300, "b is no tensor in any of them"
