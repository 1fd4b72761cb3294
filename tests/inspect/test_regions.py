"""The figure of a detector's stages: what its panels show, for each net that has them."""

from __future__ import annotations

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gipi.data.scenes import scene
from gipi.errors import ConfigError
from gipi.inspect import regions as panels
from gipi.inspect.figures import GREY, png_bytes
from gipi.models.faster_rcnn import fast_rcnn_resnet18_fpn, faster_rcnn_resnet18_fpn
from gipi.models.rcnn import RCNN, rcnn_resnet18
from gipi.models.resnet import resnet18
from gipi.ops import selective_search as search

CLASSES = ("cat", "$dog", "owl")
SMALL = {"classes": 3, "width": 0.125, "stem": "small"}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "LONG", 64)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.from_numpy(scene("train", 0).image)


@pytest.fixture
def rcnn() -> RCNN:
    torch.manual_seed(0)
    net = rcnn_resnet18(**SMALL, side=16).eval()
    net.weight.normal_()
    net.offset[:] = torch.tensor([0.0, 0.0, 0.1, 0.1])
    net.slope.fill_(1.0)
    net.score = 0.3
    return net


def drawn(fig: Figure) -> list[list[tuple[float, float, float, float]]]:
    """The corners of the rectangles of each panel."""
    return [[(p.get_x() + 0.5, p.get_y() + 0.5, p.get_x() + 0.5 + p.get_width(), p.get_y() + 0.5 + p.get_height())
             for p in ax.patches] for ax in fig.axes]  # fmt: skip


def test_each_stage_of_an_rcnn(rcnn: RCNN, pixels: torch.Tensor):
    inputs = (pixels.float() / 255)[None]
    fig = panels.regions_figure(rcnn, inputs, pixels, CLASSES)
    boxes, given = drawn(fig), search.selective_search(pixels)
    assert len(fig.axes) == 6
    with torch.inference_mode():
        features = rcnn.features(inputs[0], given)
        scores, labels = rcnn.scores(features).max(1)
        found = rcnn.detect(inputs, torch.tensor([[64, 96]]), given[None])
    sure = scores.argsort(descending=True)[: int((scores > 0.3).sum())]
    expected = [
        [],
        given[: panels.DRAWN],
        given[sure][: panels.DRAWN],
        rcnn.moved(features, given)[torch.arange(len(given)), labels][sure][: panels.DRAWN].clamp(min=0),
        found.boxes[0][(found.labels[0] >= 0)],
        [],
    ]
    for got, wanted in zip(boxes, expected, strict=True):
        assert len(got) == len(wanted)
        if len(got):
            torch.testing.assert_close(
                torch.tensor(got[::-1])[:, :2].float(), wanted[:, :2].detach().clone().float(), atol=1e-3, rtol=0
            )
    assert {to_hex(patch.get_edgecolor()).upper() for patch in fig.axes[1].patches} == {GREY}
    texts = [text.get_text() for text in fig.axes[4].texts]
    assert len(texts) == min(panels.NAMED, int((found.labels[0] >= 0).sum()))
    assert any(text.startswith("$dog") for text in texts) == (1 in found.labels[0, : panels.NAMED].tolist())
    assert any("regions of selective search" in text.get_text() for text in fig.texts)
    assert png_bytes(fig) == png_bytes(panels.regions_figure(rcnn, inputs, pixels, CLASSES))


def test_each_stage_of_a_faster_rcnn(pixels: torch.Tensor):
    torch.manual_seed(0)
    net = faster_rcnn_resnet18_fpn(**SMALL, fixed=0, pyramid=16, hidden=16, anchor=16, proposals=50).eval()
    net.score, net.overlap = 0.0, 0.4
    inputs = (pixels.float() / 255)[None]
    fig = panels.regions_figure(net, inputs, pixels, CLASSES)
    proposals, before, after = (len(boxes) for boxes in drawn(fig))
    assert net.overlap == 0.4
    assert 0 < proposals <= 50
    assert before >= after > 0
    with torch.inference_mode():
        assert after == min(panels.DRAWN, int((net(inputs).labels >= 0).sum()))
    png_bytes(fig)


def test_a_picture_without_finds_has_its_panels(rcnn: RCNN, pixels: torch.Tensor):
    rcnn.score = 1.1
    fig = panels.regions_figure(rcnn, (pixels.float() / 255)[None], pixels, CLASSES)
    assert [len(boxes) for boxes in drawn(fig)][2:] == [0, 0, 0, 0]
    png_bytes(fig)


def test_other_nets_are_refused(pixels: torch.Tensor):
    inputs = (pixels.float() / 255)[None]
    with pytest.raises(ConfigError, match="Fast R-CNN, which is given its regions"):
        panels.regions_figure(fast_rcnn_resnet18_fpn(**SMALL, fixed=0), inputs, pixels, CLASSES)
    with pytest.raises(ConfigError, match="this is a ResNet"):
        panels.regions_figure(resnet18(**SMALL), inputs, pixels, CLASSES)
