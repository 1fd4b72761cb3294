"""The same recipe on a CUDA device: run with -m gpu."""

from dataclasses import replace

import pytest
import torch

from gipi import api
from gipi.recipes import RECIPES

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")]


def test_embedded_digits_are_learned_on_the_device(tmp_path):
    config = RECIPES["deepconvnet-digits"].config
    run = api.train(replace(config, run=replace(config.run, device="cuda")), out=tmp_path / "run")
    assert api.load(run.model_path).card.metrics["accuracy"] > 0.97


def test_training_on_the_device_is_repeatable(tmp_path):
    torch.use_deterministic_algorithms(True)
    config = RECIPES["deepconvnet-digits"].config
    config = replace(config, run=replace(config.run, device="cuda", epochs=2))
    weights = []
    for name in ("straight", "again"):
        run = api.train(config, out=tmp_path / name)
        weights.append(api.load(run.model_path).net.state_dict())
    torch.use_deterministic_algorithms(False)
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
