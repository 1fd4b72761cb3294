"""Device and number format are chosen once, and what this machine cannot do is said at once."""

from __future__ import annotations

import dataclasses
import platform
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from gipi.engine import machine
from gipi.engine.place import Place, decide_place
from gipi.errors import ConfigError, DeviceError

GPU = torch.cuda.is_available()
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def mallopt(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The calls of glibc's mallopt, which is not called in earnest."""
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda key, value: calls.append((key, value)))
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: library)
    return calls


def cuda(monkeypatch: pytest.MonkeyPatch, count: int, bf16: bool = True) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)


# --- device


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    cuda(monkeypatch, 0)
    assert decide_place(precision="fp32").device == CPU
    cuda(monkeypatch, 1)
    assert decide_place(precision="fp32").device.type == "cuda"
    assert decide_place(device="cpu", precision="fp32").device == CPU


@pytest.mark.parametrize("device", ["gpu", "cdua", "", "cuda:x", "cuda:-1", "meta", "mps", "xla", "CPU", "cpu:5", "cuda:0:0"])
def test_an_unknown_device_is_refused(device: str):
    with pytest.raises(ConfigError, match=r"allowed: auto, cpu, cuda") as caught:
        decide_place(device=device)
    assert repr(device) in str(caught.value)


def test_a_misspelt_device_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        decide_place(device="cudaa")


@pytest.mark.parametrize(("device", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1), ("cuda:7", 4), ("cuda:99", 1)])
def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, device: str, count: int):
    cuda(monkeypatch, count)
    with pytest.raises(DeviceError, match=f"{count} CUDA devices; use --device cpu"):
        decide_place(device=device)


@pytest.mark.parametrize("device", ["cuda:256", "cuda:300", "cuda:65536"])
def test_a_number_that_torch_wraps_around_is_no_device(monkeypatch: pytest.MonkeyPatch, device: str):
    cuda(monkeypatch, 64)
    with pytest.raises((ConfigError, DeviceError)):
        decide_place(device=device)


# --- precision


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_named_precision_is_taken(precision: str, dtype: torch.dtype):
    assert decide_place(device="cpu", precision=precision).dtype == dtype


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "dtype"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_auto_takes_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512_bf16: bool, dtype: torch.dtype
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert decide_place(device="cpu").dtype == dtype


@pytest.mark.parametrize("bf16", [True, False])
def test_auto_takes_bf16_where_the_gpu_has_it_in_hardware(monkeypatch: pytest.MonkeyPatch, bf16: bool):
    cuda(monkeypatch, 1, bf16)
    assert decide_place(device="cuda").dtype == (torch.bfloat16 if bf16 else torch.float32)


@pytest.mark.parametrize(("precision", "near"), [("fp31", "fp32"), ("bf17", "bf16"), ("Auto", "auto")])
def test_an_unknown_precision_names_the_nearest(precision: str, near: str):
    with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
        decide_place(device="cpu", precision=precision)


def test_autocast_is_on_for_bf16_alone():
    layer, image = nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Place(CPU, precision, 0).autocast():
            assert layer(image).dtype == dtype
        assert layer.weight.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


# --- the place itself


def test_a_place_is_frozen_and_says_what_it_is():
    place = decide_place(device="cpu", precision="bf16", seed=3)
    assert place.seed == 3
    assert str(place) == f"cpu, {torch.get_num_threads()} threads, bf16, channels-last"
    assert str(Place(torch.device("cuda:1"), "fp32", 0)) == "cuda:1, fp32, channels-last"
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.seed = 4  # pyright: ignore[reportAttributeAccessIssue]


def test_nets_and_images_are_put_in_channels_last_unchanged():
    place = decide_place(device="cpu", precision="fp32")
    net, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 5, 5)
    weight = net.weight.detach().clone()
    put = place.put_net(net)
    assert put is net
    assert put.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(put.weight, weight)
    assert place.put_images(images).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(place.put_images(images), images)


