"""What is chosen for pictures of one's own follows from what is found, and is said."""

import numpy as np
import pytest
from PIL import Image

from gipi.errors import ConfigError, DataError, WeightsError
from gipi.recipes import RECIPES
from gipi.tasks import choose as choosing
from gipi.tasks.choose import choose


def pictures(folder, counts):
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return str(folder)


@pytest.fixture
def weights(monkeypatch):
    """Weights that are always at hand."""
    monkeypatch.setattr(choosing, "pretrained", lambda source, net: ({}, None))


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("count", "batch"), [(3, 2), (20, 4), (100, 16), (500, 32)])
def test_the_batch_grows_with_the_pictures_to_a_power_of_two(tmp_path, count, batch):
    config, said = choose(pictures(tmp_path / "x", {"cats": count, "dogs": count}))
    training = 2 * (count - -(-count // 5))  # a fifth of each class is the test set
    assert config.data.batch == batch <= max(2, training // 8)
    assert config.run.epochs * (training // batch) <= max(2 * choosing.STEPS, choosing.EPOCHS[0] * (training // batch))
    assert config.data.name == str(tmp_path / "x")
    for word in (f"{training:,} training pictures of 2 classes (cats, dogs)", f"batch {batch}", f"{config.run.epochs} epochs"):
        assert word in said


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("cuda", "recipe"), [(False, "transfer"), (True, "finetune")])
def test_the_machine_decides_how_much_is_trained(tmp_path, monkeypatch, cuda, recipe):
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    config, said = choose(pictures(tmp_path / "x", {"a": 9, "b": 9}))
    assert config.recipe == recipe
    assert config.transfer == RECIPES[recipe].config.transfer
    assert f"recipe {recipe}, mobilenet-v2 from ImageNet" in said


@pytest.mark.parametrize("error", [DataError, WeightsError])
def test_without_weights_it_starts_from_nothing(tmp_path, monkeypatch, error):
    def none(source, net):
        raise error("no network")

    monkeypatch.setattr(choosing, "pretrained", none)
    config, said = choose(pictures(tmp_path / "x", {"a": 9, "b": 9}))
    assert (config.recipe, config.transfer.weights) == ("scratch", "")
    assert "since no ImageNet weights of mobilenet-v2 can be had" in said


@pytest.mark.usefixtures("weights")
def test_what_is_no_set_of_pictures_is_refused(tmp_path):
    with pytest.raises((ConfigError, DataError), match="nowhere"):
        choose(str(tmp_path / "nowhere"))
    with pytest.raises((ConfigError, DataError), match="class"):
        choose(pictures(tmp_path / "one", {"only": 5}))
