"""Recipes of classifiers."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.recipes.recipe import Recipe

_LIGHT_AFFINE = AugmentConfig(rotate_deg=10, shift_px=2.5, scale=0.1)

_MNIST = Config(
    recipe="deepconvnet-mnist",
    net=NetConfig("deepconvnet", {"last_dropout": 0.0}),
    data=DataConfig("mnist", batch=100, augment=_LIGHT_AFFINE),
    optim=OptimConfig("adam", lr=3e-3, schedule="one-cycle"),
    run=RunConfig(epochs=6),
)

_BEST = Config(
    recipe="deepconvnet-best",
    net=NetConfig("deepconvnet", {"last_dropout": 0.0}),
    data=DataConfig(
        "mnist",
        batch=100,
        holdout=0.0,
        augment=AugmentConfig(rotate_deg=10, shift_px=2.5, scale=0.1, shear_deg=10, elastic_px=2),
    ),
    optim=OptimConfig("adamw", lr=3e-3, weight_decay=0.01, schedule="one-cycle", ema=0.999),
    run=RunConfig(epochs=10),
)

_CIFAR = Config(
    recipe="resnet-cifar10",
    net=NetConfig("resnet10", {"stem": "small", "width": 0.5}),
    data=DataConfig("cifar10", batch=128, holdout=0.0, augment=AugmentConfig(shift_px=4, flip=0.5)),
    optim=OptimConfig("nesterov", lr=0.1, weight_decay=5e-4, schedule="one-cycle", label_smoothing=0.1),
    run=RunConfig(epochs=20),
)

_FINETUNE = Config(
    recipe="finetune",
    net=NetConfig("mobilenet-v2"),
    data=DataConfig("", batch=32, holdout=0.1, augment=AugmentConfig(crop=0.3, flip=0.5)),
    optim=OptimConfig("adamw", lr=2e-3, weight_decay=0.01, schedule="one-cycle"),
    transfer=TransferConfig("imagenet", frozen=0.3, first_rate=0.1),
    run=RunConfig(epochs=12),
)

_IMAGENET = Config(
    recipe="resnet50-imagenet",
    net=NetConfig("resnet50"),
    data=DataConfig("", batch=256, holdout=0.0, augment=AugmentConfig(crop=0.6, flip=0.5)),
    optim=OptimConfig("momentum", lr=0.1, weight_decay=1e-4, schedule="thirds"),
    run=RunConfig(epochs=90),
)

CLASSIFY = {
    "deepconvnet-mnist": Recipe(
        _MNIST,
        about="reads handwritten digits better than the textbook, in a minute or two",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 2 minutes",
        accuracy=99.5,
    ),
    "deepconvnet-book": Recipe(
        Config(
            recipe="deepconvnet-book",
            net=NetConfig("deepconvnet", {"last_dropout": 0.5}),
            data=DataConfig("mnist", batch=100, holdout=0),
            optim=OptimConfig("adam", lr=1e-3),
            run=RunConfig(epochs=20),
        ),
        about="the textbook's own training: no augmentation, constant learning rate",
        source="Saito, Deep Learning from Scratch, chapter 8: 99.38 % in the text",
        cost="2 CPU cores, about 7 minutes",
        accuracy=99.34,
    ),
    "deepconvnet-fast": Recipe(
        replace(_MNIST, recipe="deepconvnet-fast", data=replace(_MNIST.data, holdout=0.0), run=RunConfig(epochs=4)),
        about="the shortest way past 99.38 %: trains on all 60,000 images, validates on none",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 1 minute",
        accuracy=None,
    ),
    "deepconvnet-best": Recipe(
        _BEST,
        about="the textbook's net trained as well as we can: more augmentation, averaged weights; train several as an ensemble",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 10 minutes",
        accuracy=99.55,
    ),
    "digitnet-mnist": Recipe(
        replace(
            _BEST,
            recipe="digitnet-mnist",
            net=NetConfig("digitnet"),
            data=replace(_BEST.data, augment=replace(_BEST.data.augment, elastic_px=3)),
            optim=replace(_BEST.optim, weight_decay=0.05),
            run=RunConfig(epochs=5),
        ),
        about="our own net with batch norm, after VGG, on strong augmentation",
        source="ours",
        cost="2 CPU cores, about 10 minutes",
        accuracy=99.51,
    ),
    "digitnet-tiny-mnist": Recipe(
        replace(
            _BEST,
            recipe="digitnet-tiny-mnist",
            net=NetConfig("digitnet-tiny"),
            data=replace(_BEST.data, augment=AugmentConfig(rotate_deg=8, shift_px=1.5, scale=0.1, shear_deg=5)),
            optim=OptimConfig("adamw", lr=1e-2, weight_decay=0.001, schedule="one-cycle", ema=0.999),
            run=RunConfig(epochs=20),
        ),
        about="reads digits as well as the textbook's recipe with an eighteenth of its weights",
        source="ours",
        cost="2 CPU cores, about 3 minutes",
        accuracy=99.35,
    ),
    "digitnet-fashion": Recipe(
        replace(
            _BEST,
            recipe="digitnet-fashion",
            net=NetConfig("digitnet"),
            data=replace(_BEST.data, name="fashion-mnist", augment=AugmentConfig(shift_px=2, scale=0.1, flip=0.5, erase=0.25)),
            optim=replace(_BEST.optim, weight_decay=0.05),
            run=RunConfig(epochs=20),
        ),
        about="tells ten kinds of clothing apart",
        source="ours",
        cost="1 CPU core, about 12 minutes",
        accuracy=None,
    ),
    "transfer": Recipe(
        replace(
            _FINETUNE,
            recipe="transfer",
            data=replace(_FINETUNE.data, augment=AugmentConfig()),
            transfer=TransferConfig("imagenet", frozen=1.0),
            run=RunConfig(epochs=40),
        ),
        about="your own pictures: a new head on a net from ImageNet, all other layers as they were; give --data FOLDER",
        source="net: Sandler et al., arXiv 1801.04381; training: ours",
        cost="2 CPU cores, some 20 seconds for a few hundred pictures",
        accuracy=None,
    ),
    "finetune": Recipe(
        _FINETUNE,
        about="your own pictures: a new head on a net from ImageNet, then all layers, the first ones slowly; give --data FOLDER",
        source="net: Sandler et al., arXiv 1801.04381; training: ours",
        cost="2 CPU cores, some minutes for a few hundred pictures",
        accuracy=None,
    ),
    "scratch": Recipe(
        replace(
            _FINETUNE,
            recipe="scratch",
            net=NetConfig("resnet10", {"width": 0.5}),
            data=replace(_FINETUNE.data, size=96),
            optim=OptimConfig("adamw", lr=3e-3, weight_decay=0.05, schedule="one-cycle"),
            transfer=TransferConfig(),
            run=RunConfig(epochs=40),
        ),
        about="your own pictures: a small ResNet that starts from nothing; give --data FOLDER",
        source="net: He et al., arXiv 1512.03385; training: ours",
        cost="2 CPU cores, some minutes for a few hundred pictures",
        accuracy=None,
    ),
    "resnet50-imagenet": Recipe(
        _IMAGENET,
        about="ResNet-50 on ImageNet in 90 epochs with step decay; give --data FOLDER of train/ and val/, or of shards",
        source="He et al., arXiv 1512.03385; Goyal et al., arXiv 1706.02677; torchvision's reference training",
        cost="GPUs, days",
        accuracy=None,
        published=76.13,
    ),
    "resnet50-imagenet-modern": Recipe(
        replace(
            _IMAGENET,
            recipe="resnet50-imagenet-modern",
            data=replace(_IMAGENET.data, augment=AugmentConfig(crop=0.6, flip=0.5, mixup=0.2)),
            optim=OptimConfig(*("nesterov", 0.1, 1e-4, "cosine"), final=0.0, warmup=5 / 200, ema=0.9999, label_smoothing=0.1),
            run=RunConfig(epochs=200),
        ),
        about="the same with cosine decay, warm-up, label smoothing, mixup and averaged weights; give --data FOLDER",
        source="He et al., Bag of Tricks, arXiv 1812.01187, table 6: without distillation, and with their ResNet-50-D",
        cost="GPUs, days",
        accuracy=None,
        published=79.15,
    ),
    "resnet-cifar10": Recipe(
        _CIFAR,
        about="tells ten kinds of things in small colour pictures apart: a ResNet of ten layers, half as wide, for 32x32 pixels",
        source="net: He et al., arXiv 1512.03385; training: ours",
        cost="1 CPU core, about 110 minutes",
        accuracy=87.49,
    ),
    "deepconvnet-digits": Recipe(
        replace(
            _MNIST,
            recipe="deepconvnet-digits",
            data=DataConfig("digits", batch=50, augment=_LIGHT_AFFINE),
            run=RunConfig(epochs=40),
        ),
        about="the same on 1,797 small digits that come with the package: no network needed",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 20 seconds",
        accuracy=99.56,
    ),
}
