"""The landmark nets beside each other, and what starting from ImageNet's weights is worth.

Sources of the claims: the nets' papers (see `models/`); Yosinski et al., "How transferable are features in deep neural
networks?", arXiv 1411.1792; Girshick et al., arXiv 1311.2524, section 3.3, on fine-tuning against frozen features.
"""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.studies.plan import Claim, Study, Variant

_FASHION = Config(
    data=DataConfig("fashion-mnist", batch=100, holdout=0.0, limit=10_000, augment=AugmentConfig(flip=0.5)),
    optim=OptimConfig("adamw", lr=2e-3, weight_decay=0.01, schedule="one-cycle"),
    run=RunConfig(epochs=3),
)
_NETS = {
    "AlexNet": ("alexnet", 0.25),
    "VGG-11": ("vgg11-bn", 0.125),
    "GoogLeNet": ("googlenet", 0.25),
    "ResNet-18": ("resnet18", 0.25),
}

LANDMARKS = Study(
    about="AlexNet, VGG, GoogLeNet and ResNet in small (a quarter as wide, VGG an eighth, a stem for 28x28 pixels) on clothing",
    cost="2 CPU cores, about 30 minutes",
    x="net",
    variants=tuple(
        Variant("", title, replace(_FASHION, net=NetConfig(name, {"stem": "small", "width": width})))
        for title, (name, width) in _NETS.items()
    ),
    claims=(
        Claim("VGG reads better than AlexNet", "VGG-11", "AlexNet"),
        Claim("GoogLeNet reads better than AlexNet", "GoogLeNet", "AlexNet"),
        Claim("ResNet reads better than VGG", "ResNet-18", "VGG-11"),
        Claim("GoogLeNet needs fewer parameters than AlexNet", "GoogLeNet", "AlexNet", "parameters"),
        Claim("GoogLeNet needs fewer multiply-adds than VGG", "GoogLeNet", "VGG-11", "multiply_adds"),
        Claim("ResNet trains faster than VGG", "ResNet-18", "VGG-11", "time_s"),
    ),
)

_PICTURES = Config(
    net=NetConfig("mobilenet-v2"),
    data=DataConfig("hymenoptera", batch=32, holdout=0.0, size=128),
    run=RunConfig(epochs=8),
)
_MOVING = AugmentConfig(crop=0.3, flip=0.5)
_WAYS = {
    "from scratch": replace(
        _PICTURES,
        data=replace(_PICTURES.data, augment=_MOVING),
        optim=OptimConfig("adamw", lr=1e-3, weight_decay=0.01, schedule="one-cycle"),
    ),
    "frozen": replace(_PICTURES, optim=OptimConfig("adam", lr=1e-3), transfer=TransferConfig("imagenet", frozen=1.0)),
    "fine-tuned": replace(
        _PICTURES,
        data=replace(_PICTURES.data, augment=_MOVING),
        optim=OptimConfig("adamw", lr=1e-3, weight_decay=0.01, schedule="one-cycle"),
        transfer=TransferConfig("imagenet", frozen=0.3, first_rate=0.1),
    ),
}
_COUNTS = {"1": 1, "5": 5, "10": 10, "50": 50, "all": 0}

TRANSFER = Study(
    about="a net from ImageNet with a new head, frozen or fine-tuned, against the same net from nothing, by images of a class",
    cost="2 CPU cores, about 25 minutes",
    x="training images of a class",
    per_class=True,
    variants=tuple(
        Variant(way, name, replace(config, data=replace(config.data, limit=count)))
        for way, config in _WAYS.items()
        for name, count in _COUNTS.items()
    ),
    claims=(
        *(
            Claim(f"with {count} images of a class, a net from ImageNet reads better than one from scratch",
                  f"fine-tuned, {count}", f"from scratch, {count}")
            for count in ("5", "10", "50")
        ),
        Claim("and with all images, too", "fine-tuned, all", "from scratch, all"),
        Claim("five images of a class on a frozen net do better than all images from scratch", "frozen, 5", "from scratch, all"),
        Claim("with few images it is better to keep the layers frozen", "frozen, 5", "fine-tuned, 5"),
        Claim("with all images it is better to train all layers", "fine-tuned, all", "frozen, all"),
    ),
)  # fmt: skip
