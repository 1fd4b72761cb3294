"""R-CNN's net: warped regions against loops, the three linear parts, what is learned from, what comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gipi.models.alexnet import alexnet
from gipi.models.rcnn import CONTEXT, RCNN, rcnn_alexnet, rcnn_mobilenet_v2, rcnn_resnet18, warp
from gipi.models.region_net import Truth
from gipi.ops.boxes import encode, iou


@pytest.fixture
def net() -> RCNN:
    torch.manual_seed(0)
    return rcnn_resnet18(classes=3, width=0.125, stem="small", side=16, drawn=12).eval()


@pytest.fixture
def trained(net: RCNN) -> RCNN:
    """With SVMs and regressors, of random numbers."""
    for name in ("weight", "bias", "deltas", "offset"):
        getattr(net, name).normal_(std=0.3)
    net.slope.fill_(1.3)
    net.shift.fill_(-0.2)
    return net


def test_a_region_is_warped_with_context_as_by_loops():
    """16 of 227 pixels on each side are context; what lies outside the image is the mean, 0."""
    image, box, side = torch.randn(2, 11, 13), (3.0, -1.0, 12.5, 6.0), 9
    around = [CONTEXT / (1 - 2 * CONTEXT) * (box[axis + 2] - box[axis]) for axis in (0, 1)]
    got = warp(image, torch.tensor([box]), side)[0]
    for i in range(side):
        for j in range(side):
            x = box[0] - around[0] + (j + 0.5) / side * (box[2] - box[0] + 2 * around[0]) - 0.5
            y = box[1] - around[1] + (i + 0.5) / side * (box[3] - box[1] + 2 * around[1]) - 0.5
            for c in range(2):
                expected = 0.0
                for v in (int(np.floor(y)), int(np.floor(y)) + 1):
                    for u in (int(np.floor(x)), int(np.floor(x)) + 1):
                        if 0 <= v < 11 and 0 <= u < 13:
                            expected += (1 - abs(x - u)) * (1 - abs(y - v)) * float(image[c, v, u])
                assert got[c, i, j] == pytest.approx(expected, abs=1e-5)


def test_the_region_itself_fills_all_but_the_context():
    image = torch.zeros(1, 454, 454)
    image[:, 100:295, 50:245] = 1  # 195 pixels, as many as 227 without twice 16
    square = warp(image, torch.tensor([[50.0, 100.0, 245.0, 295.0]]), 227)[0, 0]
    expected = torch.zeros(227, 227)
    expected[16:211, 16:211] = 1
    torch.testing.assert_close(square, expected, atol=1e-3, rtol=0)


def test_features_are_what_the_classifier_sees(net: RCNN):
    image, regions = torch.randn(3, 20, 24), torch.tensor([[2.0, 3, 12, 15], [0, 0, 24, 20], [5, 5, 9, 9]])
    seen = net.features(image, regions)
    for row, region in enumerate(regions):
        alone = net.body.embed(warp(image, region[None], 16)).flatten()
        torch.testing.assert_close(seen[row], alone, rtol=1e-4, atol=1e-5)
    assert net.features(image, regions[:0]).shape == (0, net.weight.shape[1])


def test_scores_are_the_classifiers_until_there_are_svms(net: RCNN):
    features = torch.randn(5, net.weight.shape[1])
    torch.testing.assert_close(net.scores(features), net.body.answer(features).softmax(1)[:, 1:])
    net.weight[1] = 0.5
    net.slope.fill_(2.0)
    by_hand = 1 / (1 + torch.exp(-2 * 0.5 * features.sum(1)))
    torch.testing.assert_close(net.scores(features)[:, 1], by_hand)


def test_boxes_move_as_encoded(net: RCNN):
    """With features 0 the offsets alone move a box, to where `encode` says they come from."""
    region, target = torch.tensor([[2.0, 3, 12, 15]]), torch.tensor([[4.0, 2, 15, 16]])
    net.offset[2] = encode(target, region)[0]
    moved = net.moved(torch.zeros(1, net.weight.shape[1]), region)
    torch.testing.assert_close(moved[0, 2], target[0])
    torch.testing.assert_close(moved[0, 0], region[0])


def test_detect_is_score_move_and_suppress_by_loops(trained: RCNN):
    image = torch.randn(2, 3, 24, 28)
    corner = torch.rand(2, 30, 2) * 12
    regions = torch.cat([corner, corner + 3 + torch.rand(2, 30, 2) * 9], 2)
    regions[1, 20:] = 0
    sizes = torch.tensor([[24, 28], [17, 20]])
    trained.score, trained.most = 0.3, 20
    with torch.inference_mode():
        found = trained(image, sizes=sizes, regions=regions)
        for number in (0, 1):
            height, width = sizes[number].tolist()
            own = regions[number][: 30 if number == 0 else 20]
            features = trained.features(image[number, :, :height, :width], own)
            boxes, scores = trained.moved(features, own), trained.scores(features)
            every = [
                (float(scores[row, label]), label, boxes[row, label])
                for row in range(len(own))
                for label in range(3)
                if scores[row, label] > 0.3
            ]
            kept: list[tuple[float, int, torch.Tensor]] = []
            for score, label, box in sorted(every, key=lambda one: -one[0]):
                box = torch.stack(
                    [box[0].clamp(0, width), box[1].clamp(0, height), box[2].clamp(0, width), box[3].clamp(0, height)]
                )
                if (box[2:] - box[:2]).min() < 0.01:
                    continue
                if all(other != label or iou(box[None], at[None]) <= 0.3 for _, other, at in kept):
                    kept.append((score, label, box))
            kept = kept[:20]
            assert len(kept) > 3
            assert found.labels[number, : len(kept)].tolist() == [label for _, label, _ in kept]
            torch.testing.assert_close(found.scores[number, : len(kept)], torch.tensor([score for score, _, _ in kept]))
            torch.testing.assert_close(found.boxes[number, : len(kept)], torch.stack([box for *_, box in kept]))
            assert (found.labels[number, len(kept) :] == -1).all()
            assert (found.scores[number, len(kept) :] == 0).all()


def test_what_is_filling_is_not_seen(trained: RCNN):
    image = torch.randn(1, 3, 24, 28)
    regions, sizes = torch.tensor([[[2.0, 2, 20, 17], [4, 4, 16, 16]]]), torch.tensor([[17, 20]])
    trained.score = 0.0
    with torch.inference_mode():
        first = trained.detect(image, sizes, regions)
        image[..., 17:, :], image[..., 20:] = 9.0, 9.0
        again = trained.detect(image, sizes, regions)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_no_region_finds_nothing(trained: RCNN):
    found = trained(torch.randn(1, 3, 20, 20), regions=torch.zeros(1, 4, 4))
    assert (found.labels == -1).all()
    with pytest.raises(ValueError, match="give it regions"):
        trained(torch.randn(1, 3, 20, 20))


def truth(regions: torch.Tensor, ignored: bool = False) -> Truth:
    boxes = torch.tensor([[[2.0, 2, 12, 12], [14, 3, 22, 15], [0, 0, 0, 0]]])
    flags = torch.tensor([[False, ignored, False]])
    return Truth(boxes, torch.tensor([[1, 2, -1]]), flags, torch.tensor([7]), regions, seed=3, epoch=1)


def test_a_quarter_of_what_is_learned_from_is_positive(net: RCNN, monkeypatch: pytest.MonkeyPatch):
    """12 regions are drawn: 3 positive ones, from an IoU of 0.5 on, with the class's label, the rest background."""
    near = torch.tensor([[2.0, 2, 12, 11]]).repeat(8, 1) + torch.linspace(0, 0.8, 8)[:, None]
    far = torch.tensor([[5.0, 12, 20, 22]]).repeat(20, 1) + torch.linspace(0, 1, 20)[:, None]
    targets = []
    cross_entropy = F.cross_entropy

    def seen(logits: torch.Tensor, target: torch.Tensor, **more: str) -> torch.Tensor:
        targets.append(target)
        return cross_entropy(logits, target, **more)

    monkeypatch.setattr(F, "cross_entropy", seen)
    images = torch.randn(1, 3, 24, 24)
    loss = net(images, truth(torch.cat([near, far])[None]))
    assert set(loss) == {"classes"}
    assert sorted(targets[0].tolist())[:9] == [0] * 9
    assert set(targets[0].tolist()) <= {0, 2, 3}
    assert len(targets[0]) == 12
    again = net(images, truth(torch.cat([near, far])[None]))
    assert torch.equal(loss["classes"], again["classes"])  # the same address draws the same
    net(images, truth(far[None], ignored=True))
    assert 3 not in targets[-1].tolist()


