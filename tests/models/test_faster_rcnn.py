"""Faster and Fast R-CNN: torchvision's names, shapes and answers; losses against loops; the laws of what is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gipi.models import faster_rcnn as factories
from gipi.models.anchors import draw, match
from gipi.models.box_head import ADDRESS, WEIGHTS
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.region_net import Found, Truth
from gipi.models.resnet import resnet18, resnet34
from gipi.models.two_stage import FasterRCNN, published
from gipi.models.vgg import vgg16
from gipi.ops.boxes import encode, iou

KEYS = json.loads((Path(__file__).parents[1] / "oracle" / "faster_rcnn_keys.json").read_text())["faster_rcnn_resnet50_fpn"]
SMALL: dict[str, Any] = {"width": 0.125, "classes": 3, "stem": "small", "pyramid": 16, "hidden": 32, "drawn": 32, "fixed": 0}
KNOWN = [[[4.0, 6, 26, 30], [40, 20, 72, 60]], [[50.0, 10, 80, 34], [0, 0, 0, 0]]]


def small(**args: Any) -> FasterRCNN:
    torch.manual_seed(0)
    return factories.faster_rcnn_resnet18_fpn(**{**SMALL, "anchor": 16, "proposals": 20, **args})


def given(**args: Any) -> FasterRCNN:
    torch.manual_seed(0)
    return factories.fast_rcnn_resnet18_fpn(**{**SMALL, **args})


def scene(count: int = 2) -> tuple[Tensor, Truth]:
    """Images of 64x96 whose boxes are of one colour each, three in all."""
    boxes, labels = torch.tensor(KNOWN)[:count], torch.tensor([[0, 2], [1, -1]])[:count]
    images = 0.1 * torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    for image, own, kinds in zip(images, boxes.long().tolist(), labels.tolist(), strict=True):
        for (x0, y0, x1, y1), kind in zip(own, kinds, strict=True):
            image[kind, y0:y1, x0:x1] += 2
    ignored = torch.zeros_like(labels, dtype=torch.bool)
    return images, Truth(boxes, labels, ignored, torch.tensor([11, 12])[:count], None, 0, 1)


def row(truth: Truth, number: int) -> Truth:
    fields = [field[number : number + 1] if isinstance(field, Tensor) else field for field in truth]
    return Truth(*fields)


# --- torchvision's


def test_names_and_shapes_of_all_weights():
    with torch.device("meta"):
        net = factories.faster_rcnn_resnet50_fpn()
    wanted: list[tuple[str, tuple[int, ...]]] = []
    for entry in KEYS.split(", "):
        module, kind, size = entry.split()
        shape = tuple(map(int, size.split("x")))
        parts = {"plain": (), "biased": ("bias",), "frozen": ("bias", "running_mean", "running_var")}[kind]
        wanted += [(f"{module}.weight", shape), *((f"{module}.{part}", shape[:1]) for part in parts)]
    assert [(key, tuple(value.shape)) for key, value in net.state_dict().items()] == wanted
    assert sum(weight.numel() for weight in net.parameters()) == 41_755_286  # of torchvision's page of models
    held = {name for name, weight in net.named_parameters() if not weight.requires_grad}
    assert held == {name for name in held if name.startswith(("backbone.body.conv1", "backbone.body.layer1."))}
    assert len(held) == 11


@pytest.mark.slow
def test_sizes_of_the_docstring():
    lines = [line.split("|") for line in str(factories.__doc__).splitlines() if line.startswith("| fast")]
    assert len(lines) == 7
    for _, name, parameters, classes, *_ in lines:
        with torch.device("meta"):
            net = getattr(factories, name.strip())()
        assert f"{sum(weight.numel() for weight in net.parameters()):,}" == parameters.strip()
        assert net.roi_heads.box_predictor.cls_score.out_features == int(classes) + 1


@torch.no_grad()
def test_the_first_releases_weights_are_renamed_and_their_norms_have_no_epsilon():
    net = small(fixed=4)
    now, first = net.state_dict(), {}
    for name, value in now.items():
        if name.endswith("running_var"):
            value.uniform_(1e-6, 1e-4)
        name = name.replace("conv.0.0.", "conv.") if name.startswith("rpn") else name
        first[re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name)] = value
    assert "backbone.fpn.inner_blocks.1.bias" in first
    taken = published(first)
    assert list(taken) == list(now)
    assert published(now) == now, "today's names are left as they are"
    norm, x = net.backbone.body.bn1, torch.randn(1, 8, 4, 4)
    wanted = (x - norm.running_mean[:, None, None]) / norm.running_var[:, None, None].sqrt()
    net.load_state_dict(taken)
    torch.testing.assert_close(net.backbone.body.bn1(x), wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_answers_are_those_of_torchvision():
    try:
        from torchvision.models import detection, resnet50  # pyright: ignore[reportMissingImports]
        from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor  # pyright: ignore[reportMissingImports]
        from torchvision.models.detection.image_list import ImageList  # pyright: ignore[reportMissingImports]
        from torchvision.ops.misc import FrozenBatchNorm2d  # pyright: ignore[reportMissingImports]
    except Exception as error:  # whatever an installation for another torch fails with
        pytest.skip(f"torchvision cannot be imported: {error}")
    torch.manual_seed(0)
    other = detection.FasterRCNN(_resnet_fpn_extractor(resnet50(norm_layer=FrozenBatchNorm2d), 3), 91).eval()
    net = factories.faster_rcnn_resnet50_fpn().eval()
    for key, value in net.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("bn3.weight"):
            value.mul_(0.3)
        elif "rpn.head" in key or "box_predictor" in key:
            value.mul_(5)
    other.load_state_dict(net.state_dict())
    images, sizes = torch.randn(2, 3, 128, 160), [(128, 160), (100, 130)]
    listed, maps = ImageList(images, sizes), other.backbone(images)
    regions, _ = other.rpn(listed, maps, None)
    answers, _ = other.roi_heads(maps, regions, sizes, None)
    own, _ = net.proposals(images, torch.tensor(sizes))
    found = net.detect(images, torch.tensor(sizes))
    for number, (region, answer) in enumerate(zip(regions, answers, strict=True)):
        assert (iou(region, own[number]).amax(1) > 0.9999).double().mean() > 0.995, "equal scores may come in another order"
        count = len(answer["scores"])
        torch.testing.assert_close(found.scores[number, :count], answer["scores"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.boxes[number, :count], answer["boxes"], rtol=1e-4, atol=1e-2)
        assert torch.equal(found.labels[number, :count], answer["labels"] - 1)


# --- losses


def loop_losses(logits: Tensor, deltas: Tensor, targets: list[int], wanted: list[Tensor]) -> tuple[float, float]:
    """Cross-entropy and smooth L1 with its turn at 1/9, of one image, one region at a time."""
    crossed = missed = 0.0
    for number, target in enumerate(targets):
        crossed -= float(logits[number].double().log_softmax(0)[target])
        if target:
            for got, want in zip(deltas[number, target].tolist(), wanted[number].tolist(), strict=True):
                gap = abs(got - want)
                missed += 4.5 * gap * gap if gap < 1 / 9 else gap - 1 / 18
    return crossed / len(targets), missed / len(targets)


@torch.no_grad()
def test_losses_of_regions_are_those_of_loops():
    net, (images, truth) = given(), scene()
    nn.init.normal_(net.roi_heads.box_predictor.bbox_pred.weight, std=0.1)
    draws = torch.Generator().manual_seed(1)
    regions = truth.boxes[:, :1] + 2 * torch.randn(2, 40, 4, generator=draws)
    regions[0, 30:] = 0  # there are fewer
    net.eval()
    got = net(images, truth._replace(regions=regions))
    maps, sums = net.backbone(images), torch.zeros(2, dtype=torch.double)
    for number in range(2):
        known = truth.boxes[number][truth.labels[number] >= 0]
        candidates = torch.cat([regions[number, : 30 if number == 0 else 40], known])
        index, state = match(candidates, known, known[:0], high=0.5, low=0.5)
        chosen = draw(state, 32, 0.25, truth.seed ^ ADDRESS, truth.epoch, truth.number[number])
        picked = candidates[chosen]
        targets = [int(truth.labels[number][i]) + 1 if s else 0 for i, s in zip(index[chosen], state[chosen], strict=True)]
        assert 0 < sum(target > 0 for target in targets) <= 8
        wanted = [*encode(known[index[chosen]], picked, WEIGHTS)]
        sums += torch.tensor(loop_losses(*net.roi_heads(maps, picked, torch.full((len(picked),), number)), targets, wanted))
    torch.testing.assert_close(torch.stack([got["classes"], got["boxes"]]).double(), sums / 2, rtol=1e-5, atol=1e-6)


def test_perfect_offsets_cost_nothing():
    net, (images, truth) = given().eval(), scene()
    for weight in net.roi_heads.box_predictor.bbox_pred.parameters():
        nn.init.zeros_(weight)
    exact = net(images, truth._replace(regions=truth.boxes))
    assert exact["boxes"].item() == pytest.approx(0, abs=1e-10)
    assert net(images, truth._replace(regions=truth.boxes + 2))["boxes"].item() > 0.01


@pytest.mark.parametrize("mode", [True, False])
def test_an_images_losses_depend_on_neither_its_batch_nor_its_place_in_it(mode: bool):
    net, (images, truth) = small(fixed=4).train(mode), scene()
    both = net(images, truth)
    alone = [net(images[number : number + 1], row(truth, number)) for number in range(2)]
    turned = net(images.flip(0), Truth(*(field.flip(0) if isinstance(field, Tensor) else field for field in truth)))
    for name, value in both.items():
        torch.testing.assert_close(value, (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(value, turned[name], rtol=1e-4, atol=1e-5)
    later = net(images, truth._replace(epoch=2))
    assert later["objectness"] != both["objectness"]


@pytest.mark.parametrize("make", [small, given])
def test_images_without_boxes_are_background_and_every_weight_has_a_gradient(make):
    net, (images, truth) = make().train(), scene()
    regions = torch.tensor([5.0, 5, 30, 40]).expand(2, 7, 4) if net.GIVEN else None
    losses = net(images, truth._replace(labels=torch.full_like(truth.labels, -1), regions=regions))
    assert set(losses) == ({"classes", "boxes"} if net.GIVEN else {"objectness", "anchors", "classes", "boxes"})
    assert losses["boxes"] == 0
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())


def test_what_an_ignored_box_covers_is_neither_right_nor_wrong():
    net, (images, truth) = small(fixed=4).eval(), scene(1)
    alone = truth._replace(ignored=torch.tensor([[False, True]]))
    whole = truth._replace(boxes=torch.tensor([[[0.0, 0, 96, 64], [0, 0, 0, 0]]]), labels=torch.tensor([[0, -1]]))
    hidden = net(images, whole._replace(ignored=torch.tensor([[True, False]])))
    assert hidden["anchors"] == 0
    assert hidden["classes"] == 0, "no region is left to learn from"
    assert net(images, alone)["objectness"] != net(images, truth)["objectness"]


def test_it_learns_two_images_by_heart():
    net, (images, truth) = small(hidden=128).train(), scene()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    losses: list[float] = []
    for step in range(120):
        loss = torch.stack([*net(images, truth._replace(epoch=step)).values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    found = net.eval()(images)
    for number in range(2):
        known = truth.labels[number] >= 0
        sure = found.scores[number] > 0.5
        overlaps = iou(found.boxes[number, sure], truth.boxes[number, known])
        assert overlaps.amax(1).min() > 0.5, "each of them is at a thing"
        assert overlaps.amax(0).min() > 0.6, "each thing is found"
        assert torch.equal(found.labels[number, sure], truth.labels[number, known][overlaps.argmax(1)])


# --- answers


def check(found: Found, sizes: Tensor, most: int) -> None:
    assert found.boxes.shape == (len(sizes), most, 4)
    for boxes, scores, labels, (height, width) in zip(*found, sizes.tolist(), strict=True):
        assert torch.equal(scores, scores.sort(descending=True).values)
        assert torch.equal(scores > 0, labels >= 0)
        assert boxes.min() >= 0
        assert boxes[:, ::2].max() <= width
        assert boxes[:, 1::2].max() <= height


@torch.inference_mode()
@pytest.mark.parametrize("make", [small, given])
def test_found_boxes_lie_in_the_picture_best_first_and_do_not_depend_on_the_batch(make):
    net, (images, _), sizes = make().eval(), scene(), torch.tensor([[64, 96], [40, 50]])
    nn.init.normal_(net.roi_heads.box_predictor.cls_score.weight, std=0.5)
    nn.init.normal_(net.roi_heads.box_predictor.bbox_pred.weight, std=0.2)
    regions = torch.rand(2, 30, 4, generator=torch.Generator().manual_seed(2)).sort(2).values * 64 if net.GIVEN else None
    net.most = 7
    found = net(images, sizes=sizes, regions=regions)
    check(found, sizes, 7)
    assert (found.labels >= 0).any()
    alone = net(images[1:], sizes=sizes[1:], regions=None if regions is None else regions[1:])
    for a, b in zip(found, alone, strict=True):
        torch.testing.assert_close(a[1:], b, rtol=1e-4, atol=1e-3)
    net.score = 0.999999
    assert (net(images, regions=regions).labels == -1).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(images, regions=regions).boxes.dtype == torch.float32


@torch.no_grad()
def test_proposals_are_of_the_picture_best_first_and_twice_as_many_in_training():
    net, (images, _), sizes = small(fixed=4), scene(), torch.tensor([[64, 96], [40, 50]])
    for mode, most in ((False, 20), (True, 40)):
        regions, scores = net.train(mode).proposals(images, sizes)
        assert regions.shape == (2, most, 4)
        assert torch.equal(scores, scores.sort(1, descending=True).values)
        assert regions[1, :, 2].max() <= 50
        assert regions[1, :, 3].max() <= 40
        assert torch.equal(scores > 0, (regions[..., 2:] > regions[..., :2]).all(2))
    with pytest.raises(ValueError, match="told where things may be and proposes nothing"):
        given().proposals(images, sizes)


def test_regions_are_read_at_the_level_of_their_size():
    heads = small(stem="imagenet", width=0.0625).roi_heads
    sides = torch.tensor([1000.0, 448, 440, 224, 223, 112, 111, 10])
    regions = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], 1)
    maps = {stride: torch.full((1, 1, 4, 4), float(stride)) for stride in (4, 8, 16, 32)}
    read = heads.read(maps, regions, torch.zeros(8, dtype=torch.int64))
    assert read[:, 0, 0, 0].tolist() == [32, 32, 16, 16, 8, 8, 4, 4]


def test_what_does_not_fit_is_refused():
    images, truth = scene()
    with pytest.raises(ValueError, match="multiples of 8, got 64x90: pad them to 64x96"):
        small()(images[..., :90])
    with pytest.raises(ValueError, match="give it regions"):
        given()(images, truth)
    with pytest.raises(ValueError, match="proposes its regions itself"):
        small()(images, regions=truth.boxes)
    with pytest.raises(ValueError, match="either a truth or sizes and regions"):
        small()(images, truth, sizes=torch.tensor([[64, 96], [64, 96]]))


# --- from a classifier


@pytest.mark.parametrize("fixed", [0, 4])
@pytest.mark.parametrize(
    ("make", "classifier"),
    [
        (factories.faster_rcnn_resnet18_fpn, lambda: resnet18(width=0.125)),
        (factories.fast_rcnn_mobilenet_v2_fpn, lambda: mobilenet_v2(width=0.125)),
    ],
)
def test_the_body_is_the_classifiers(make, classifier, fixed: int):
    net, old = make(width=0.125, pyramid=8, hidden=8, fixed=fixed), classifier().eval()
    for key, value in old.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1)
    net.load_state_dict(net.from_classifier(old.state_dict()))
    images = torch.randn(1, 3, 64, 64)
    maps = old.pyramid(images)
    for stride, map in net.eval().backbone.body.pyramid(images).items():
        assert torch.equal(map, maps[stride])


def test_vgg16_hands_over_its_affine_layers():
    torch.manual_seed(0)
    old, net = vgg16(width=0.0625).eval(), factories.fast_rcnn_vgg16(width=0.0625).eval()
    net.load_state_dict(net.from_classifier(old.state_dict()))
    map = torch.randn(2, 32, 7, 7)
    assert torch.equal(net.roi_heads.box_head(map), old.classifier[:6](map.flatten(1)))
    assert torch.equal(net.backbone(images := torch.randn(1, 3, 32, 48))[16], old.features[:-1](images))


def test_other_classifiers_are_refused():
    with pytest.raises(ValueError, match=r"a resnet18 as wide as this net: unexpected layer1\.2\.conv1\.weight"):
        factories.faster_rcnn_resnet18_fpn(width=0.125, pyramid=8, hidden=8).from_classifier(resnet34(width=0.125).state_dict())
