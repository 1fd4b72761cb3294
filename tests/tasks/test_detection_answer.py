"""The answer of a detector: counts, boxes as JSON and as COCO's results, the picture with its boxes."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch

from gipi.ops.draw_boxes import draw_boxes
from gipi.tasks.detection import Detection, often

CLASSES = ("Platelets", "RBC", "WBC")
BOXES = [[2.0, 3.5, 12.25, 33.125], [40.0, 10.0, 60.0, 30.0], [70.0, 0.0, 96.0, 64.0], [5.0, 40.0, 30.0, 60.0]]


def answer(labels=(1, 2, 1, 1), size=(64, 96), classes=CLASSES):
    scores = torch.linspace(0.975, 0.5, len(labels)) if labels else torch.zeros(0)
    pixels = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes = torch.tensor(BOXES[: len(labels)]).view(-1, 4)
    return Detection(classes, pixels, boxes, scores, torch.tensor(labels, dtype=torch.int64))


def test_in_words():
    assert str(answer()) == "3 RBC, 1 WBC (best 98%)"
    assert str(answer((0, 2))) == "1 Platelets, 1 WBC (best 98%)"
    assert str(answer(())) == "nothing"
    assert answer().counts == [("RBC", 3), ("WBC", 1)]


def test_json_has_boxes_by_falling_score_and_the_size():
    got = json.loads(json.dumps(answer().json()))
    assert got["size"] == [96, 64]
    assert [row["label"] for row in got["boxes"]] == ["RBC", "WBC", "RBC", "RBC"]
    assert got["boxes"][0]["box"] == [2.0, 3.5, 12.25, 33.12]
    assert [row["score"] for row in got["boxes"]] == pytest.approx([0.975, 0.975 - 0.475 / 3, 0.975 - 0.95 / 3, 0.5])
    assert answer(()).json() == {"boxes": [], "size": [96, 64]}


def test_coco_rows_say_the_same():
    one = answer()
    rows = json.loads(json.dumps(one.coco(7)))
    assert [row["image_id"] for row in rows] == [7] * 4
    for row, box in zip(rows, one.json()["boxes"], strict=True):
        x, y, width, height = row["bbox"]
        assert CLASSES[row["category_id"] - 1] == box["label"]
        assert row["score"] == box["score"]
        assert [x, y, x + width, y + height] == pytest.approx(box["box"], abs=0.011)
    assert answer(()).coco(7) == []


def test_pycocotools_reads_the_rows_and_scores_an_answer_like_the_truth_in_full(tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    one = answer()
    (tmp_path / "found.json").write_text(json.dumps(one.coco(1)))
    truth = [
        {**row, "id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]} for number, row in enumerate(one.coco(1), 1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    images = [{"id": 1, "file_name": "a.png", "width": 96, "height": 64}]
    (tmp_path / "truth.json").write_text(json.dumps({"images": images, "annotations": truth, "categories": categories}))
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(tmp_path / "truth.json"))
        scored = COCOeval(known, known.loadRes(str(tmp_path / "found.json")), "bbox")
        for step in (scored.evaluate, scored.accumulate, scored.summarize):
            step()
    assert scored.stats[0] == pytest.approx(1)


def test_painted_keeps_the_size_and_names_every_box():
    one = answer()
    texts = ["RBC 98%", "WBC 82%", "RBC 66%", "RBC 50%"]
    colours = [(0, 128, 0), (128, 128, 0), (0, 128, 0), (0, 128, 0)]  # of PASCAL VOC's palette, 2 and 3
    assert one.painted().equal(draw_boxes(one.pixels, one.boxes, texts, colours))
    nothing = answer(())
    assert nothing.painted().equal(nothing.pixels)


@pytest.mark.parametrize(("size", "times"), [((64, 96), 5), ((480, 640), 1)])
def test_drawing_of_a_small_picture_is_enlarged_and_so_are_its_boxes(size, times):
    one = answer(size=size)
    large = one.pixels.repeat_interleave(times, 1).repeat_interleave(times, 2)
    twin = Detection(CLASSES, large, one.boxes * times, one.scores, one.labels)
    got = np.asarray(one.draw())
    assert got.shape == (size[0] * times, size[1] * times, 3)
    assert np.array_equal(got, twin.painted().permute(1, 2, 0).numpy())


def test_colours_of_classes_differ():
    classes = tuple(f"c{number}" for number in range(80))
    seen = set()
    black, box, score = torch.zeros(3, 100, 100, dtype=torch.uint8), torch.tensor([[10.0, 30, 90, 90]]), torch.ones(1)
    for number in range(80):
        painted = Detection(classes, black, box, score, torch.tensor([number])).painted()
        seen.add(tuple(painted[:, 60, 10].tolist()))
    assert len(seen) == 80
    assert (0, 0, 0) not in seen


def test_how_often_is_the_mean_over_all_frames():
    assert [one.json() for one in often(CLASSES, torch.tensor([1, 0, 8]), 4)] == [
        {"name": "WBC", "boxes": 8, "per_frame": 2.0},
        {"name": "Platelets", "boxes": 1, "per_frame": 0.25},
    ]
