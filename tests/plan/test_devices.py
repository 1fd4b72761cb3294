"""The table of devices."""

from __future__ import annotations

import pytest

from gipi.errors import ConfigError
from gipi.plan.devices import ASSUMED, DEVICES, HERE, names


@pytest.mark.parametrize("name", DEVICES)
def test_figures_are_of_a_data_sheet_and_of_one_order(name):
    device = DEVICES[name]
    assert device.name == name
    assert "data sheet" in device.source
    assert 1e13 > device.bandwidth > device.link >= device.network / 8
    assert 1.6e10 <= device.memory <= 2e11
    assert all(peak <= device.flops["fp16"] for peak in device.flops.values())
    # A device's machine balance, operations for each byte of memory traffic, is between 20 and 500 with tensor cores
    assert 20 < device.flops["fp16"] / device.bandwidth < 500


def test_shares_are_shares():
    assert all(0 < share <= 1 for share in ASSUMED.values())
    assert {backward for _, backward in ASSUMED} == {False, True}


def test_auto_is_what_a_training_takes_there():
    assert {name: DEVICES[name].best() for name in ("t4", "v100", "a100", "h100")} == {
        "t4": "fp32",
        "v100": "fp32",
        "a100": "bf16",
        "h100": "bf16",
    }


def test_a_format_that_a_device_does_not_compute():
    with pytest.raises(ConfigError, match=r"t4 does not compute bf16.*allowed: fp16, fp32"):
        DEVICES["t4"].peak("bf16")


def test_another_network():
    assert DEVICES["h100"].over(1e9).network == 1e9
    assert DEVICES["h100"].over(1e9).link == DEVICES["h100"].link


def test_here_is_a_name():
    assert HERE in names()
    assert HERE not in DEVICES
