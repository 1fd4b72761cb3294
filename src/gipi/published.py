"""Weights that others trained on ImageNet and published: where they are, what they want, how well they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

HALF = (0.5, 0.5, 0.5)  # mean and deviation that turn pixels into values of -1 to 1
LABELS = ("imagenet", "imagenet-v2")


@dataclass(frozen=True)
class Published:
    """A file of weights of a net of the catalogue.

    label: by which a training asks for it; "imagenet-v2" is torchvision's second, longer recipe.
    url: "" of a file that is only looked for in the data folders.
    sha256: of the whole file, or its first 8 hexadecimal digits, which torchvision's file names carry and which are all that is
    published.  limit: bytes, the file is no longer.
    args: arguments of the net's factory without which the weights do not do what they did.
    top1, top5: percent right of ImageNet's 50,000 validation images, middle crop, as published; not measured by us.
    source: who trained them, licence.
    """

    net: str
    label: str
    file: str
    url: str
    sha256: str
    limit: int
    top1: float
    top5: float
    source: str
    args: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    preprocess: Preprocess = field(kw_only=True)


def _crop(short: int, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Preprocess:
    return Preprocess((3, 224, 224), "crop", short, mean, std)


def _torchvision(
    net: str,
    file: str,
    mebibytes: int,
    top1: float,
    top5: float,
    *,
    label: str = "imagenet",
    source: str = "torchvision",
    how: Preprocess | None = None,
) -> Published:
    name, sha256 = f"{file}.pth", file.rpartition("-")[2]
    url = f"https://download.pytorch.org/models/{name}"
    how = how or _crop(232 if label == "imagenet-v2" else 256)
    return Published(net, label, name, url, sha256, mebibytes << 20, top1, top5, f"{source}, BSD-3-Clause", preprocess=how)


# Names, sizes, scores and preprocessing of torchvision's files: torchvision 0.29, torchvision/models/*.py.
PUBLISHED = (
    _torchvision("alexnet", "alexnet-owt-7be5be79", 234, 56.522, 79.066),
    _torchvision("vgg11", "vgg11-8a719046", 507, 69.020, 88.628),
    _torchvision("vgg13", "vgg13-19584684", 508, 69.928, 89.246),
    _torchvision("vgg16", "vgg16-397923af", 528, 71.592, 90.382),
    _torchvision("vgg19", "vgg19-dcbb9e9d", 549, 72.376, 90.876),
    _torchvision("vgg11-bn", "vgg11_bn-6002323d", 507, 70.370, 89.810),
    _torchvision("vgg13-bn", "vgg13_bn-abd245e5", 508, 71.586, 90.374),
    _torchvision("vgg16-bn", "vgg16_bn-6c64b313", 528, 73.360, 91.516),
    _torchvision("vgg19-bn", "vgg19_bn-c79401a0", 549, 74.218, 91.842),
    _torchvision(
        *("googlenet", "googlenet-1378be20", 50, 69.778, 89.530),
        source="Google, brought over from TensorFlow by torchvision",
        how=_crop(256, HALF, HALF),
    ),
    _torchvision("resnet18", "resnet18-f37072fd", 45, 69.758, 89.078),
    _torchvision("resnet34", "resnet34-b627a593", 84, 73.314, 91.420),
    _torchvision("resnet50", "resnet50-0676ba61", 98, 76.130, 92.862),
    _torchvision("resnet101", "resnet101-63fe2227", 171, 77.374, 93.546),
    _torchvision("resnet152", "resnet152-394f9c45", 231, 78.312, 94.046),
    _torchvision("squeezenet1-0", "squeezenet1_0-b66bff10", 5, 58.092, 80.420),
    _torchvision("mobilenet-v2", "mobilenet_v2-b0353104", 14, 71.878, 90.286),
    _torchvision("resnet50", "resnet50-11ad3fa6", 98, 80.858, 95.434, label="imagenet-v2"),
    _torchvision("resnet101", "resnet101-cd907fc2", 171, 81.886, 95.780, label="imagenet-v2"),
    _torchvision("resnet152", "resnet152-f82ba261", 231, 82.284, 96.002, label="imagenet-v2"),
    # Scores: Iandola et al., arXiv 1602.07360, table 2, the compressed net.
    Published(
        net="squeezenet1-0",
        label="imagenet",
        file="squeezenet1_0.safetensors",
        url="",
        sha256="2a77b1cfd0e296e1f936f69d5adf36fc1ef0c73242e6902639456dc12cf3d1c3",
        limit=3 << 20,
        top1=57.5,
        top5=80.3,
        source="Iandola and Han, songhan/SqueezeNet-Deep-Compression, in fp16, BSD",
        preprocess=_crop(256),
    ),
    # Scores: Keras' table of applications, of the weights before their conversion to int8.
    Published(
        net="mobilenet-v2",
        label="imagenet",
        file="mobilenet_v2.safetensors",
        url="",
        sha256="4907ab3b79459b4a21e77cd3beebe932afdf2a3d9c4b2f96331bc698d4bd5746",
        limit=7 << 20,
        top1=71.3,
        top5=90.1,
        source="Google, google-coral/test_data, int8 widened to fp16, batch norm folded into the convolutions, Apache-2.0",
        args={"padding": "same"},
        preprocess=_crop(256, (0.5,) * 3, (0.5,) * 3),
    ),
)
