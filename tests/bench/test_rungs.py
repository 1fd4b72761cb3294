"""Which rungs a machine has, and what each stands on."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from gipi.bench import rungs as module
from gipi.bench.rungs import GIPI, NUMPY, PLAIN, build

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ASIDE = {"name", "adds", "below"}


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """Four cores or CUDA devices, glibc, a compiler and every number format."""
    monkeypatch.setattr(module, "cores", lambda: 4)
    monkeypatch.setattr(module.torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(module, "fast_bf16", lambda device: True)
    monkeypatch.setattr(module.torch.cpu, "_is_amx_fp16_supported", lambda: True)
    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")


def names(net="deepconvnet", device=CPU):
    kept, left_out = build(net, device)
    return [rung.name for rung in kept], dict(left_out)


def test_every_rung_the_machine_can_have():
    kept, left_out = names()
    middle = ["channels_last", "allocator", "bf16", "fp16", "resident data", "module.compile()"]
    assert kept == [NUMPY, PLAIN, *middle, GIPI, "2 processes"]
    assert left_out == {"CUDA graphs": "there is no CUDA device"}


def test_a_cuda_device_has_graphs_and_its_own_allocator():
    kept, left_out = names(device=CUDA)
    assert "CUDA graphs" in kept
    assert list(left_out) == ["allocator"]


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_each_adds_one_thing_to_the_rung_below_it(device):
    kept, _ = build("deepconvnet", device)
    by_name = {rung.name: asdict(rung) for rung in kept}
    assert kept[0].below == ""
    for rung in kept[1:]:
        below, own = by_name[rung.below], asdict(rung)
        changed = {name for name in own if own[name] != below[name]} - ASIDE
        assert len(changed) == 1 or rung.name == PLAIN, f"{rung.name} changes {changed}"  # the book's program is apart
        assert list(by_name).index(rung.below) < list(by_name).index(rung.name)


def test_fp16_compiling_and_graphs_are_tried_but_not_stood_upon():
    below = {rung.name: rung.below for rung in build("deepconvnet", CUDA)[0]}
    assert (below["bf16"], below["fp16"]) == ("channels_last", "channels_last")
    assert (below["resident data"], below["module.compile()"], below["CUDA graphs"]) == (
        "bf16",
        "resident data",
        "module.compile()",
    )
    assert (below[GIPI], below["2 processes"]) == ("resident data", GIPI)


@pytest.mark.parametrize(
    ("patch", "name", "reason"),
    [
        (("fast_bf16", lambda device: False), "bf16", "no units"),
        (("cores", lambda: 1), "2 processes", "one core"),
        (("platform.libc_ver", lambda: ("musl", "1")), "allocator", "glibc"),
        (("shutil.which", lambda name: None), "module.compile()", "C++ compiler"),
        (("torch.cpu._is_amx_fp16_supported", lambda: False), "fp16", "no units"),
    ],
)
def test_what_the_machine_lacks_is_left_out_with_the_reason(monkeypatch, patch, name, reason):
    monkeypatch.setattr(f"gipi.bench.rungs.{patch[0]}", patch[1])
    kept, left_out = names()
    assert name not in kept
    assert reason in left_out[name]


def test_numpy_is_written_out_for_one_net():
    kept, left_out = names("digitnet")
    assert kept[0] == PLAIN
    assert "not for digitnet" in left_out[NUMPY]
