"""The main promise, as a slow test: the default recipe reads MNIST better than the textbook."""

import pytest

from gipi import api
from gipi.errors import DataError
from gipi.recipes import RECIPES


@pytest.mark.slow
def test_the_default_recipe_beats_the_textbook(tmp_path):
    try:
        api.load_images("mnist", "test")
    except DataError:
        pytest.skip("MNIST is not at hand")
    run = api.train(RECIPES["deepconvnet-mnist"].config, out=tmp_path / "run")
    assert api.load(run.model_path).card.metrics["accuracy"] >= 0.9938


def test_the_shipped_model_scores_what_its_card_says():
    try:
        api.load_images("mnist", "test")
    except DataError:
        pytest.skip("MNIST is not at hand")
    metrics = api.evaluate("deepconvnet-mnist", "mnist").metrics
    assert metrics["accuracy"].value == pytest.approx(api.load("deepconvnet-mnist").card.metrics["accuracy"], abs=1e-9)
    assert metrics["accuracy"].value >= 0.9938
