"""Faster R-CNN and Fast R-CNN: detectors that look at an image once and answer for each of its regions.

Source: Ren, He, Girshick and Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", NIPS 2015,
arXiv 1506.01497: section 3.2 (one net, trained jointly); Girshick, "Fast R-CNN", ICCV 2015, arXiv 1504.08083: section 4.5 (which
layers are trained); Lin et al., arXiv 1612.03144 (FPN). Deviations are named where the parts are: `rpn`, `box_head`, `fpn`.

| factory                      | parameters  | classes | regions                      | read at strides        |
|------------------------------|-------------|---------|------------------------------|------------------------|
| faster_rcnn_vgg16            | 137,073,622 | 20      | proposed, 9 anchors a place  | 16                     |
| faster_rcnn_resnet50_fpn     | 41,755,286  | 90      | proposed, 3 anchors a place  | 4, 8, 16, 32           |
| faster_rcnn_resnet18_fpn     | 28,730,006  | 90      | proposed, 3 anchors a place  | 4, 8, 16, 32           |
| faster_rcnn_mobilenet_v2_fpn | 19,873,686  | 90      | proposed, 3 anchors a place  | 4, 8, 16, 32           |
| fast_rcnn_vgg16              | 134,690,729 | 20      | given                        | 16                     |
| fast_rcnn_resnet18_fpn       | 28,136,071  | 90      | given                        | 4, 8, 16, 32           |
| fast_rcnn_mobilenet_v2_fpn   | 19,279,751  | 90      | given                        | 4, 8, 16, 32           |

Norms that are held fixed have no parameters. The ResNet-50 has torchvision's state-dict names, whose published weights for COCO
it takes (see `two_stage.published`): class k is category k + 1 there.

fixed: the body's layers up to the map of that stride, and all norms of the body, stay as a classifier's weights have them; 0: the
whole body is trained, its batch norm too, as from scratch. The paper's VGG-16 is trained from conv3_1 on, torchvision's ResNet-50
from its second stage on.
finest: stride of the finest map that is read.  pyramid: channels of the FPN.  hidden: outputs of the affine layers.  drawn: of an
image's regions, to learn from.  anchor: side of the smallest anchors in pixels, doubled from level to level.  proposals: kept of
an image, twice as many in training.  stem: "small" is for things of few pixels: with a finest of 4, strides 4 and 8 are read.
"""

from __future__ import annotations

import torch

from gipi.models.backbone import Backbone, he_init, large_stem, share
from gipi.models.box_head import RoIHeads
from gipi.models.fpn import Trunk
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.resnet import resnet18, resnet50
from gipi.models.rpn import RPN
from gipi.models.two_stage import FasterRCNN
from gipi.models.vgg import vgg16


def _with_fpn(
    body: Backbone,
    origin: str,
    *,
    classes: int,
    channels: int,
    stem: str,
    fixed: int,
    finest: int,
    pyramid: int,
    hidden: int,
    drawn: int,
    anchor: int = 0,
    proposals: int = 0,
) -> FasterRCNN:
    delattr(body, body.HEAD.partition(".")[0])
    trunk = Trunk(body, channels, finest=finest, coarsest=32 if large_stem(stem) else 8, pyramid=pyramid, fixed=fixed)
    sides = [(anchor * 2**level,) for level in range(len(trunk.strides))]
    rpn = RPN(pyramid, sides, proposals) if anchor else None
    heads = RoIHeads(trunk.taken, pyramid, hidden=hidden, classes=classes, drawn=drawn, dropout=0.0)
    return FasterRCNN(trunk, rpn, heads, origin, {})


def _with_vgg16(
    *, classes: int, channels: int, width: float, fixed: int, drawn: int, dropout: float, anchor: int = 0, proposals: int = 0
) -> FasterRCNN:
    with torch.device("meta"):  # its affine layers are half a gigabyte, which the head has anew
        body = vgg16(channels=channels, width=width)
    del body.classifier
    body.to_empty(device=torch.get_default_device())
    he_init(body, mode="fan_out")
    trunk = Trunk(body, channels, finest=16, coarsest=16, pyramid=0, fixed=fixed)
    rpn = RPN(trunk.channels, [(anchor, 2 * anchor, 4 * anchor)], proposals) if anchor else None
    hidden = share(4096, width)
    heads = RoIHeads([16], trunk.channels, hidden=hidden, classes=classes, drawn=drawn, dropout=dropout)
    layers = {"fc6": "classifier.0", "fc7": "classifier.3"}
    handed = {f"roi_heads.box_head.{new}.{part}": f"{old}.{part}" for new, old in layers.items() for part in ("weight", "bias")}
    return FasterRCNN(trunk, rpn, heads, "vgg16", handed)