def test_a_random_state_comes_back():
    place = decide_place(device="cpu", precision="fp32")
    with torch.random.fork_rng():
        state = place.random_state()
        first = torch.rand(5)
        assert not torch.equal(torch.rand(5), first)
        place.set_random_state(state)
        assert torch.equal(torch.rand(5), first)


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="no CUDA device")
def test_a_random_state_of_the_gpu_comes_back():
    place = decide_place(device="cuda", precision="fp32")
    state = place.random_state()
    first = torch.rand(5, device="cuda")
    place.set_random_state(state)
    assert torch.equal(torch.rand(5, device="cuda"), first)


# --- the allocator


@pytest.mark.parametrize(
    ("system", "libc", "device", "tuned"),
    [
        ("Linux", "glibc", "cpu", True),
        ("Linux", "", "cpu", False),  # musl names itself not
        ("Darwin", "", "cpu", False),
        ("Windows", "", "cpu", False),
        ("Linux", "glibc", "cuda", False),
    ],
)
def test_the_allocator_is_set_up_on_glibc_alone(
    monkeypatch: pytest.MonkeyPatch, mallopt: list[Any], system: str, libc: str, device: str, tuned: bool
):
    cuda(monkeypatch, 1)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2.36"))
    decide_place(device=device, precision="fp32")
    assert bool(mallopt) == tuned
    if tuned:
        assert dict(mallopt) == {-4: 0, -1: 2**31 - 1, -2: 256 << 20}


def test_nothing_is_set_up_for_what_is_refused(mallopt: list[Any]):
    with pytest.raises(ConfigError):
        decide_place(device="cpu", precision="fp31")
    assert mallopt == []


# --- what a machine may lack


def test_fp16_is_refused_on_a_cpu_without_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_fp16_supported", lambda: False)
    with pytest.raises(DeviceError, match="no unit for fp16"):
        decide_place(device="cpu", precision="fp16")
    monkeypatch.setattr(torch.cpu, "_is_amx_fp16_supported", lambda: True)
    assert decide_place(device="cpu", precision="fp16").dtype == torch.float16


def test_tf32_is_refused_on_a_cpu():
    with pytest.raises(DeviceError, match="tf32 is a number format of CUDA"):
        decide_place(device="cpu", precision="tf32")


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    with pytest.raises(DeviceError, match="1000 processes, but this machine has"):
        decide_place(device="cpu", precision="fp32", world=1000)
    cuda(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(DeviceError, match="4 processes, but this machine has 2 CUDA devices"):
        decide_place(precision="fp32", world=4)


def test_several_processes_want_a_device_each():
    with pytest.raises(ConfigError, match="use --device cuda"):
        decide_place(device="cuda:0", world=2)


def test_an_unknown_memory_format_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'channels-last'"):
        decide_place(device="cpu", layout="channel-last")


# --- the defaults


def test_threads_are_shared_out_among_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    monkeypatch.setattr("gipi.engine.place.cores", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    try:
        decide_place(device="cpu", precision="fp32", world=2)
        assert torch.get_num_threads() == 2
        decide_place(device="cpu", precision="fp32", world=2, threads=3)
        assert torch.get_num_threads() == 3
        decide_place(device="cpu", precision="fp32")  # alone: as they are
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_net_is_compiled_where_it_pays_alone():
    cpu, gpu = Place(CPU, "fp32", 0), Place(torch.device("cuda"), "bf16", 0)
    assert not cpu.compiles(1e30)
    assert gpu.compiles(1e18)
    assert not gpu.compiles(1e15)
    assert dataclasses.replace(cpu, compile="on").compiles(1)
    assert not dataclasses.replace(gpu, compile="off").compiles(1e30)


def test_images_are_kept_where_they_fit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gipi.engine.place.free_memory", lambda: 1000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 500))
    cpu, gpu = Place(CPU, "fp32", 0), Place(torch.device("cuda"), "bf16", 0)
    assert [place.holds(size) for place in (cpu, gpu) for size in (50, 51, 500, 501)] == [
        True,
        True,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert dataclasses.replace(gpu, resident="on").holds(501)
    assert not dataclasses.replace(cpu, resident="off").holds(1)


def test_a_net_may_stay_contiguous():
    place = decide_place(device="cpu", precision="fp32", layout="contiguous")
    assert place.put_net(nn.Conv2d(3, 4, 3)).weight.is_contiguous()
    assert place.put_images(torch.rand(2, 3, 5, 5)).is_contiguous()