def test_the_loss_is_the_mean_over_images(net: RCNN):
    images, regions = torch.randn(2, 3, 24, 24), torch.rand(2, 10, 2) * 10
    regions = torch.cat([regions, regions + 8], 2)
    one = truth(regions[:1])
    both = Truth(
        one.boxes.repeat(2, 1, 1), one.labels.repeat(2, 1), one.ignored.repeat(2, 1), torch.tensor([7, 8]), regions, 3, 1
    )
    single = [
        net(
            images[n : n + 1],
            both._replace(**{f: getattr(both, f)[n : n + 1] for f in ("boxes", "labels", "ignored", "number", "regions")}),
        )
        for n in (0, 1)
    ]
    mean = (single[0]["classes"] + single[1]["classes"]) / 2
    torch.testing.assert_close(net(images, both)["classes"], mean)


def test_it_starts_from_a_classifier_but_its_last_layer():
    torch.manual_seed(1)
    source = alexnet(classes=10, width=0.0625)
    net = rcnn_alexnet(classes=3, width=0.0625)
    before = net.body.head.weight.clone()
    net.load_state_dict(net.from_classifier(source.state_dict()))
    for name, value in source.state_dict().items():
        if not name.startswith("classifier.6"):
            assert torch.equal(net.body.state_dict()[name], value)
    assert torch.equal(net.body.head.weight, before)
    assert net.origin == "alexnet"


def test_buffers_are_part_of_what_is_saved():
    net = rcnn_mobilenet_v2(classes=3, width=0.1, side=32)
    names = {"weight", "bias", "slope", "shift", "deltas", "offset"}
    assert names <= set(net.state_dict())
    assert net.weight.shape == (3, 1280)
    assert net.deltas.shape == (3, 4, 1280)
    assert not any(name in names for name, _ in net.named_parameters())
