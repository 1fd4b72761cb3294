"""Figures of segmentations: the right masks in the right colours and order, and a legend that names them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from gipi.data.masks import MaskSet
from gipi.errors import DataError
from gipi.inspect.figures import confusion, curves, png_bytes
from gipi.inspect.segment_figures import course, iou_bars, paint, worst
from gipi.ops.segmentation import VOID, iou

CLASSES = ("sky", "$x_{$", "a\nname much too long for the width of one legend")
COLOURS = ((10, 200, 30), (0, 0, 0), (200, 100, 255))
ORANGE = (0xD5, 0x5E, 0x00)


def masks(n: int, h: int = 12, w: int = 16) -> MaskSet:
    """Images of numbered greys; masks of classes 0 and 1, void at the top."""
    labels = torch.zeros(n, h, w, dtype=torch.uint8)
    labels[:, h // 2 :, : w // 2] = 1
    labels[:, :2] = VOID
    images = (torch.arange(n, dtype=torch.uint8) * 10).view(n, 1, 1, 1).expand(n, 3, h, w)
    return MaskSet("made", "test", CLASSES, images, labels, COLOURS, tuple(f"image{i}.png" for i in range(n)))


def picture(fig: Figure) -> np.ndarray:
    """The figure as pixels (h, w, 3), checked to have something on it."""
    pixels = np.asarray(Image.open(io.BytesIO(png_bytes(fig))).convert("RGB"))
    assert pixels.shape[1] == 1120
    assert pixels.std() > 1
    return pixels


def within(fig: Figure) -> bool:
    """Whether every text lies within the figure."""
    fig.draw_without_rendering()
    texts = [text for text in fig.findobj(match=lambda artist: hasattr(artist, "get_text")) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    edge = fig.bbox
    return all(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= edge.x1 + 1 and box.y1 <= edge.y1 + 1 for box in boxes)


def panels(fig: Figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in fig.axes]


def said(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.texts]


def legend(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_paint_has_the_colour_of_each_class_and_stripes_where_nothing_is_labelled() -> None:
    mask = torch.tensor([[0, 1, 2, VOID], [2, 1, 0, VOID]], dtype=torch.uint8)
    pixels = paint(mask, COLOURS)
    for value, colour in enumerate(COLOURS):
        assert (pixels[(mask == value).numpy()] == colour).all()
    assert sorted(pixels[:, 3].tolist()) == [[70] * 3, [190] * 3]


def test_worst_shows_picture_label_answer_and_difference_of_the_lowest_first() -> None:
    data = masks(4)
    answers = torch.zeros_like(data.labels)
    answers[2, 3, 5] = 2
    fig = worst(data, answers, torch.tensor([0.9, float("nan"), 0.1, 0.5]), count=2)
    assert said(fig) == [
        *("The 2 images with the lowest mean IoU, of 4", "picture", "label", "answer", "where they differ"),
        *("image2.png: mean IoU 10.0 %", "image3.png: mean IoU 50.0 %"),
    ]
    seen, label, answer, differs, *_ = panels(fig)
    assert (seen == 20).all()
    assert (label == paint(data.labels[2], COLOURS)).all()
    assert (answer == paint(answers[2], COLOURS)).all()
    orange = (differs == ORANGE).all(2)
    wrong = (data.labels[2] == 1).numpy()
    wrong[3, 5] = True
    assert (orange == wrong).all(), "void is never wrong"
    assert legend(fig) == [CLASSES[0], CLASSES[1], "a name much too long fo…", "not labelled"]
    colours = [tuple(round(255 * part) for part in patch.get_facecolor()[:3]) for patch in fig.legends[0].get_patches()]
    assert colours[:3] == list(COLOURS)
    assert within(fig)
    picture(fig)


def test_legend_names_only_what_is_shown() -> None:
    data = masks(2)
    data.labels[:, :2] = 0
    assert legend(worst(data, data.labels, torch.ones(2))) == [CLASSES[0], CLASSES[1]]


@pytest.mark.parametrize("size", [(64, 96), (360, 480), (90, 40), (40, 300)])
def test_panels_keep_the_aspect_of_the_images(size: tuple[int, int]) -> None:
    data = masks(2, *size)
    fig = worst(data, data.labels, torch.ones(2))
    fig.draw_without_rendering()
    for ax in fig.axes:
        box = ax.get_window_extent()
        assert box.height / box.width == pytest.approx(size[0] / size[1], rel=0.02)
    assert within(fig)


def test_six_are_shown_unless_asked_otherwise() -> None:
    data = masks(7, 4, 6)
    assert len(worst(data, data.labels, torch.ones(7)).axes) == 6 * 4


def test_many_classes_have_a_legend_within_the_figure() -> None:
    k = 60
    data = MaskSet(
        *("many", "test", tuple(f"class number {i}" for i in range(k)), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)),
        *(torch.arange(64, dtype=torch.uint8).view(1, 8, 8) % k, ((1, 2, 3),) * k, ("x.png",)),
    )
    fig = worst(data, data.labels, torch.ones(1))
    assert len(legend(fig)) == k
    assert within(fig)


def test_no_labelled_image_is_said() -> None:
    data = masks(2)
    fig = worst(data, data.labels, torch.full((2,), torch.nan))
    assert said(fig) == ["No image has a labelled pixel"]
    assert not fig.axes


def test_course_shows_the_label_and_then_up_to_four_epochs_with_first_and_last() -> None:
    data = masks(2)
    answers = {epoch: torch.full_like(data.labels, epoch % 3) for epoch in (1, 2, 4, 8, 16, 20)}
    fig = course(answers, data)
    assert said(fig)[1:7] == ["picture", "label", "epoch 1", "epoch 4", "epoch 8", "epoch 20"]
    rows = panels(fig)
    assert len(rows) == 2 * 6
    for row in (rows[:6], rows[6:]):
        assert (row[1] == paint(data.labels[0], COLOURS)).all()
        assert [tuple(panel[0, 0]) for panel in row[2:]] == [COLOURS[epoch % 3] for epoch in (1, 4, 8, 20)]
    assert within(fig)
    assert said(course({3: data.labels}, data))[1:] == ["picture", "label", "epoch 3", "", ""]


def test_parts_that_do_not_fit_are_refused() -> None:
    data = masks(2)
    with pytest.raises(DataError, match=r"\(2, 1, 2\)"):
        worst(data, data.labels[:1], torch.ones(2))
    with pytest.raises(DataError, match=r"\(2, 1\)"):
        course({1: data.labels[:1]}, data)
    with pytest.raises(DataError, match=r"3 x 3, got \(2, 2\)"):
        iou_bars(torch.eye(2, dtype=torch.int64), CLASSES, COLOURS)


def test_bars_are_the_iou_in_the_colours_of_the_classes_and_the_mean_is_marked() -> None:
    matrix = torch.tensor([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    (ax,) = iou_bars(matrix, CLASSES, COLOURS).axes
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([80, 500 / 7, 0])
    assert [tuple(round(255 * part) for part in bar.get_facecolor()[:3]) for bar in ax.patches] == list(COLOURS)
    assert [text.get_text() for text in ax.texts] == ["80.0 %", "71.4 %", "in no label and no answer"]
    (line,) = ax.lines
    assert line.get_xdata()[0] == pytest.approx(float(100 * iou(matrix).nanmean()))
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == list(CLASSES[:2])
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first class is on top"


def test_bars_of_many_classes_are_those_of_lowest_iou() -> None:
    k = 100
    matrix = torch.eye(k, dtype=torch.int64) * 100
    matrix[:, 0] += torch.arange(k)  # the later, the worse
    fig = iou_bars(matrix, [f"c{i}" for i in range(k)], COLOURS * 34)
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert len(labels) == 30
    assert labels[:3] == ["c0", "c99", "c98"]
    assert "the 30 lowest of 100 classes" in fig.axes[0].get_title(loc="left")
    assert within(fig)


@pytest.mark.parametrize("k", [2, 11, 20, 21])
def test_confusion_of_pixels_writes_shares_of_the_rows(k: int) -> None:
    matrix = torch.eye(k, dtype=torch.int64) * 99_000_000
    matrix[0, k - 1] = 1_000_000
    matrix[1, 0] = 100
    fig = confusion(matrix, [f"class ${i} name" for i in range(k)], pixels=True)
    (ax,) = fig.axes
    shares = {text.get_position(): text.get_text() for text in ax.texts}
    expected = {(i, i): "100" for i in range(1, k)} | {(0, 0): "99", (k - 1, 0): "1"}
    assert shares == (expected if k <= 20 else {})
    assert ax.get_title(loc="left") == f"{100 * 1_000_100 / (99_000_000 * k + 1_000_100):.2f} % of the pixels wrong"
    assert within(fig)


def test_curves_draw_the_mean_iou_where_a_classifier_has_its_error() -> None:
    rows = [{"split": "train", "step": step, "loss": 1 / step, "lr": 1e-3} for step in range(1, 9)]
    rows += [{"split": "validation", "step": step, "mean_iou": step / 16, "pixel_accuracy": 0.9} for step in (4, 8)]
    fig = curves([*rows, {"split": "test", "step": 8, "mean_iou": 0.25}])
    assert [ax.get_ylabel() for ax in fig.axes] == ["loss", "mean IoU", "learning rate"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in fig.axes[1].lines}
    assert lines == {"validation": [[4, 25], [8, 50]], "test": [[8, 25]]}
    assert fig.axes[1].get_ylim() == (0, 100)
    assert {text.get_text() for text in fig.axes[0].get_legend().get_texts()} >= {"train"}
