"""Recipes of captioning."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.recipes.recipe import Recipe

_SMALL = {"width": 0.25, "stem": "small", "embedding": 64, "hidden": 256, "attention": 128, "dropout": 0.1}

_SCENES = Config(
    recipe="attend-scenes",
    kind="caption",
    net=NetConfig("attend-resnet18", _SMALL),
    data=DataConfig("scenes", batch=16, augment=AugmentConfig(shift_px=2, brightness=0.2, contrast=0.2)),
    optim=OptimConfig("adamw", lr=5e-3, weight_decay=0.01, schedule="cosine", warmup=0.05, clip=5.0),
    transfer=TransferConfig("faster-rcnn-scenes", first_rate=0.3),
    run=RunConfig(epochs=5),
)

_FLICKR8K = Config(
    recipe="nic-flickr8k",
    kind="caption",
    net=NetConfig("nic-mobilenet-v2", {"dropout": 0.3}),
    data=DataConfig("flickr8k", batch=8, least_count=5, augment=AugmentConfig(flip=0.5)),
    optim=OptimConfig("adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", warmup=0.05, label_smoothing=0.1, clip=5.0),
    transfer=TransferConfig("imagenet", frozen=1.0),
    run=RunConfig(epochs=16),
)

_ATTEND = replace(
    _FLICKR8K, recipe="attend-flickr8k", net=NetConfig("attend-mobilenet-v2", {"dropout": 0.3}), run=RunConfig(epochs=8)
)

CAPTION = {
    "attend-scenes": Recipe(
        _SCENES,
        about="says which handwritten digits lie where before a cluttered ground: show, attend and tell, its encoder from "
        "faster-rcnn-scenes; no network needed",
        source="Xu et al., arXiv 1502.03044; net and training: ours",
        cost="2 CPU cores, about 8 minutes with --processes 2",
        accuracy=None,
    ),
    "nic-flickr8k": Recipe(
        _FLICKR8K,
        about="says what a photograph shows: NIC on MobileNetV2 from ImageNet, which stays as it is",
        source="Vinyals et al., arXiv 1411.4555; training: ours",
        cost="1 CPU core, about half an hour",
        accuracy=None,
    ),
    "attend-flickr8k": Recipe(
        _ATTEND,
        about="the same by a net that looks at each part of the photograph anew for every word",
        source="Xu et al., arXiv 1502.03044; training: ours",
        cost="1 CPU core, about 40 minutes",
        accuracy=None,
    ),
    "caption": Recipe(
        replace(_ATTEND, recipe="caption", data=replace(_ATTEND.data, name="")),
        about="your own images with captions: show, attend and tell on MobileNetV2 from ImageNet; give --data FOLDER",
        source="Xu et al., arXiv 1502.03044; training: ours",
        cost="1 CPU core, about 40 minutes for 6,000 images",
        accuracy=None,
    ),
}
