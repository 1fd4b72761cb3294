"""gipi inspect's pictures of fields, exciting images and augmentation as a user asks for them."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import gipi
from gipi.cli.look import inspect
from gipi.config import AugmentConfig
from gipi.errors import ConfigError, DataError, WeightsError

SEVEN = Path(__file__).parents[2] / "docs" / "images" / "seven.png"
MODEL = "deepconvnet-mnist"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((MODEL, "--fields", SEVEN), "fields.png"),
        ((MODEL, "--why", SEVEN), "why.png"),
        ((MODEL, "--why", SEVEN, "--label", "1"), "why.png"),
        ((MODEL, "--exciting", "digits"), "exciting.png"),
        ((MODEL, "--exciting", "digits", "--layer", "features.8", "--channel", "0"), "exciting.png"),
        (("--augment", "deepconvnet-digits"), "augment.png"),
    ],
    ids=lambda value: " ".join(map(str, value[:4])) if isinstance(value, tuple) else None,
)
def test_picture_is_drawn(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert inspect([*map(str, words), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": name}
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with Image.open(name) as picture:
        assert picture.size[0] == 1120


def test_out_names_the_picture(tmp_path, capsys):
    assert inspect([MODEL, "--fields", str(SEVEN), "--out", str(tmp_path / "x.webp")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.webp'}\n"
    with Image.open(tmp_path / "x.webp") as picture:
        assert picture.format == "WEBP"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ((), ConfigError, "gipi inspect MODEL, or gipi inspect --augment RECIPE"),
        (("--fields", SEVEN), ConfigError, "gipi inspect MODEL"),
        ((MODEL, "--augment", "deepconvnet-digits"), ConfigError, f"leave '{MODEL}' out"),
        ((MODEL, "--fields", SEVEN, "--exciting", "digits"), ConfigError, "one picture at a time, got --fields and --exciting"),
        (("--augment", "deepconvnet-digist"), ConfigError, "no recipe 'deepconvnet-digist'; did you mean 'deepconvnet-digits'"),
        ((MODEL, "--layer", "features.0"), ConfigError, "add --exciting DATA"),
        ((MODEL, "--fields", SEVEN, "--channel", "0"), ConfigError, "add --exciting DATA"),
        ((MODEL, "--label", "7"), ConfigError, "add --why IMAGE"),
        ((MODEL, "--fields", SEVEN, "--label", "7"), ConfigError, "add --why IMAGE"),
        ((MODEL, "--why", SEVEN, "--label", "seven"), ConfigError, "no class 'seven' (allowed: 0, 1, 2, 3"),
        ((MODEL, "--why", "missing.png"), DataError, "missing.png"),
        ((MODEL, "--exciting", "digits", "--channel", "0"), ConfigError, "channel 0 of which layer"),
        ((MODEL, "--exciting", "digits", "--layer", "faetures.8"), ConfigError, "did you mean 'features.8'"),
        ((MODEL, "--exciting", "digits", "--layer", "features.8", "--channel", "32"), ConfigError, "allowed are 0 to 31"),
        ((MODEL, "--exciting", "digist"), ConfigError, "'digist'; did you mean 'digits'"),
        ((MODEL, "--fields", "missing.png"), DataError, "missing.png"),
        (("deepconvnet-mnits", "--exciting", "digits"), WeightsError, f"did you mean '{MODEL}'"),
        ((MODEL, "--out", "x.png"), ConfigError, "--dense IMAGE, --regions IMAGE, --augment RECIPE"),
    ],
    ids=lambda value: " ".join(map(str, value)) or "nothing" if isinstance(value, tuple) else None,
)
def test_asked_wrongly(words, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as raised:
        inspect([*map(str, words)])
    assert says in str(raised.value)
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_mirrored_digits_are_drawn_and_the_callers_random_numbers_left_alone():
    config = gipi.RECIPES["deepconvnet-digits"].config
    config = replace(config, data=replace(config.data, augment=AugmentConfig(flip=1.0, mixup=0.2)))
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mirrored digits are warned of
        picture = gipi.augmented(config)
    assert picture.size[0] == 1120
    assert torch.equal(state, torch.get_rng_state())