def faster_rcnn_resnet50_fpn(
    *,
    classes: int = 90,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    fixed: int = 4,
    finest: int = 4,
    pyramid: int = 256,
    hidden: int = 1024,
    drawn: int = 512,
    anchor: int = 32,
    proposals: int = 1000,
) -> FasterRCNN:
    body = resnet50(classes=1, channels=channels, width=width, stem=stem)
    sizes = {"classes": classes, "channels": channels, "stem": stem, "finest": finest, "pyramid": pyramid, "hidden": hidden}
    return _with_fpn(body, "resnet50", fixed=fixed, drawn=drawn, anchor=anchor, proposals=proposals, **sizes)


def faster_rcnn_resnet18_fpn(
    *,
    classes: int = 90,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    fixed: int = 4,
    finest: int = 4,
    pyramid: int = 256,
    hidden: int = 1024,
    drawn: int = 512,
    anchor: int = 32,
    proposals: int = 1000,
) -> FasterRCNN:
    body = resnet18(classes=1, channels=channels, width=width, stem=stem)
    sizes = {"classes": classes, "channels": channels, "stem": stem, "finest": finest, "pyramid": pyramid, "hidden": hidden}
    return _with_fpn(body, "resnet18", fixed=fixed, drawn=drawn, anchor=anchor, proposals=proposals, **sizes)


def faster_rcnn_mobilenet_v2_fpn(
    *,
    classes: int = 90,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    padding: str = "torch",
    fixed: int = 4,
    finest: int = 4,
    pyramid: int = 256,
    hidden: int = 1024,
    drawn: int = 512,
    anchor: int = 32,
    proposals: int = 1000,
) -> FasterRCNN:
    body = mobilenet_v2(classes=1, channels=channels, width=width, stem=stem, padding=padding)
    sizes = {"classes": classes, "channels": channels, "stem": stem, "finest": finest, "pyramid": pyramid, "hidden": hidden}
    return _with_fpn(body, "mobilenet-v2", fixed=fixed, drawn=drawn, anchor=anchor, proposals=proposals, **sizes)


def faster_rcnn_vgg16(
    *,
    classes: int = 20,
    channels: int = 3,
    width: float = 1.0,
    fixed: int = 2,
    drawn: int = 512,
    dropout: float = 0.5,
    anchor: int = 128,
    proposals: int = 1000,
) -> FasterRCNN:
    sizes = {"classes": classes, "channels": channels, "width": width}
    return _with_vgg16(fixed=fixed, drawn=drawn, dropout=dropout, anchor=anchor, proposals=proposals, **sizes)


def fast_rcnn_resnet18_fpn(
    *,
    classes: int = 90,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    fixed: int = 4,
    finest: int = 4,
    pyramid: int = 256,
    hidden: int = 1024,
    drawn: int = 512,
) -> FasterRCNN:
    body = resnet18(classes=1, channels=channels, width=width, stem=stem)
    sizes = {"classes": classes, "channels": channels, "stem": stem, "finest": finest, "pyramid": pyramid, "hidden": hidden}
    return _with_fpn(body, "resnet18", fixed=fixed, drawn=drawn, **sizes)


def fast_rcnn_mobilenet_v2_fpn(
    *,
    classes: int = 90,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    padding: str = "torch",
    fixed: int = 4,
    finest: int = 4,
    pyramid: int = 256,
    hidden: int = 1024,
    drawn: int = 512,
) -> FasterRCNN:
    body = mobilenet_v2(classes=1, channels=channels, width=width, stem=stem, padding=padding)
    sizes = {"classes": classes, "channels": channels, "stem": stem, "finest": finest, "pyramid": pyramid, "hidden": hidden}
    return _with_fpn(body, "mobilenet-v2", fixed=fixed, drawn=drawn, **sizes)


def fast_rcnn_vgg16(
    *,
    classes: int = 20,
    channels: int = 3,
    width: float = 1.0,
    fixed: int = 2,
    drawn: int = 512,
    dropout: float = 0.5,
) -> FasterRCNN:
    sizes = {"classes": classes, "channels": channels, "width": width}
    return _with_vgg16(fixed=fixed, drawn=drawn, dropout=dropout, **sizes)
