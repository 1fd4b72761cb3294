"""bench/peers/dcgan_plain.py: that the yardstick of generation is the net it says it is, and writes what it is judged by."""

import sys

import numpy as np
import pytest
import torch


@pytest.fixture
def plain(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "bench" / "peers")
    import dcgan_plain

    return dcgan_plain


def parameters(net):
    return sum(weight.numel() for weight in net.parameters())


def test_its_nets_for_64_pixels_have_the_layers_of_the_example(plain):
    """Counted by hand: kernels of 4x4 without biases, two numbers a channel for batch norm."""
    kernels = 16 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert parameters(plain.generator(3, 64)) == kernels + 16 * 100 * 512 + 2 * (512 + 256 + 128 + 64)
    assert parameters(plain.discriminator(3, 64)) == kernels + 16 * 512 * 1 + 2 * (128 + 256 + 512)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_its_nets_make_and_judge_images_of_the_size(plain, channels, size):
    images = plain.generator(channels, size)(torch.zeros(2, 100, 1, 1))
    assert images.shape == (2, channels, size, size)
    assert plain.discriminator(channels, size)(images).shape == (2,)


def test_it_writes_speeds_and_two_sets_of_images(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "SAMPLES", 70)
    monkeypatch.setattr(sys, "argv", ["it", "--data", "digits", "--seconds", "0.1", "--out", str(tmp_path / "plain.npz")])
    plain.main()
    made = np.load(tmp_path / "plain.npz")
    for way in ("running", "by_batch"):
        assert (made[way].shape, made[way].dtype) == ((70, 1, 28, 28), np.uint8)
    assert (made["running"] != made["by_batch"]).any()
    assert len(made["images_per_s"])
    assert made["seconds"] >= 0.1
