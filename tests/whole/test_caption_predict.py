"""gipi predict and eval with a captioner: sentences, n-best, JSON, pictures; what is refused of it and of other models."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gipi import api, looks
from gipi.cli.look import inspect
from gipi.cli.predict import predict
from gipi.cli.use import evaluate
from gipi.errors import ConfigError
from gipi.model import save_model
from gipi.models.kinds import build_net
from gipi.ops.overlay import as_image
from gipi.preprocess import Preprocess
from oracle.photos import photo
from oracle.speaker import CARD, painted, speaker, truth

FOUR, OTHER = ("blue", "red", "green", "red"), ("red", "red", "blue", "green")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, colours in (("a.png", FOUR), ("b.png", OTHER)):
        as_image(painted(*colours)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def model(here, monkeypatch):
    """The captioner behind the name "m.safetensors"; "n.safetensors" does not attend."""
    models = {"m.safetensors": speaker(), "n.safetensors": speaker(attends=False)}
    cards = {
        **dict.fromkeys(models, CARD),
        "s.safetensors": replace(CARD, kind="segment"),
        "d.safetensors": replace(CARD, kind="detect"),
        "c.safetensors": replace(CARD, kind="classify"),
    }
    monkeypatch.setattr(api, "find_model", lambda name: name)
    monkeypatch.setattr(api, "read_card", cards.__getitem__)
    for module in (api, looks):
        monkeypatch.setattr(module, "load", lambda name, **how: models[name])
    return models["m.safetensors"]


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_line_a_picture_and_a_bad_file_stops_nothing(model, here, capsys):
    (here / "c.png").write_text("no picture")
    before = names(here)
    assert predict(["m.safetensors", "a.png", "c.png", "b.png"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == ["a.png: blue red green red", "b.png: red red blue green"]
    assert "gipi: image 'c.png'" in said.err
    assert names(here) == before  # nothing is drawn unless told to


def test_several_sentences_each_on_a_line_with_its_log_probability(model, here, capsys):
    assert predict(["m.safetensors", "a.png", "--beam", "81", "--best", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = sorted(truth(painted(*FOUR)).values(), reverse=True)[:3]
    assert lines[0] == f"a.png: blue red green red ({scores[0]:.1f})"
    assert [line.split()[-1] for line in lines] == [f"({score:.1f})" for score in scores]
    assert all(line.startswith("a.png: ") for line in lines)


def test_json_of_a_folder(model, here, capsys):
    for number, colours in enumerate((OTHER, FOUR)):
        (here / "more").mkdir(exist_ok=True)
        as_image(painted(*colours)).save(here / "more" / f"{number}.png")
    assert predict(["m.safetensors", "more", "--best", "4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["file"], row["caption"]) for row in rows] == [
        ("more/0.png", "red red blue green"),
        ("more/1.png", "blue red green red"),
    ]
    for row, colours in zip(rows, (OTHER, FOUR), strict=True):
        chances = truth(painted(*colours))
        assert len(row["sentences"]) == 4
        assert row["sentences"][0] == {key: row[key] for key in ("caption", "log_probability")}
        for one in row["sentences"]:
            assert one["log_probability"] == pytest.approx(chances[one["caption"]], abs=1e-5)
        assert set(row) == {"file", "caption", "log_probability", "sentences"}


def test_drawn_at_random_the_seed_decides(model, here, capsys):
    def said(*flags):
        predict(["m.safetensors", "a.png", "--temperature", "3", "--best", "5", *flags])
        return capsys.readouterr().out

    usual = said()
    model.speak(temperature=0, best=1)
    assert said("--seed", "0") == usual
    assert said("--seed", "5") != usual


def test_pictures_with_their_sentences_are_drawn_where_told(model, here, capsys):
    assert predict(["m.safetensors", "a.png", "b.png", "-o", "new/out", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert names(here / "new" / "out") == ["a-words.png", "a.png", "b-words.png", "b.png"]
    for row in rows:
        answer = model.predict(here / row["file"])
        for key, wanted in (("drawn", answer.draw()), ("words", answer.draw_words())):
            with Image.open(row[key]) as drawn:
                assert np.array_equal(np.asarray(drawn), np.asarray(wanted))
    assert predict(["n.safetensors", "a.png", "-o", "out"]) == 0
    assert names(here / "out") == ["a.png"]
    assert "pictures with their sentences are in out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["m.safetensors", "a.png", "--vote"], r"m\.safetensors writes sentences: .* --vote and --tta are for classifiers"),
        (["m.safetensors", "c.safetensors", "a.png"], "several models, --vote and --tta are for classifiers"),
        (["m.safetensors", "a.png", "--score", "0.3"], r"--score 0\.3 is for a detector; m\.safetensors writes sentences"),
        (["m.safetensors", "a.png", "--coco", "x.json"], r"--coco x\.json is for a detector; m\.safetensors writes"),
        (["c.safetensors", "a.png", "--beam", "5"], r"--beam 5 is for a captioner; c\.safetensors names what is in a picture"),
        (["s.safetensors", "a.png", "--best", "0"], r"--best 0 is for a captioner; s\.safetensors names pixels"),
        (["d.safetensors", "a.png", "--temperature", "0"], r"--temperature 0\.0 is for a captioner; d\.safetensors finds boxes"),
        (["c.safetensors", "a.png", "--seed", "0"], "--seed 0 is for a captioner"),
        (
            ["m.safetensors", "a.mp4"],
            r"a\.mp4 is a video: m\.safetensors reads pictures, a segmentation model or a detector both",
        ),
        (["m.safetensors", "a.png", "-o", "."], r"drawn of a\.png would overwrite the picture a\.png"),
        (
            ["m.safetensors", "a.png", "a-words.png", "-o", "out"],
            r"a\.png and a-words\.png would both be drawn to out.a-words\.png",
        ),
        (["m.safetensors", "a.png", "--beam", "0"], "--beam is 0, allowed are 1 to 100"),
        (["m.safetensors", "a.png", "--best", "9", "--beam", "3"], "--best 9 sentences of a beam of 3"),
        (["m.safetensors", "a.png", "--temperature", "-1"], r"--temperature is -1\.0, allowed are 0\.01 to 100"),
        (["m.safetensors", "a.png", "--seed", "1"], "--seed 1 is for sentences drawn at random: add --temperature 1"),
    ],
)
def test_what_a_model_cannot_do_is_refused_and_nothing_is_written(words, says, model, here):
    photo(here / "a-words.png")
    before = names(here)
    with pytest.raises(ConfigError, match=says):
        predict(words)
    assert names(here) == before


def test_python_refuses_a_captioners_ways_for_other_models(monkeypatch):
    from oracle.finder import Finder

    monkeypatch.setattr(api, "load", lambda name, **how: Finder())
    with pytest.raises(ConfigError, match="--seed are for captioners: m writes no sentences"):
        list(api.predict("m", [], beam=3))


def data(here):
    rows = [("a.png", "Blue red green red."), ("a.png", "red blue green red"), ("b.png", "green green green green")]
    (here / "c.png").write_bytes((here / "a.png").read_bytes())
    lines = ["image,caption,split", "c.png,red,train", *(f"{name},{caption},test" for name, caption in rows)]
    (here / "captions.csv").write_text("\n".join(lines) + "\n")
    return "captions.csv"


def test_scores_of_a_data_set_as_text_and_json(model, here, capsys):
    assert evaluate(["m.safetensors", "--data", f"./{data(here)}"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("m.safetensors on ./captions.csv (test, 2 images): BLEU-4 ")
    assert "exact 50.00%" in text
    assert evaluate(["m.safetensors", "--data", f"./{data(here)}", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["count"], row["exact"]) == (2, 0.5)
    assert f"CIDEr-D {row['cider']:.4f}" in text
    assert f"perplexity {row['perplexity']:.4f}" in text
    assert f"BLEU-4 {row['bleu4']:.2%}" in text


def test_set_without_captions_is_refused(model):
    with pytest.raises(ConfigError, match="data set 'mnist' has no captions; those that have: flickr8k, scenes"):
        evaluate(["m.safetensors", "--data", "mnist"])


@pytest.mark.parametrize("words", [["--why", "a.png"], ["--exciting", "scenes"], ["--regions", "a.png"], ["--dense", "a.png"]])
def test_what_explains_other_kinds_is_refused(words, model, here):
    with pytest.raises(ConfigError):
        inspect(["m.safetensors", *words])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small model file, as it begins."""
    args = {"classes": len(CARD.classes), "width": 0.25, "embedding": 8, "hidden": 8}
    card = replace(CARD, net="attend-alexnet", args=args, preprocess=Preprocess((3, 64, 96), "resize"))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, build_net(card.net, args).state_dict(), card)
    return path


def test_layers_are_those_of_encoder_and_decoder(file):
    table = looks.layers(file)
    net = api.load(file).net
    assert table.parameters == sum(weight.numel() for weight in net.parameters())
    assert table.layers[0].name.startswith("encoder.")
    assert (table.layers[-1].name, table.layers[-1].shape[-1]) == ("answer", len(CARD.classes))


@pytest.mark.slow
def test_features_and_fields_are_drawn(file, here):
    for flag in ("--features", "--fields"):
        assert inspect([str(file), flag, "a.png"]) == 0
        with Image.open(f"{flag[2:]}.png") as drawn:
            assert min(drawn.size) > 100


def test_model_file_says_the_same_alone_and_in_a_folder(file, here, capsys, monkeypatch):
    monkeypatch.setattr("gipi.engine.place.fast_bf16", lambda device: False)
    (here / "more").mkdir()
    for number in range(4):
        photo(here / "more" / f"{number}.png", number, (80, 50))
    predict([str(file), "more", "--json"])
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        predict([str(file), row["file"], "--json"])
        [alone] = json.loads(capsys.readouterr().out)
        assert alone["caption"] == row["caption"]
        assert alone["log_probability"] == pytest.approx(row["log_probability"], abs=1e-3)
