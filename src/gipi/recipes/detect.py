"""Recipes of detection."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.recipes.recipe import Recipe

_SMALL = {"width": 0.25, "stem": "small", "fixed": 0, "finest": 4, "pyramid": 64, "hidden": 128, "drawn": 64}

_SCENES = Config(
    recipe="faster-rcnn-scenes",
    kind="detect",
    net=NetConfig("faster-rcnn-resnet18-fpn", {**_SMALL, "anchor": 16, "proposals": 100}),
    data=DataConfig("scenes", batch=8, augment=AugmentConfig(brightness=0.2, contrast=0.2)),
    optim=OptimConfig("adamw", lr=4e-3, weight_decay=0.01, schedule="one-cycle", clip=10.0),
    run=RunConfig(epochs=3),
)

_BCCD = Config(
    recipe="faster-rcnn-bccd",
    kind="detect",
    net=NetConfig("faster-rcnn-mobilenet-v2-fpn", {"finest": 8, "pyramid": 128, "hidden": 512, "drawn": 128, "anchor": 32}),
    data=DataConfig("bccd", batch=4, augment=AugmentConfig(scale=0.2, shift_px=40, flip=0.5, brightness=0.2, contrast=0.2)),
    optim=OptimConfig("adamw", lr=5e-4, weight_decay=0.01, schedule="cosine", warmup=0.05, ema=0.99, clip=10.0),
    transfer=TransferConfig("imagenet", first_rate=0.3),
    run=RunConfig(epochs=30),
)

_RCNN_SCENES = Config(
    recipe="rcnn-scenes",
    kind="detect",
    net=NetConfig("rcnn-resnet18", {"width": 0.25, "stem": "small", "side": 32, "drawn": 32}),
    data=DataConfig("scenes", batch=8, limit=512, holdout=0.0, augment=AugmentConfig(brightness=0.2, contrast=0.2)),
    optim=OptimConfig("adamw", lr=3e-3, weight_decay=0.01, schedule="one-cycle"),
    run=RunConfig(epochs=12),
)

DETECT = {
    "faster-rcnn-scenes": Recipe(
        _SCENES,
        about="finds handwritten digits before cluttered grounds: Faster R-CNN on a small ResNet; no network needed",
        source="net: Ren et al., arXiv 1506.01497, and Lin et al., arXiv 1612.03144; training: ours",
        cost="2 CPU cores, about 8 minutes",
        accuracy=None,
    ),
    "rcnn-scenes": Recipe(
        _RCNN_SCENES,
        about="the same by R-CNN, step by step as it was published, on an eighth of the scenes",
        source="Girshick et al., arXiv 1311.2524; net and sizes: ours",
        cost="not run to its end by us yet",
        accuracy=None,
    ),
    "faster-rcnn-bccd": Recipe(
        _BCCD,
        about="finds and counts blood cells of three kinds: Faster R-CNN on MobileNetV2 from ImageNet, at 640x480",
        source="net: Ren et al., arXiv 1506.01497, and Lin et al., arXiv 1612.03144; training: ours",
        cost="1 CPU core, about 50 minutes",
        accuracy=None,
    ),
    "fast-rcnn-bccd": Recipe(
        replace(
            _BCCD,
            recipe="fast-rcnn-bccd",
            net=NetConfig("fast-rcnn-mobilenet-v2-fpn", {"finest": 8, "pyramid": 128, "hidden": 512, "drawn": 128}),
            run=RunConfig(epochs=10),
        ),
        about="the same in regions of selective search: Fast R-CNN",
        source="Girshick, arXiv 1504.08083, and Lin et al., arXiv 1612.03144; training: ours",
        cost="1 CPU core, about 20 minutes and as many for the search",
        accuracy=None,
    ),
    "rcnn-bccd": Recipe(
        Config(
            recipe="rcnn-bccd",
            kind="detect",
            net=NetConfig("rcnn-mobilenet-v2", {"side": 64, "drawn": 64, "fixed": 2}),
            data=DataConfig("bccd", batch=2, holdout=0.0, augment=AugmentConfig(flip=0.5, brightness=0.2, contrast=0.2)),
            optim=OptimConfig("adamw", lr=1e-3, weight_decay=0.01, schedule="one-cycle"),
            transfer=TransferConfig("imagenet", first_rate=0.3),
            run=RunConfig(epochs=4),
        ),
        about="the same by R-CNN, a chain of runs: selective search, a CNN on each region, SVMs, box regression",
        source="Girshick et al., arXiv 1311.2524; net and sizes: ours",
        cost="1 CPU core, about 40 minutes",
        accuracy=None,
    ),
    "faster-rcnn-bccd-large": Recipe(
        replace(
            _BCCD,
            recipe="faster-rcnn-bccd-large",
            net=NetConfig("faster-rcnn-resnet50-fpn"),
            data=replace(_BCCD.data, size=800, batch=8),
            run=RunConfig(epochs=40),
        ),
        about="the same on ResNet-50 from ImageNet, at 1067x800",
        source="net: Ren et al., arXiv 1506.01497, and Lin et al., arXiv 1612.03144; training: ours",
        cost="GPU, not run by us yet",
        accuracy=None,
        published=90.3,
    ),
    "detect": Recipe(
        replace(_BCCD, recipe="detect", data=replace(_BCCD.data, name="", size=480)),
        about="your own images with boxes: Faster R-CNN on MobileNetV2 from ImageNet; give --data FOLDER",
        source="net: Ren et al., arXiv 1506.01497, and Lin et al., arXiv 1612.03144; training: ours",
        cost="2 CPU cores, an hour or two for a few hundred images",
        accuracy=None,
    ),
}
