"""Using a captioner: what it says of pictures whose truth is known, in how many ways, and how it is scored."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from gipi.data.captions import CaptionSet
from gipi.engine.place import Place
from gipi.engine.ranks import joined
from gipi.errors import ConfigError, DataError
from gipi.model import Card, save_model
from gipi.models.kinds import build_net
from gipi.ops.metrics import values
from gipi.ops.overlay import as_image
from gipi.ops.text import END, PAD, SPECIALS, UNKNOWN
from gipi.preprocess import Preprocess
from gipi.tasks import captioner as module
from gipi.tasks.captioner import Captioner, Framed
from gipi.tasks.captions import load_captions
from gipi.tasks.classifier import Classifier
from gipi.tasks.speech import BEAM, Speech
from gipi.tasks.trained import ALONE
from oracle.ranks import in_ranks
from oracle.speaker import CARD, painted, speaker, truth

FOUR = ("blue", "red", "green", "red")
WORDS = (*SPECIALS, "a", "dog", "runs", "개")
PICTURES = [painted(*FOUR), painted("red", "red", "blue", "green", seed=1), painted(*["green"] * 4, bright=120, seed=2)]


def file(tmp_path, pixels, name="a.png"):
    as_image(pixels).save(tmp_path / name)
    return tmp_path / name


def captions(texts, pictures=PICTURES):
    names = tuple(f"{number}.png" for number in range(len(pictures)))
    return CaptionSet("colours", "test", torch.stack(list(pictures)), tuple(texts), names)


@pytest.fixture(scope="module", params=["nic-mobilenet-v2", "attend-mobilenet-v2"])
def real(request):
    """A small net as it begins, about to be trained."""
    args = {"classes": len(WORDS), "width": 0.25, "embedding": 8, "hidden": 8, "dropout": 0.5}
    torch.manual_seed(0)
    net = build_net(request.param, args)
    card = Card("caption", request.param, args, WORDS, Preprocess((3, 32, 64), "resize", 0, (0.4,), (0.3,)))
    return Captioner(net.train(), card, ALONE)


def noise(count):
    return torch.randint(0, 256, (count, 3, 32, 64), generator=torch.Generator().manual_seed(count), dtype=torch.uint8)


def test_picture_is_told_quarter_by_quarter_and_the_maps_show_which(tmp_path):
    answer = speaker().predict(file(tmp_path, PICTURES[0]))
    [sentence] = answer.sentences
    assert (answer.text, sentence.words) == ("blue red green red", FOUR)
    assert sentence.log_probability == pytest.approx(truth(PICTURES[0])["blue red green red"], abs=1e-5)
    assert sentence.maps.tolist() == torch.eye(4).view(4, 2, 2).tolist()
    assert answer.pixels.equal(PICTURES[0])


def test_net_that_does_not_attend_has_no_maps(tmp_path):
    assert speaker(attends=False).predict(file(tmp_path, PICTURES[0])).best.maps is None


def test_n_best_are_the_likeliest_of_all_sentences():
    model = speaker()
    model.speak(beam=81, best=20)
    for pixels in PICTURES:
        [answer] = model.answer([Framed(pixels, pixels)])
        chances, told = truth(pixels), {one.text: one.log_probability for one in answer.sentences}
        assert list(told.values()) == pytest.approx(sorted(chances.values(), reverse=True)[:20], abs=1e-5)
        assert told == pytest.approx({text: chances[text] for text in told}, abs=1e-5)


def test_picture_has_as_many_sentences_as_there_are():
    model = speaker(never=-math.inf)
    model.speak(best=100)
    [answer] = model.answer([Framed(PICTURES[0], PICTURES[0])])
    assert len({one.text for one in answer.sentences}) == len(answer.sentences) == 81


def drawn(model, pictures):
    return [[(one.text, one.log_probability) for one in answer.sentences] for answer in model.answer(pictures)]


def test_what_is_drawn_at_random_is_the_pictures_own_and_the_seeds():
    model, framed = speaker(), [Framed(pixels, pixels) for pixels in PICTURES]
    model.speak(temperature=2.0, best=30)
    together = drawn(model, framed)
    assert drawn(model, framed[::-1])[::-1] == together
    assert drawn(model, framed[2:]) == together[2:]
    assert drawn(model, [framed[0], framed[0]]) == [together[0]] * 2
    for pixels, said in zip(PICTURES, together, strict=True):
        assert all(score == pytest.approx(truth(pixels)[text], abs=1e-5) for text, score in said)
        assert [score for _, score in said] == sorted((score for _, score in said), reverse=True)
        assert len({text for text, _ in said}) > 10
    model.speak(seed=1)
    assert drawn(model, framed) != together
    model.speak(seed=0, temperature=0.01, best=1)
    assert drawn(model, framed[:1])[0][0][0] == "blue red green red"


def test_how_it_speaks_until_told_otherwise():
    model = speaker()
    assert model.speech == Speech(BEAM, 1, 0.0, 0)
    model.speak(best=9)
    assert model.speech == Speech(9, 9, 0.0, 0)
    model.speak(best=2, beam=3)
    model.speak(temperature=0.5, seed=7)
    assert model.speech == Speech(3, 2, 0.5, 7)
    model.speak(temperature=0)
    model.speak()
    assert model.speech == Speech(3, 2, 0.0, 7)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"beam": 0}, "--beam is 0, allowed are 1 to 100"),
        ({"beam": 101}, "--beam is 101"),
        ({"best": 0}, "--best is 0, allowed are 1 to 100"),
        ({"beam": 3, "best": 9}, "--best 9 sentences of a beam of 3: give --beam 9, or leave it out"),
        ({"temperature": -1.0}, r"--temperature is -1\.0, allowed are 0\.01 to 100, and 0 for the beam search"),
        ({"temperature": 1e-9}, "--temperature is 1e-09"),
        ({"temperature": math.nan}, "--temperature is nan"),
        ({"temperature": math.inf}, "--temperature is inf"),
        ({"seed": -1, "temperature": 1.0}, "--seed is -1, allowed are 0 to"),
        ({"seed": 2**63, "temperature": 1.0}, "--seed is 9223372036854775808"),
        ({"seed": 3}, "--seed 3 is for sentences drawn at random: add --temperature 1"),
        ({"seed": 3, "temperature": 0.0}, "--seed 3 is for sentences drawn at random"),
        ({"beam": 3, "temperature": 0.7}, r"--beam 3 is for the beam search, but --temperature 0\.7 draws at random"),
    ],
)
def test_what_does_not_fit_together_is_refused_and_nothing_changes(how, says):
    model = speaker()
    with pytest.raises(ConfigError, match=says):
        model.speak(**how)
    assert model.speech == Speech()


def test_evaluation_scores_the_best_sentences_and_the_words_of_the_captions(monkeypatch):
    model = speaker()
    texts = [("Blue, red green red.", "red"), ("red red blue green", "green green green green"), ("blue blue",)]
    data = captions(texts)
    result = model.evaluate(data)
    assert result.answers == ("blue red green red", "red red blue green", "green green green green")
    assert [[model.card.classes[word] for word in row if word not in (END, PAD)] for row in result.spoken.tolist()] == [
        text.split() for text in result.answers
    ]
    assert len(result.cider) == 3
    assert result.cider[1] > result.cider[2] == 0
    got = values(result.metrics)
    assert got["exact"] == pytest.approx(1 / 3)  # the comma makes the first another one
    assert next(iter(got)) == "bleu4"
    monkeypatch.setattr(module, "SPOKEN_AT_ONCE", 2)
    for again in (model.evaluate(data), model.evaluate(data, model.features(data.images))):
        assert values(again.metrics) == pytest.approx(got)
        assert (again.answers, again.spoken.tolist()) == (result.answers, result.spoken.tolist())


def test_perplexity_is_that_of_all_words_and_ends_together():
    model = speaker()
    texts = [("blue red green red", "red red red red"), ("red purple blue green",), ("green green green green",)]
    logs, count = [], 0
    for pixels, each in zip(PICTURES, texts, strict=True):
        chances = truth(pixels)
        for text in each:
            count += 5
            if "purple" not in text:
                logs.append(chances[text])
    seen = F.adaptive_avg_pool2d(PICTURES[1][None].double() / 255, 2)[0].flatten(1)
    for place, word in ((0, 0), (2, 2), (3, 1)):
        logs.append(float((4 * seen[:, place]).log_softmax(0)[word]))
    unknown = torch.tensor([-30.0, -30, -30, *(4 * seen[:, 1]).tolist()]).log_softmax(0)[UNKNOWN]
    wanted = math.exp(-(math.fsum(logs) + float(unknown)) / count)
    assert model.evaluate(captions(texts)).metrics["perplexity"].value == pytest.approx(wanted, rel=1e-4)


def scored_by_one_of_two(rank):
    place = Place(torch.device("cpu"), "fp32", 0, rank=rank, world=2)
    with joined(place, 60, {}):
        result = Captioner(speaker().net, CARD, place).evaluate(captions([("blue red green red",), ("red",), ("red green",)]))
    return values(result.metrics), result.answers, result.spoken.tolist(), result.cider.tolist()


@pytest.mark.slow
def test_processes_share_the_images():
    alone = speaker().evaluate(captions([("blue red green red",), ("red",), ("red green",)]))
    for metrics, *others in in_ranks(2, scored_by_one_of_two):
        assert metrics == pytest.approx(values(alone.metrics))
        assert others == [alone.answers, alone.spoken.tolist(), alone.cider.tolist()]


def test_images_of_another_size_are_refused():
    pictures = [painted(*FOUR, height=8, width=8)]
    with pytest.raises(ConfigError, match="the model sees images of 8x12, but those of 'colours' are of 8x8"):
        speaker().evaluate(captions([("red",)], pictures))


def test_file_is_told_as_the_image_of_a_data_set_is(tmp_path):
    large = painted(*FOUR, height=900, width=800)
    framed = speaker().frame(file(tmp_path, large, "a.jpg"))
    file(tmp_path, large, "b.jpg")
    (tmp_path / "captions.csv").write_text("image,caption,split\na.jpg,red,test\nb.jpg,red,train\n")
    assert framed.seen.equal(load_captions(str(tmp_path / "captions.csv"), "test", side=(8, 12)).images[0])
    assert framed.shown.shape == (3, 640, 569)
    torch.testing.assert_close(framed.shown[:, 100, 100], large[:, 100, 100], atol=3, rtol=0)  # a JPEG


def test_file_that_is_no_picture_is_told(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"a\.png.* is not a PNG"):
        speaker().predict(tmp_path / "a.png")


def test_features_are_the_encoders_view_whatever_the_batch_and_modes_come_back(real):
    pixels = noise(5)
    features = real.features(pixels, at_once=2)
    assert real.net.training
    scaled = (pixels.float() / 255 - 0.4) / 0.3
    real.net.eval()
    with torch.no_grad():
        wanted = real.speaker.encode(scaled)
    real.net.train()
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5)
    features.requires_grad_()  # what a training keeps of them is no tensor of inference mode


def test_loss_is_that_of_the_net_said_word_by_word(real):
    features = real.features(noise(2))
    words = torch.tensor([[[3, 4, END], [5, END, PAD]], [[6, 6, END], [PAD] * 3]])
    got, total = real.loss(features, words), 0.0
    real.net.eval()
    for image, row in ((0, [3, 4, END]), (0, [5, END]), (1, [6, 6, END])):
        with torch.no_grad():
            seen = real.speaker.look(features[image : image + 1])
            hidden, cell = seen.hidden[:, None], seen.cell[:, None]
            for before, word in zip([0, *row], row, strict=False):
                said = real.speaker.step(torch.tensor([[before]]), hidden, cell, seen)
                hidden, cell = said.hidden, said.cell
                total -= float(said.logits[0, 0].log_softmax(0)[word])
    real.net.train()
    assert got.count == 8
    assert float(got.total) == pytest.approx(total, rel=1e-4)


def test_model_file_answers_as_the_net_in_memory(real, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(path, real.net.state_dict(), real.card)
    model = Captioner.load(path, ALONE)
    assert model.vocabulary.words == WORDS
    pixels = [Framed(one, one) for one in noise(2)]
    for ours, theirs in zip(model.answer(pixels), real.answer(pixels), strict=True):
        assert ours.best.words == theirs.best.words
        assert ours.best.log_probability == pytest.approx(theirs.best.log_probability, rel=1e-4)
        assert (ours.best.maps is not None) == real.speaker.ATTENDS
        if ours.best.maps is not None:
            assert ours.best.maps.shape == (len(ours.best.words), *real.speaker.grid(32, 64))
            torch.testing.assert_close(ours.best.maps.sum((1, 2)), torch.ones(len(ours.best.words)))
    with pytest.raises(ConfigError, match="does caption; wanted is a model that does classify"):
        Classifier.load(path, ALONE)


def test_reduced_precision_says_nearly_as_much(real):
    reduced = Captioner(real.net, real.card, replace(ALONE, precision="bf16"))
    features = reduced.features(noise(2))
    assert features.dtype == torch.float32
    said, exact = reduced.say(features), real.say(real.features(noise(2)))
    assert said.log_probability.dtype == torch.float32
    torch.testing.assert_close(said.log_probability, exact.log_probability, rtol=0.05, atol=0.5)


def test_vocabulary_is_that_of_the_card():
    with pytest.raises(DataError):
        Captioner(speaker().net, replace(CARD, classes=("red", "green", "blue", "cat")), Place(torch.device("cpu"), "fp32", 0))
