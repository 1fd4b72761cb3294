"""gipi predict with a segmentation model: pictures, folders, a video; and the self-driving example."""

import json
import runpy
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import gipi
from gipi.cli.predict import predict
from gipi.errors import ConfigError, DataError
from gipi.model import Card, save_model
from gipi.models.convstack import convstack
from gipi.models.segnet import segnet_basic
from gipi.preprocess import Preprocess
from oracle.photos import photo

CAMVID = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist")


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch):
    """What is predicted is compared with what float32 says, whatever this CPU is fastest in."""
    monkeypatch.setattr("gipi.engine.place.fast_bf16", lambda device: False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained net of CamVid's classes."""
    torch.manual_seed(0)
    args = {"classes": 11, "channels": 3, "width": 0.125}
    card = Card("segment", "segnet-basic", args, CAMVID, Preprocess((3, 32, 48), "whole"))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, segnet_basic(**args).state_dict(), card)
    return str(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folder_and_file_become_masks_and_overlays(model, here, capsys):
    files = [photo(here / "street" / f"{name}.png", seed, (48, 32)) for seed, name in enumerate("ab")]
    photo(here / "c.jpg", 3, (50, 30))
    assert predict([model, "street", "c.jpg", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["street/a.png", "street/b.png", "c.jpg"]
    assert names(here / "segmented") == [f"{name}{tail}.png" for name in "abc" for tail in ("-overlay", "")]
    for row, file in zip(rows, [*files, here / "c.jpg"], strict=True):
        answer = gipi.load(model).predict(file)
        with Image.open(row["mask"]) as mask, Image.open(row["overlay"]) as drawn, Image.open(file) as picture:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), answer.mask.numpy())
            assert np.array_equal(np.asarray(drawn), np.asarray(answer.draw()))
            assert row["size"] == list(picture.size)
        counts = {CAMVID[number]: count for number, count in enumerate(answer.mask.flatten().bincount().tolist()) if count}
        assert {one["name"]: one["pixels"] for one in row["classes"]} == counts
        assert sum(one["share"] for one in row["classes"]) == pytest.approx(1)


def test_text_names_classes_and_shares_and_a_bad_file_stops_nothing(model, here, capsys):
    photo(here / "a.png", 0, (48, 32))
    (here / "b.png").write_bytes(b"no picture")
    photo(here / "c.png", 1, (48, 32))
    assert predict([model, "a.png", "b.png", "c.png", "-o", "new/out"]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a.png", "c.png"]
    best = gipi.load(model).predict(here / "a.png").areas[0]
    assert lines[0].startswith(f"a.png: {best.name} ({best.share:.1%})")
    assert "'b.png'" in said.err
    assert names(here / "new" / "out") == ["a-overlay.png", "a.png", "c-overlay.png", "c.png"]


@pytest.mark.parametrize(
    ("files", "out", "says"),
    [
        (["a.png", "a.jpg"], "out", r"a\.png and a\.jpg would both be drawn to out.a\.png"),
        (["a.png", "x/A.png"], "out", r"a\.png and x.A\.png would both be drawn"),
        (["a.png", "a-overlay.png"], "out", "would both be drawn"),
        (["a.png"], ".", r"drawn of a\.png would overwrite the picture a\.png"),
        (["a.jpg", "a.png"], "x", "would both be drawn"),
        (["a.jpg", "x/A.png"], "x", r"would overwrite the picture x.[aA]\.png|both be drawn"),
    ],
)
def test_no_picture_takes_the_place_of_another(files, out, says, model, here):
    for number, file in enumerate(("a.png", "a.jpg", "x/A.png", "a-overlay.png")):
        photo(here / file, number, (48, 32))
    before = {name: (here / name).read_bytes() for name in names(here)}
    with pytest.raises(ConfigError, match=says):
        predict([model, *files, "-o", out])
    assert {name: (here / name).read_bytes() for name in names(here)} == before


def test_folder_without_pictures_is_an_error(model, here):
    (here / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds neither a model\.safetensors nor pictures"):
        predict([model, "empty"])


@pytest.mark.parametrize("words", [("--vote",), ("--tta", "flip"), ("MODEL",)])
def test_votes_views_and_several_models_are_for_classifiers(words, model, here):
    photo(here / "a.png")
    with pytest.raises(ConfigError, match="--vote and --tta are for classifiers"):
        predict([model, *(model if word == "MODEL" else word for word in words), "a.png"])


@pytest.fixture
def classifier(here):
    card = Card(
        "classify", "convstack", {"depth": 1, "width": 1, "classes": 3}, ("a", "b", "c"), Preprocess((1, 28, 28), "resize")
    )
    save_model(here / "c.safetensors", convstack(depth=1, width=1, classes=3).state_dict(), card)
    return "c.safetensors"


def test_classifier_reads_folders_but_draws_nothing_and_reads_no_video(classifier, here, capsys):
    for number in range(3):
        photo(here / "folder" / f"{number}.png", number)
    assert predict([classifier, "folder"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [f"folder/{n}.png" for n in range(3)]
    with pytest.raises(ConfigError, match="--out out is where a segmentation model, a detector or a captioner draws"):
        predict([classifier, "folder", "-o", "out"])
    with pytest.raises(ConfigError, match=r"road\.mp4 is a video"):
        predict([classifier, "road.mp4"])


def test_video(model, here, capsys):
    pytest.importorskip("av")
    from oracle.films import movie, watched

    movie(here / "road.mkv", frames=3, size=(48, 32))
    assert predict([model, "road.mkv", "--json"]) == 0
    said = capsys.readouterr()
    row = json.loads(said.out)
    assert (row["out"], row["frames"], row["size"]) == ("road-segmented.mp4", 3, [48, 32])
    assert "frame 3" in said.err
    assert len(watched(here / "road-segmented.mp4")[0]) == 3
    assert predict([model, "road.mkv", "-o", "out.mp4"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    best = row["classes"][0]
    assert first.startswith(f"road.mkv: {best['name']} ({best['share']:.1%})")
    assert second.startswith("out.mp4: 3 frames, ")
    with pytest.raises(ConfigError, match="a video is read alone, got 2 files"):
        predict([model, "road.mkv", "out.mp4"])


def test_large_picture_is_read_in_tiles_with_the_same_answer(model, here, monkeypatch):
    segmenter = gipi.load(model)
    with Image.open(photo(here / "a.png", 5, (800, 100))) as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    whole = segmenter.masks(pixels[None])[0]
    seen = []
    logits = segmenter.logits
    monkeypatch.setattr(segmenter, "logits", lambda tile: (seen.append(tile.shape[3]), logits(tile))[1])
    monkeypatch.setattr("gipi.tasks.segmenter.most_pixels", lambda place: 1)
    assert (segmenter.masks(pixels[None])[0] == whole).float().mean() > 0.9999
    assert seen == [768, 416]


@pytest.fixture
def driving(root, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["driving.py"])
    return runpy.run_path(str(root / "examples" / "driving.py"))


def test_driving_example_on_a_video_and_on_pictures(driving, model, here, capsys):
    pytest.importorskip("av")
    from oracle.films import movie, watched

    driving["main"](model, str(movie(here / "road.mp4", frames=3, size=(48, 32))), str(here / "driving.mp4"))
    assert "3 frames" in capsys.readouterr().out
    assert len(watched(here / "driving.mp4")[0]) == 3
    driving["main"](model, *(str(photo(here / f"{n}.png", n, (48, 32))) for n in range(2)), str(here / "drawn"))
    assert names(here / "drawn") == ["0-driving.png", "1-driving.png"]


def test_driving_example_measures_road_and_obstacles(driving):
    road, obstacles = torch.zeros(10, 12, dtype=torch.bool), torch.zeros(10, 12, dtype=torch.bool)
    assert driving["nearest"](obstacles) is None
    road[4:7, :6] = True  # of the lower half 2 of 5 rows, half as wide
    assert driving["free"](road) == pytest.approx(0.2)
    obstacles[2, 5] = obstacles[9, 0] = obstacles[9, 11] = True  # the last two are beside the lane
    assert driving["nearest"](obstacles) == pytest.approx(0.3)
    obstacles[6, 4] = True
    assert driving["nearest"](obstacles) == pytest.approx(0.7)


def test_driving_example_paints_road_green_obstacles_red_and_leaves_the_rest(driving):
    paint = driving["Driving"](CAMVID).paint
    pixels = torch.full((3, 90, 400), 100, dtype=torch.uint8)
    mask = torch.zeros(90, 400, dtype=torch.uint8)
    mask[60:, :100], mask[60:, 100:200] = CAMVID.index("Road"), CAMVID.index("Car")
    got = paint(pixels, mask)
    assert got[:, 80, 50].tolist() == [50, 150, 50]
    assert got[:, 80, 150].tolist() == [165, 50, 50]
    assert got[:, 80, 300].tolist() == [100, 100, 100]
    assert not got[:, :30].eq(pixels[:, :30]).all()  # the text
    with pytest.raises(SystemExit, match="knows no Road"):
        driving["Driving"](("Sky",))
