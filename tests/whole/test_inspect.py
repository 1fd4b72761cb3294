"""gipi inspect's pictures of fields, exciting images, words and augmentation as a user asks for them."""

import json
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image

import gipi
from gipi.cli.look import inspect
from gipi.config import AugmentConfig, DataConfig, NetConfig, RunConfig, TransferConfig
from gipi.errors import ConfigError, DataError, WeightsError
from gipi.inspect import caption_figures
from gipi.inspect.caption_figures import worst
from gipi.model import Card, save_model
from gipi.models.kinds import build_net
from gipi.ops.text import END, SPECIALS
from gipi.preprocess import Preprocess
from gipi.tasks.caption import Caption
from gipi.tasks.trained import ALONE
from oracle.caption_folders import captions, flickr
from oracle.photos import photo

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
        ((MODEL, "--words", SEVEN), ConfigError, "--words explains captioners, but deepconvnet-mnist does classify"),
        (
            (MODEL, "--out", "x.png"),
            ConfigError,
            "--dense IMAGE, --regions IMAGE, --words IMAGE, --pixels SEED, --augment RECIPE",
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) or "nothing" if isinstance(value, tuple) else None,
)
def test_asked_wrongly(words, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as raised:
        inspect([*map(str, words)])
    assert says in str(raised.value)
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def captioner(folder, net):
    """One with weights that it was born with."""
    args = {"classes": 8, "width": 0.125, "stem": "small", "embedding": 8, "hidden": 8}
    words = (*SPECIALS, "a", "red", "cat", "blue", "dog")
    torch.manual_seed(1)
    weights = build_net(net, args).state_dict()
    weights["answer.bias"][END] -= 5  # it does not end before it has begun
    card = Card("caption", net, args, words, Preprocess((3, 32, 48), "resize", 0, (0.5,) * 3, (0.25,) * 3))
    save_model(folder / "model.safetensors", weights, card)
    return folder / "model.safetensors"


def test_where_a_captioner_that_attends_looks_is_drawn_word_by_word(tmp_path, capsys):
    model = captioner(tmp_path, "attend-resnet18")
    photo(tmp_path / "a.png", 3, (60, 40))
    assert inspect([str(model), "--words", str(tmp_path / "a.png"), "--out", str(tmp_path / "x.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.png'}\n"
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] == 1120
    with pytest.raises(DataError, match=r"missing\.png"):
        gipi.words(model, tmp_path / "missing.png")


def test_captioner_that_looks_once_has_no_words_to_draw(tmp_path):
    photo(tmp_path / "a.png", 3, (60, 40))
    with pytest.raises(ConfigError, match=r"'nic-resnet18' of .* looks once"):
        gipi.words(captioner(tmp_path, "nic-resnet18"), tmp_path / "a.png")


def test_captions_that_are_worst_are_drawn_beside_what_was_said(tmp_path, monkeypatch):
    """Of two test images with the same look, the one whose captions are nothing that the net can say is the worse."""
    model = captioner(tmp_path, "attend-resnet18")
    said = gipi.load(model).predict(SEVEN).text
    made = {"0.png": ["unheard of things"], "1.png": [said], "2.png": ["a dog"]}
    data = flickr(tmp_path / "data", made, {"train": ["2.png"], "test": ["0.png", "1.png"]})
    for name in made:
        Image.open(SEVEN).convert("RGB").save(data / "images" / name)
    drawn = []
    monkeypatch.setattr(caption_figures, "worst", lambda *parts: drawn.append((parts, worst(*parts))) or drawn[0][1])
    assert gipi.mistakes(model, str(data)).size[0] == 1120
    ((captions, answers, _), fig), *_ = drawn
    assert captions.captions == (("unheard of things",), (said,))
    assert answers == (said, said)
    names = [text.get_text() for text in fig.texts if "CIDEr-D" in text.get_text()]
    assert [name.split(":")[0] for name in names[1:]] == ["images/0.png", "images/1.png"]


def test_frozen_captioner_is_fed_features_of_the_images_that_are_drawn(tmp_path):
    model, made = captioner(tmp_path, "attend-resnet18"), captions(f"{n}.png" for n in range(12))
    data = flickr(tmp_path / "data", made, {"train": [*made][:8], "dev": [*made][8:10], "test": [*made][10:]})
    config = replace(
        gipi.RECIPES["attend-scenes"].config,
        net=NetConfig("attend-resnet18", {"width": 0.125, "stem": "small", "embedding": 8, "hidden": 8}),
        data=DataConfig(str(data), batch=3, size=32, augment=AugmentConfig(flip=0.5)),
        transfer=TransferConfig(str(model), frozen=1.0),
        run=RunConfig(epochs=2, device="cpu", precision="fp32"),
    )
    free = replace(config, transfer=replace(config.transfer, frozen=0.0))
    assert gipi.augmented(config).tobytes() == gipi.augmented(free).tobytes()
    tasks = [Caption(each, ALONE) for each in (config, free)]
    for batches in islice(zip(*(task.source() for task in tasks), strict=True), 4):
        features, images = (task.prepare(batch).images for task, batch in zip(tasks, batches, strict=True))
        torch.testing.assert_close(features, tasks[0].model.features(tasks[0].model.pixels(images)), rtol=0.01, atol=0.01)


def test_mirrored_digits_are_drawn_and_the_callers_random_numbers_left_alone():
    config = gipi.RECIPES["deepconvnet-digits"].config
    config = replace(config, data=replace(config.data, augment=AugmentConfig(flip=1.0, mixup=0.2)))
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mirrored digits are warned of
        picture = gipi.augmented(config)
    assert picture.size[0] == 1120
    assert torch.equal(state, torch.get_rng_state())
