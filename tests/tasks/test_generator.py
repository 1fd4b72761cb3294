"""Images of noise: the laws of seeds, ways and sums, the classes that are asked for, and what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.errors import ConfigError, GipiError, RunError
from gipi.model import load_model
from gipi.ops.gallery import grid
from gipi.tasks import generator as module
from gipi.tasks.films import Reel, film_of_epochs
from gipi.tasks.generation import Term, read_terms
from gipi.tasks.generator import BETWEEN, STEPS, WALKERS, Generator
from gipi.tasks.trained import ALONE
from oracle.films import watched
from oracle.maker import CLASSES, generator


@pytest.fixture(scope="module")
def plain():
    return generator()


@pytest.fixture(scope="module")
def asked():
    return generator(conditional=True)


def far(one, other):
    """The largest difference of two sets of images, in grey levels."""
    return int((one.int() - other.int()).abs().max())


def test_noise_is_normal_and_that_of_few_images_begins_that_of_many(plain):
    noise = plain.noise(4000, 5)
    assert noise.shape == (4000, 16, 1, 1)
    assert torch.equal(noise[:8], plain.noise(8, 5))
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.var()) == pytest.approx(1, abs=0.03)
    assert float(torch.corrcoef(noise[:, :, 0, 0].T).fill_diagonal_(0).abs().max()) < 0.08


def test_no_noise_of_one_seed_is_that_of_another(plain):
    rows = torch.cat([plain.noise(500, seed) for seed in (0, 1, 2, 2**32 - 1)]).flatten(1)
    assert len(rows.unique(dim=0)) == 2000


def test_images_are_the_nets_own_whatever_the_batch_and_modes_stay(plain, monkeypatch):
    noise = plain.noise(30, 1)
    with torch.no_grad():
        direct = ((plain.net(noise) + 1) * 127.5).round().byte()
    plain.net.train()
    made = plain.images(noise)
    assert plain.net.training
    plain.net.eval()
    assert made.dtype == torch.uint8
    assert far(made, direct) <= 1
    assert made.float().std() > 30  # there is something to see
    monkeypatch.setattr(module, "AT_ONCE", 7)
    assert far(plain.images(noise), made) <= 1
    monkeypatch.setattr(module, "PIXELS", 1)
    assert far(plain.images(noise), made) <= 1


def test_same_seed_gives_the_same_bytes_another_one_others(plain):
    one, again, other = plain.make(9, seed=7), plain.make(9, seed=7), plain.make(9, seed=70)
    assert torch.equal(one.images, again.images)
    assert far(one.images, other.images) > 100


def test_each_image_has_a_seed_by_which_it_comes_again(plain):
    many = plain.make(12, seed=40).images
    for number in (0, 3, 11):
        assert far(plain.make(1, seed=40 + number).images, many[number : number + 1]) <= 1
    assert far(plain.images(plain.noise(1, 43)), many[3:4]) <= 1


def test_a_class_is_made_alone_or_all_in_turn(asked):
    in_turn, dogs = asked.make(6), asked.make(6, label="dog")
    assert in_turn.classes == CLASSES * 2
    assert dogs.classes == ("dog",) * 6
    assert far(in_turn.images[1::3], dogs.images[1::3]) <= 1
    assert far(in_turn.images[::3], dogs.images[::3]) > 100
    assert dogs.json() == {"count": 6, "seed": 0, "classes": ["dog"] * 6}


def test_one_without_classes_has_no_use_for_labels_and_tells_none(plain):
    noise = plain.noise(4, 0)
    assert torch.equal(plain.images(noise, torch.tensor([0, 1, 2, 0])), plain.images(noise))
    assert plain.make(2, seed=3).json() == {"count": 2, "seed": 3}


@pytest.mark.parametrize("count", [1, 3])
def test_a_row_leads_from_one_seeds_image_to_the_others(asked, count):
    row = asked.between(3, 8, count)
    assert (len(row.images), row.columns) == (count * BETWEEN, BETWEEN)
    ends = [asked.images(asked.noise(count, seed)) for seed in (3, 8)]
    for end, images in zip(ends, (row.images[::BETWEEN], row.images[BETWEEN - 1 :: BETWEEN]), strict=True):
        assert far(end, images) <= 1
    assert row.classes == tuple(name for name in CLASSES[:count] for _ in range(BETWEEN))
    steps = (row.images[1:BETWEEN].float() - row.images[: BETWEEN - 1].float()).abs().mean((1, 2, 3))
    whole = (row.images[0].float() - row.images[BETWEEN - 1].float()).abs().mean()
    assert steps.max() < 0.6 * whole  # no leap


def test_a_walk_passes_the_seeds_and_ends_one_step_before_it_begins(asked):
    reel = asked.walk([1, 2, 3], count=4)
    assert len(reel.frames) == 3 * STEPS
    for number, seed in enumerate((1, 2, 3)):
        seen, wanted = (np.asarray(one, int) for one in (reel.frames[number * STEPS], grid(asked.images(asked.noise(4, seed)))))
        assert np.abs(seen - wanted).max() <= 1
    first, second, last = (np.asarray(reel.frames[number], float) for number in (0, 1, -1))
    assert np.abs(last - first).mean() == pytest.approx(np.abs(second - first).mean(), rel=1)
    assert reel.json() == {"frames": 90, "seconds": 4.5, "seeds": [1, 2, 3], "count": 4, "classes": ["cat", "dog", "eel", "cat"]}


def test_sixteen_walk_unless_said_otherwise(plain):
    side = round(WALKERS**0.5) * (56 + 2) - 2
    assert plain.walk([1, 2]).frames[0].size == (side, side)
    assert plain.walk([1, 2], count=1).frames[0].size == (56, 56)


def test_what_is_added_and_taken_away_again_leaves_what_was_there(plain):
    there = plain.arithmetic("4-9+9")
    assert torch.allclose(there.noise, plain.noise(1, 4), atol=1e-6)
    assert far(there.result[None], plain.make(1, seed=4).images) <= 1


def test_a_sum_is_that_of_the_means_of_its_terms(plain):
    total = plain.arithmetic("1,2,3 - 4,5 + 6")
    mean = [torch.cat([plain.noise(1, seed) for seed in seeds]).mean(0) for seeds in ((1, 2, 3), (4, 5), (6,))]
    assert torch.allclose(total.noise[0], mean[0] - mean[1] + mean[2], atol=1e-6)
    assert far(total.result[None], plain.images(total.noise)) <= 1
    assert far(total.means, plain.images(torch.stack(mean))) <= 1
    assert [len(images) for images in total.sources] == [3, 2, 1]
    assert far(total.sources[0], plain.make(3, seed=1).images) <= 1
    assert total.json()["terms"][1] == {"sign": "-", "seeds": [4, 5]}


def test_a_sum_is_of_one_class(asked):
    noise = asked.arithmetic("1-2").noise
    assert far(asked.arithmetic("1-2").result[None], asked.images(noise, torch.tensor([0]))) <= 1
    assert far(asked.arithmetic("1-2", "eel").result[None], asked.images(noise, torch.tensor([2]))) <= 1


def test_terms_are_read_with_signs_commas_and_blanks():
    assert read_terms("-1 + 20,3") == (Term("-", (1,)), Term("+", (20, 3)))


@pytest.mark.parametrize("text", ["", "+", "1-", "1,,2", "1,-2", "a", "1*2", "1--2", "1.5"])
def test_what_is_no_sum_is_refused(text, plain):
    with pytest.raises(ConfigError, match=r"--arithmetic '.*': wanted are seeds"):
        plain.arithmetic(text)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda model: model.make(0), "--count is 0, allowed are 1 to 100,000"),
        (lambda model: model.make(100_001), "--count is 100001, allowed"),
        (lambda model: model.make(1, seed=-1), r"seed -1: allowed are 0 to 2\*\*32 - 1"),
        (lambda model: model.make(2, seed=2**32 - 1), "seed 4294967296: allowed"),
        (lambda model: model.make(1, label="cta"), r"--class cta: .* did you mean 'cat'\? \(allowed: cat, dog, eel\)"),
        (lambda model: model.between(1, 2**32), "seed 4294967296: allowed"),
        (lambda model: model.walk([1]), "--walk 1: name two seeds or more"),
        (lambda model: model.walk([1, 2], count=101), "--count is 101, allowed are 1 to 100"),
        (lambda model: model.arithmetic("1+99999999999"), "seed 99999999999: allowed"),
    ],
)
def test_what_cannot_be_made_is_refused(ask, says, asked):
    with pytest.raises(ConfigError, match=says):
        ask(asked)


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.make(1, label="cat"),
        lambda model: model.between(1, 2, label="cat"),
        lambda model: model.walk([1, 2], label="cat"),
        lambda model: model.arithmetic("1", label="cat"),
    ],
)
def test_a_class_is_not_to_be_asked_of_one_that_was_not_trained_for_it(ask, plain):
    with pytest.raises(ConfigError, match=r"--class cat: .* was not trained with --gan\.conditional"):
        ask(plain)


def test_a_model_file_makes_the_same(asked, tmp_path):
    asked.save(tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors")[1] == asked.card
    again = Generator.load(tmp_path / "m.safetensors", ALONE)
    assert torch.equal(again.make(5).images, asked.make(5).images)


def test_images_are_written_as_one_picture_or_singly(plain, tmp_path):
    made = plain.make(5, seed=2)
    made.save(tmp_path / "new" / "grid.png")
    with Image.open(tmp_path / "new" / "grid.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(made.draw()))
    made.save(tmp_path / "single")
    files = sorted((tmp_path / "single").iterdir())
    assert [file.name for file in files] == [f"000{number}.png" for number in range(5)]
    for file, image in zip(files, made.images, strict=True):
        with Image.open(file) as picture:
            assert np.array_equal(np.asarray(picture), image[0].numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_holds_every_frame_for_its_time(channels, tmp_path):
    reel = replace(whole := generator(channels=channels, size=32).walk([1, 2], count=2), frames=whole.frames[:12])
    reel.save(tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as film:
        assert (film.n_frames, film.info["loop"]) == (12, 0)
        for number in (0, 5, 11):
            film.seek(number)
            assert film.info["duration"] == 50
            away = np.abs(np.asarray(film.convert("RGB"), int) - np.asarray(reel.frames[number].convert("RGB"), int))
            assert away.mean() < (0.01 if channels == 1 else 8)  # 256 colours a frame


def test_a_video_holds_every_frame_and_the_last_one_longer(plain, tmp_path):
    frames = plain.walk([1, 2], count=3).frames[:7]
    Reel(frames, 200, 1000).save(tmp_path / "film.mp4")
    pictures, times, rate, _ = watched(tmp_path / "film.mp4")
    assert (len(pictures), float(rate)) == (7 + 4, 5)
    assert times == pytest.approx([number / 5 for number in range(11)])
    for number in (0, 6, 10):
        wanted = np.asarray(frames[min(number, 6)].convert("RGB"), int)
        seen = pictures[number][: wanted.shape[0], : wanted.shape[1]].astype(int)
        assert np.abs(seen - wanted).mean() < 12


def test_a_film_of_odd_sides_is_padded(tmp_path):
    pictures = tuple(Image.new("RGB", (57, 31), (200, 10 * number, 0)) for number in range(3))
    Reel(pictures, 100).save(tmp_path / "film.mp4")
    seen, *_ = watched(tmp_path / "film.mp4")
    assert seen[0].shape == (32, 58, 3)
    assert np.abs(seen[0][-1, -1].astype(int) - (200, 0, 0)).max() < 12


def drawn(run, epochs, size=(60, 40)):
    (run / "samples").mkdir(parents=True, exist_ok=True)
    for epoch in epochs:
        Image.new("L", size, epoch * 20).save(run / "samples" / f"epoch-{epoch:04d}.png")


def test_epochs_follow_each_other_and_the_last_one_is_held(tmp_path):
    drawn(tmp_path, (1, 2, 10))
    Image.new("L", (9, 9)).save(tmp_path / "samples" / "other.png")
    reel = film_of_epochs(tmp_path)
    assert [np.asarray(frame)[5, 5, 0] for frame in reel.frames] == [20, 40, 200]
    assert reel.times_ms == [200, 200, 2000]
    assert json.dumps(reel.json())
    assert reel.json()["epochs"] == [1, 2, 10]
    reel.save(tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3
        film.seek(2)
        assert film.info["duration"] == 2000


def test_many_epochs_go_faster(tmp_path):
    drawn(tmp_path, range(1, 121), (150, 9))
    assert film_of_epochs(tmp_path).times_ms[:2] == [80, 80]


def test_a_run_without_pictures_or_with_bad_ones_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"samples holds no pictures epoch-0001\.png"):
        film_of_epochs(tmp_path)
    with pytest.raises(ConfigError, match="--epochs wants the run folder"):
        film_of_epochs(tmp_path / "none")
    drawn(tmp_path, (1, 2))
    (tmp_path / "samples" / "epoch-0002.png").write_text("no picture")
    with pytest.raises(RunError, match=r"epoch-0002\.png cannot be read"):
        film_of_epochs(tmp_path)
    drawn(tmp_path, (2,), (8, 8))
    with pytest.raises(RunError, match="several sizes"):
        film_of_epochs(tmp_path)


@pytest.mark.parametrize(
    ("save", "says"),
    [
        (lambda model, folder: model.make(2).save(folder / "x.pdf"), r"cannot write a picture .*x\.pdf: allowed are \.png"),
        (lambda model, folder: model.arithmetic("1+2").save(folder), "--arithmetic gives one picture, and .* is a folder"),
        (lambda model, folder: model.arithmetic("1+2").save(folder / "x.txt"), r"cannot write a picture .*x\.txt"),
        (lambda model, folder: model.walk([1, 2], 1).save(folder / "x.png"), r"cannot write a film .*: allowed are \.gif, \.mp4"),
        (lambda model, folder: model.walk([1, 2], 1).save(folder), "cannot write a film"),
        (lambda model, folder: model.make(2).save(folder / "file" / "x.png"), "choose another place with --out"),
        (lambda model, folder: model.walk([1, 2], 1).save(folder / "file" / "x.gif"), "choose another file with --out"),
    ],
)
def test_what_cannot_be_written_is_an_error(save, says, plain, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GipiError, match=says):
        save(plain, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
