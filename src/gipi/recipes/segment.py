"""Recipes of segmentation."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.recipes.recipe import Recipe

_CAMVID = Config(
    recipe="segnet-camvid",
    kind="segment",
    net=NetConfig("segnet"),
    data=DataConfig("camvid", batch=6, augment=AugmentConfig(crop=0.3, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)),
    optim=OptimConfig("adamw", lr=2e-3, weight_decay=0.01, schedule="cosine", warmup=0.02, ema=0.99),
    run=RunConfig(epochs=200),
)

_SCENES = Config(
    recipe="segnet-scenes",
    kind="segment",
    net=NetConfig("segnet-basic", {"width": 0.375, "kernel": 5}),
    data=DataConfig("scenes", batch=8, augment=AugmentConfig(brightness=0.2, contrast=0.2)),
    optim=OptimConfig("adamw", lr=1e-2, weight_decay=0.01, schedule="one-cycle"),
    run=RunConfig(epochs=8),
)

SEGMENT = {
    "segnet-scenes": Recipe(
        _SCENES,
        about="finds the pixels of handwritten digits before cluttered grounds: SegNet-Basic, small; no network needed",
        source="net: Badrinarayanan et al., arXiv 1511.00561; training: ours",
        cost="2 CPU cores, about 8 minutes",
        accuracy=None,
    ),
    "fcn-scenes": Recipe(
        replace(
            _SCENES,
            recipe="fcn-scenes",
            net=NetConfig("fcn8s-resnet18", {"width": 0.25, "stem": "small"}),
            optim=replace(_SCENES.optim, lr=5e-3),
            run=RunConfig(epochs=5),
        ),
        about="the same by an FCN-8s on a small ResNet",
        source="net: Long et al., arXiv 1605.06211; training: ours",
        cost="2 CPU cores, about 6 minutes",
        accuracy=None,
    ),
    "fcn-camvid-small": Recipe(
        replace(
            _CAMVID,
            recipe="fcn-camvid-small",
            net=NetConfig("fcn8s-resnet18", {"width": 0.5}),
            data=replace(_CAMVID.data, size=180, batch=4),
            run=RunConfig(epochs=80),
        ),
        about="names every pixel of a street seen from a car: FCN-8s on a ResNet-18 with half of its channels, at 240x180",
        source="net: Long et al., arXiv 1605.06211; training: ours",
        cost="1 CPU core, about 50 minutes",
        accuracy=None,
    ),
    "segnet-camvid-small": Recipe(
        replace(
            _CAMVID,
            recipe="segnet-camvid-small",
            net=NetConfig("segnet", {"width": 0.25}),
            data=replace(_CAMVID.data, size=180, batch=4),
            run=RunConfig(epochs=150),
        ),
        about="the same by SegNet with a quarter of its channels",
        source="Badrinarayanan et al., arXiv 1511.00561; width, augmentation and schedule: ours",
        cost="2 CPU cores, about 2 hours",
        accuracy=None,
    ),
    "segnet-camvid": Recipe(
        _CAMVID,
        about="the same by SegNet as published, at 480x360",
        source="Badrinarayanan et al., arXiv 1511.00561; augmentation and schedule: ours",
        cost="GPU, hours",
        accuracy=None,
        published=60.1,
    ),
    "segment": Recipe(
        replace(
            _CAMVID,
            recipe="segment",
            net=NetConfig("fcn8s-resnet18"),
            data=replace(_CAMVID.data, name="", size=256),
            optim=replace(_CAMVID.optim, lr=1e-3),
            transfer=TransferConfig("imagenet", first_rate=0.1),
            run=RunConfig(epochs=60),
        ),
        about="your own images with masks: FCN-8s on a ResNet-18 from ImageNet; give --data FOLDER",
        source="net: Long et al., arXiv 1605.06211; training: ours",
        cost="2 CPU cores, an hour or two for a few hundred images",
        accuracy=None,
    ),
}
