"""Figures of detections: the right boxes in the right look and order, curves through the right points, counts in their cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gipi.data.boxes import BoxSet
from gipi.errors import DataError
from gipi.inspect.detect_figures import RIGHT, SPARED, WRONG, course, precision_recall, taken_for, worst
from gipi.inspect.figures import curves
from gipi.models.region_net import Found
from gipi.ops.detection import box_confusion, class_scores
from gipi.ops.matching import match

CLASSES = ("cat", "$x_{$", "a name much too long for a figure")
A, B, C = [2.0, 2.0, 10.0, 10.0], [12.0, 2.0, 22.0, 12.0], [1.0, 14.0, 7.0, 19.0]


def data_set(n: int = 3, sizes: tuple[int, int] = (20, 24)) -> BoxSet:
    """Images with A of class 0, B of class 1 and C of class 2, which is ignored."""
    images = (torch.arange(n, dtype=torch.uint8) * 10).view(n, 1, 1, 1).expand(n, 3, 20, 24)
    boxes, labels = torch.tensor([[A, B, C]]).repeat(n, 1, 1), torch.tensor([[0, 1, 2]]).repeat(n, 1)
    ignored = torch.tensor([[False, False, True]]).repeat(n, 1)
    names = tuple(f"image{i}$.png" for i in range(n))
    return BoxSet(
        "made", "test", CLASSES, images, boxes, labels, ignored, names, torch.ones(n), torch.tensor([sizes]).repeat(n, 1)
    )


def found_in(n: int, *finds: tuple[list[float], float, int]) -> Found:
    """The same in every image, and a row of padding."""
    boxes, scores, labels = zip(*finds, ([0.0] * 4, 0.0, -1), strict=True)
    return Found(*(torch.tensor([part]).repeat(n, *[1] * (torch.tensor(part).ndim)) for part in (boxes, scores, labels)))


def drawn(ax) -> list[tuple]:
    """(box, look) of each box on a panel."""
    rows = []
    for patch in ax.patches:
        corner, size = patch.get_xy(), (patch.get_width(), patch.get_height())
        box = [*corner, corner[0] + size[0], corner[1] + size[1]]
        rows.append((box, (to_hex(patch.get_edgecolor()).upper(), patch.get_linestyle())))
    return rows


def within(fig: Figure) -> bool:
    """Whether every text outside the panels lies within the figure."""
    fig.draw_without_rendering()
    extents = [text.get_window_extent() for text in fig.texts if text.get_text()]
    return all(extent.x0 >= 0 and extent.y0 >= 0 and extent.x1 <= fig.bbox.x1 and extent.y1 <= fig.bbox.y1 for extent in extents)


def test_worst_tells_right_missed_false_and_ignored_apart_and_draws_no_low_scores() -> None:
    finds = found_in(4, (A, 0.9, 0), (B, 0.8, 2), (C, 0.7, 2), (A, 0.3, 1))
    fig = worst(data_set(4), finds, torch.tensor([0.5, 0.9, 0.1, 0.3]), count=2)
    assert [text.get_text() for text in fig.texts] == [
        *("The 2 images with the lowest F1, of 4", "label", "found, with a score of 0.5 or more, in percent"),
        *("image2$.png: F1 10.0 %", "image3$.png: F1 30.0 %"),
    ]
    label, answer, *others = fig.axes
    assert len(others) == 2
    assert (np.asarray(label.images[0].get_array()) == 20).all()
    assert drawn(label) == [(A, RIGHT), (B, WRONG), (C, SPARED)]
    assert drawn(answer) == [(A, RIGHT), (B, WRONG), (C, SPARED)]
    assert [text.get_text() for text in label.texts] == ["cat", "$x_{$", "a name much t…"]
    assert [text.get_text() for text in answer.texts] == ["cat 90", "a name much t… 80", "a name much t… 70"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["right", "missed or false", "does not count"]
    assert within(fig)


def test_only_the_picture_of_each_image_is_shown_at_its_aspect() -> None:
    data = data_set(1, (19, 23))
    fig = worst(data, found_in(1, (A, 0.9, 0)), torch.zeros(1))
    fig.draw_without_rendering()
    for ax in fig.axes:
        assert ax.images[0].get_array().shape[:2] == (19, 23)
        assert ax.images[0].get_extent() == [0, 23, 19, 0], "edges of boxes are edges of pixels"
        box = ax.get_window_extent()
        assert box.height / box.width == pytest.approx(19 / 23, rel=0.02)


def test_in_a_crowd_what_is_right_has_no_text() -> None:
    n = 41
    boxes = torch.rand(1, n, 4) * 4
    boxes[..., 2:] += 8
    data = BoxSet(
        *("many", "test", CLASSES, torch.zeros(1, 3, 20, 20, dtype=torch.uint8), boxes, torch.zeros(1, n, dtype=torch.int64)),
        *(torch.zeros(1, n, dtype=torch.bool), ("x",), torch.ones(1), torch.tensor([[20, 20]])),
    )
    found = Found(boxes, torch.full((1, n), 0.9), torch.zeros(1, n, dtype=torch.int64))
    label, answer = worst(data, found, torch.zeros(1)).axes
    assert [text.get_text() for text in label.texts] == [""] * n == [text.get_text() for text in answer.texts]


def test_course_shows_the_labels_and_then_up_to_four_epochs_with_first_and_last() -> None:
    epochs = {epoch: found_in(2, (B, epoch / 20, 1)) for epoch in (1, 2, 4, 10, 16, 20)}
    fig = course(epochs, data_set(2))
    assert [text.get_text() for text in fig.texts][1:6] == ["label", "epoch 1", "epoch 4", "epoch 10", "epoch 20"]
    assert len(fig.axes) == 2 * 5
    label, *answers = fig.axes[5:]
    assert drawn(label) == [(A, RIGHT), (B, RIGHT), (C, SPARED)]
    assert [drawn(ax) for ax in answers] == [[], [], [(B, RIGHT)], [(B, RIGHT)]]
    assert not any(ax.texts for ax in fig.axes)
    assert within(fig)


def test_curves_have_a_dot_at_the_score_that_is_shown() -> None:
    data = data_set(2)
    far = [15.0, 13.0, 23.0, 19.0]
    matches = match(data.boxes, data.labels, data.ignored, data.scales, found_in(2, (A, 0.9, 0), (far, 0.7, 0), (B, 0.4, 1)))
    (ax,) = precision_recall(matches, CLASSES).axes
    cat, dot, other = ax.lines
    np.testing.assert_allclose(cat.get_xydata(), [[50, 100], [100, 100], [100, 200 / 3], [100, 50]])
    np.testing.assert_allclose(dot.get_xydata(), [[100, 50]])
    np.testing.assert_allclose(other.get_xydata(), [[50, 100], [100, 100]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cat  100.0 %", "$x_{$  100.0 %"], (
        "the ignored class has none"
    )


def test_of_many_classes_the_curves_are_those_of_lowest_average_precision() -> None:
    k = 20
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]).repeat(k, 1, 1)
    labels = torch.arange(k).view(k, 1)
    found = Found(
        boxes, torch.full((k, 1), 0.9), labels.where(labels < 2, labels.roll(1, 0))
    )  # of classes 0 and 1 alone all is right
    matches = match(boxes, labels, torch.zeros(k, 1, dtype=torch.bool), torch.ones(k), found)
    assert class_scores(matches, k)["ap50"].tolist() == [1.0, 1.0] + [0.0] * 18
    (ax,) = precision_recall(matches, [f"c{i}" for i in range(k)]).axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"c{i}  0.0 %" for i in range(2, 18)]
    assert "the 16 lowest of 20 classes" in ax.get_title(loc="left")


def test_counts_of_what_is_taken_for_what() -> None:
    data = data_set(1)
    finds = found_in(1, (A, 0.9, 0), (A, 0.8, 1), (B, 0.7, 2))
    matrix = box_confusion(match(data.boxes, data.labels, data.ignored, data.scales, finds), 3)
    (ax,) = taken_for(matrix, CLASSES).axes
    assert {text.get_position(): text.get_text() for text in ax.texts} == {(0, 0): "1", (1, 3): "1", (2, 1): "1"}
    assert ax.get_title(loc="left") == "1 right, 1 of another class, 0 missed, 1 false"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "$x_{$", "a name much too…", "background"]


def test_parts_that_do_not_fit_are_refused() -> None:
    data = data_set(2)
    with pytest.raises(DataError, match=r"\(2, 1, 2\)"):
        worst(data, found_in(1, (A, 0.9, 0)), torch.ones(2))
    with pytest.raises(DataError, match=r"\(2, 1\)"):
        course({1: found_in(1, (A, 0.9, 0))}, data)
    with pytest.raises(DataError, match=r"4 x 4, got \(3, 3\)"):
        taken_for(torch.eye(3, dtype=torch.int64), CLASSES)


def test_curves_of_a_training_draw_the_average_precision() -> None:
    rows = [{"split": "train", "step": step, "loss": 1 / step, "lr": 1e-3} for step in range(1, 9)]
    rows += [{"split": "validation", "step": step, "ap": step / 16, "ap50": 0.9} for step in (4, 8)]
    fig = curves([*rows, {"split": "test", "step": 8, "ap": 0.25}])
    assert [ax.get_ylabel() for ax in fig.axes] == ["loss", "AP", "learning rate"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in fig.axes[1].lines}
    assert lines == {"validation": [[4, 25], [8, 50]], "test": [[8, 25]]}
    assert fig.axes[1].get_ylim() == (0, 100)
