"""gipi predict with a detector: pictures, folders, a video, COCO's results; what is refused of other models."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gipi import api
from gipi.cli.predict import predict
from gipi.errors import ConfigError
from oracle.finder import CARD, CLASSES, Finder
from oracle.photos import photo


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finder(here, monkeypatch):
    """The model behind the name "m.safetensors"."""
    finder = Finder()
    cards = {
        "m.safetensors": CARD,
        "s.safetensors": replace(CARD, kind="segment"),
        "c.safetensors": replace(CARD, kind="classify"),
    }
    monkeypatch.setattr(api, "find_model", lambda name: name)
    monkeypatch.setattr(api, "read_card", cards.__getitem__)
    monkeypatch.setattr(api, "load", lambda *names, **how: finder)
    monkeypatch.setattr(api, "Detector", Finder)
    return finder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folder_and_file_are_drawn_and_told_as_json(finder, here, capsys):
    files = [photo(here / "cells" / f"{name}.png", seed, (48, 32)) for seed, name in enumerate("ab")]
    files.append(photo(here / "c.jpg", 3, (700, 300)))
    assert predict(["m.safetensors", "cells", "c.jpg", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["cells/a.png", "cells/b.png", "c.jpg"]
    assert [row["image_id"] for row in rows] == [1, 2, 3]
    assert names(here / "detected") == ["a.png", "b.png", "c.png"]
    for row, file in zip(rows, files, strict=True):
        answer = finder.predict(file)
        assert answer.json() == {key: row[key] for key in ("boxes", "size")}
        with Image.open(row["drawn"]) as drawn:
            assert np.array_equal(np.asarray(drawn), np.asarray(answer.draw()))
    assert sum(len(row["boxes"]) for row in rows) >= 3


def test_text_counts_boxes_and_a_bad_file_stops_nothing(finder, here, capsys):
    photo(here / "a.png", 0, (48, 32))
    (here / "b.png").write_bytes(b"no picture")
    Image.new("RGB", (30, 20)).save(here / "c.png")
    assert predict(["m.safetensors", "a.png", "b.png", "c.png", "-o", "new/out", "--coco", "found/boxes.json"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"a.png: {finder.predict(here / 'a.png')}", "c.png: nothing"]
    assert "'b.png'" in said.err
    assert "COCO results are in found/boxes.json, the images' names in found/boxes-images.json" in said.err
    assert names(here / "new" / "out") == ["a.png", "c.png"]
    assert [row["id"] for row in json.loads((here / "found" / "boxes-images.json").read_text())["images"]] == [1, 3]


def test_coco_results_and_the_images_beside_them(finder, here, capsys):
    for number in range(3):
        photo(here / "cells" / f"{number}.png", number, (50 + number, 40))
    assert predict(["m.safetensors", "cells", "--score", "0.2", "--coco", "boxes.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = json.loads((here / "boxes.json").read_text())
    beside = json.loads((here / "boxes-images.json").read_text())
    assert beside["categories"] == [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    assert [(one["id"], one["file_name"], one["width"], one["height"]) for one in beside["images"]] == [
        (number + 1, f"cells/{number}.png", 50 + number, 40) for number in range(3)
    ]
    assert len(found) == sum(len(row["boxes"]) for row in told) > 0
    for row in told:
        rows = [one for one in found if one["image_id"] == row["image_id"]]
        assert [CLASSES[one["category_id"] - 1] for one in rows] == [box["label"] for box in row["boxes"]]
        for one, box in zip(rows, row["boxes"], strict=True):
            x, y, width, height = one["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(box["box"])


def test_pycocotools_takes_both_files(finder, here):
    coco = pytest.importorskip("pycocotools.coco")
    photo(here / "a.png", 0, (48, 32))
    predict(["m.safetensors", "a.png", "--coco", "boxes.json"])
    found = coco.COCO("boxes-images.json").loadRes("boxes.json")
    assert found.loadImgs(1)[0]["file_name"] == "a.png"
    assert len(found.loadAnns(found.getAnnIds(1))) == len(finder.predict(here / "a.png").labels)


def test_thresholds_reach_the_model(finder, here, capsys):
    photo(here / "a.png", 0, (48, 32))

    def boxes(*flags):
        predict(["m.safetensors", "a.png", "--json", *flags])
        return json.loads(capsys.readouterr().out)[0]["boxes"]

    usual, all_of_them, none = boxes(), boxes("--score", "0"), boxes("--score", "1")
    assert len(all_of_them) >= len(usual) > len(none) == 0
    boxes("--overlap", "0.3")
    assert finder.overlap == 0.3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["m.safetensors", "a.png", "--vote"], r"m\.safetensors finds boxes: .* --vote and --tta are for classifiers"),
        (["m.safetensors", "a.png", "--tta", "flip"], "--tta are for classifiers"),
        (["m.safetensors", "c.safetensors", "a.png"], "several models, --vote and --tta are for classifiers"),
        (["s.safetensors", "a.png", "--score", "0.3"], r"--score 0\.3 is for a detector; s\.safetensors names pixels"),
        (
            ["c.safetensors", "a.png", "--score", "0"],
            r"--score 0\.0 is for a detector; c\.safetensors names what is in a picture",
        ),
        (["c.safetensors", "a.png", "--overlap", "0.3"], r"--overlap 0\.3 is for a detector"),
        (["s.safetensors", "a.png", "--coco", "x.json"], r"--coco x\.json is for a detector"),
        (["c.safetensors", "a.png", "-o", "out"], "--out out is where a segmentation model, a detector or a captioner draws"),
        (
            ["c.safetensors", "a.mp4"],
            r"a\.mp4 is a video: c\.safetensors reads pictures, a segmentation model or a detector both",
        ),
        (["m.safetensors", "a.mp4", "--coco", "x.json"], r"--coco x\.json is for pictures, and a\.mp4 is a video"),
        (["m.safetensors", "a.png", "--coco", "a.png"], r"--coco a\.png: wanted is a file that ends with \.json"),
        (["m.safetensors", "a.png", "-o", "."], r"drawn of a\.png would overwrite the picture a\.png"),
        (["m.safetensors", "a.png", "x/a.jpg"], r"a\.png and x.a\.jpg would both be drawn to detected.a\.png"),
    ],
)
def test_what_a_model_cannot_do_is_refused_and_nothing_is_written(words, says, finder, here):
    for file in ("a.png", "x/a.jpg"):
        photo(here / file, 0, (48, 32))
    before = names(here)
    with pytest.raises(ConfigError, match=says):
        predict(words)
    assert names(here) == before


def test_video(finder, here, capsys):
    pytest.importorskip("av")
    from oracle.films import movie, watched

    movie(here / "road.mkv", frames=3)
    assert predict(["m.safetensors", "road.mkv", "--json", "--score", "0.1"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["out"], row["frames"], row["size"]) == ("road-detected.mp4", 3, [96, 64])
    assert row["classes"] == [{"name": name, "boxes": 3, "per_frame": 1.0} for name in CLASSES]
    assert len(watched(here / "road-detected.mp4")[0]) == 3
    assert predict(["m.safetensors", "road.mkv", "-o", "out.mp4", "--score", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "road.mkv: nothing"
    assert second.startswith("out.mp4: 3 frames, ")
