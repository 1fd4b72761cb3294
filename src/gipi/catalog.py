"""Every net, data set and kind by name: where its code is and the published facts about it.

A name is found in a literal table; importing a file changes nothing. Adding a net or a data set is one file and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gipi.errors import ConfigError, nearest
from gipi.preprocess import Framing


@dataclass(frozen=True)
class Net:
    """factory: "module:function".  depth: layers with weights from image to logits.  input: channels, height, width.

    multiply_adds: of convolutions and affine layers, for one image of `input`; of a detector with 1,000 regions, of R-CNN for one,
    of a captioner until its first word; of a generator `input` is its noise.
    any_size: takes images of other sizes, too.  chain: "module:function" that trains it by several runs, one after another; "": one
    training does.
    """

    factory: str
    kind: str
    title: str
    source: str
    year: int
    depth: int
    input: tuple[int, int, int]
    parameters: int
    multiply_adds: int
    any_size: bool = False
    chain: str = ""


@dataclass(frozen=True)
class Dataset:
    """factories: for each kind that it serves "module:function" of a split's name.  image: channels, height, width.

    train, test: images; of scenes with captions there are four times as many to train on.
    framing: how a picture from outside is made like this set's images; see `Preprocess`. Unless they have one size ("digit",
    "resize"), the factories also take `short`, to which the shorter side is brought.
    """

    factories: Mapping[str, str]
    about: str
    image: tuple[int, int, int]
    train: int
    test: int
    framing: Framing


@dataclass(frozen=True)
class Kind:
    """factory: "module:class" of its training.  model: of a trained net, ready to use."""

    factory: str
    model: str
    about: str


@dataclass(frozen=True)
class Game:
    """A game of our own. factory: "module:class", a gymnasium.Env without arguments."""

    factory: str
    about: str


@dataclass(frozen=True)
class Shipped:
    """A model of ours that comes with the package, as weights/NAME.safetensors."""

    recipe: str
    about: str


KINDS = {
    "classify": Kind("gipi.tasks.classify:Classify", "gipi.tasks.classifier:Classifier", "one label for an image"),
    "segment": Kind("gipi.tasks.segment:Segment", "gipi.tasks.segmenter:Segmenter", "a label for every pixel of an image"),
    "detect": Kind("gipi.tasks.detect:Detect", "gipi.tasks.detector:Detector", "a box and a label for each thing in an image"),
    "caption": Kind("gipi.tasks.caption:Caption", "gipi.tasks.captioner:Captioner", "a sentence for an image"),
    "generate": Kind("gipi.tasks.generate:Generate", "gipi.tasks.generator:Generator", "images from noise"),
    "act": Kind("gipi.tasks.act:Act", "gipi.tasks.player:Player", "an action for what is seen"),
}

_IMAGENET = (3, 224, 224)
_BOXES = (3, 800, 1088)
# fmt: off
NETS = {
    "deepconvnet": Net("gipi.models.deepconvnet:deepconvnet", "classify", "DeepConvNet", "Saito, Deep Learning from Scratch, chapter 8", 2016, 8, (1, 28, 28), 123_552, 8_772_340),
    "digitnet": Net("gipi.models.convstack:digitnet", "classify", "DigitNet", "ours, after VGG", 2026, 6, (1, 28, 28), 161_386, 13_498_304, any_size=True),
    "digitnet-tiny": Net("gipi.models.convstack:digitnet_tiny", "classify", "DigitNet, tiny", "ours, after VGG", 2026, 5, (1, 28, 28), 6_866, 975_496, any_size=True),
    "convstack": Net("gipi.models.convstack:convstack", "classify", "plain convolutions, for studies", "ours, after VGG", 2026, 5, (1, 28, 28), 15_034, 798_112, any_size=True),
    "alexnet": Net("gipi.models.alexnet:alexnet", "classify", "AlexNet", "Krizhevsky, Sutskever and Hinton, NIPS 2012, as in Krizhevsky, arXiv 1404.5997", 2012, 8, _IMAGENET, 61_100_840, 714_188_480, any_size=True),
    "vgg11": Net("gipi.models.vgg:vgg11", "classify", "VGG-11", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 11, _IMAGENET, 132_863_336, 7_609_090_048, any_size=True),
    "vgg13": Net("gipi.models.vgg:vgg13", "classify", "VGG-13", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 13, _IMAGENET, 133_047_848, 11_308_466_176, any_size=True),
    "vgg16": Net("gipi.models.vgg:vgg16", "classify", "VGG-16", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 16, _IMAGENET, 138_357_544, 15_470_264_320, any_size=True),
    "vgg19": Net("gipi.models.vgg:vgg19", "classify", "VGG-19", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 19, _IMAGENET, 143_667_240, 19_632_062_464, any_size=True),
    "vgg11-bn": Net("gipi.models.vgg:vgg11_bn", "classify", "VGG-11, batch norm", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 11, _IMAGENET, 132_868_840, 7_609_090_048, any_size=True),
    "vgg13-bn": Net("gipi.models.vgg:vgg13_bn", "classify", "VGG-13, batch norm", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 13, _IMAGENET, 133_053_736, 11_308_466_176, any_size=True),
    "vgg16-bn": Net("gipi.models.vgg:vgg16_bn", "classify", "VGG-16, batch norm", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 16, _IMAGENET, 138_365_992, 15_470_264_320, any_size=True),
    "vgg19-bn": Net("gipi.models.vgg:vgg19_bn", "classify", "VGG-19, batch norm", "Simonyan and Zisserman, arXiv 1409.1556", 2014, 19, _IMAGENET, 143_678_248, 19_632_062_464, any_size=True),
    "googlenet": Net("gipi.models.googlenet:googlenet", "classify", "GoogLeNet", "Szegedy et al., arXiv 1409.4842", 2014, 22, _IMAGENET, 6_624_904, 1_498_376_192, any_size=True),
    "resnet10": Net("gipi.models.resnet:resnet10", "classify", "ResNet-10", "ours, after He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 10, _IMAGENET, 5_418_792, 889_229_312, any_size=True),
    "resnet18": Net("gipi.models.resnet:resnet18", "classify", "ResNet-18", "He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 18, _IMAGENET, 11_689_512, 1_814_073_344, any_size=True),
    "resnet34": Net("gipi.models.resnet:resnet34", "classify", "ResNet-34", "He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 34, _IMAGENET, 21_797_672, 3_663_761_408, any_size=True),
    "resnet50": Net("gipi.models.resnet:resnet50", "classify", "ResNet-50", "He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 50, _IMAGENET, 25_557_032, 4_089_184_256, any_size=True),
    "resnet101": Net("gipi.models.resnet:resnet101", "classify", "ResNet-101", "He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 101, _IMAGENET, 44_549_160, 7_801_405_440, any_size=True),
    "resnet152": Net("gipi.models.resnet:resnet152", "classify", "ResNet-152", "He, Zhang, Ren and Sun, arXiv 1512.03385", 2015, 152, _IMAGENET, 60_192_808, 11_513_626_624, any_size=True),
    "squeezenet1-0": Net("gipi.models.squeezenet:squeezenet1_0", "classify", "SqueezeNet 1.0", "Iandola et al., arXiv 1602.07360", 2016, 18, _IMAGENET, 1_248_424, 818_924_576, any_size=True),
    "mobilenet-v2": Net("gipi.models.mobilenetv2:mobilenet_v2", "classify", "MobileNetV2", "Sandler et al., arXiv 1801.04381", 2018, 53, _IMAGENET, 3_504_872, 300_774_272, any_size=True),
    "fcn32s-vgg16": Net("gipi.models.fcn:fcn32s_vgg16", "segment", "FCN-32s, VGG-16", "Long, Shelhamer and Darrell, arXiv 1605.06211", 2015, 17, _IMAGENET, 134_432_597, 21_212_405_760, any_size=True),
    "fcn16s-vgg16": Net("gipi.models.fcn:fcn16s_vgg16", "segment", "FCN-16s, VGG-16", "Long, Shelhamer and Darrell, arXiv 1605.06211", 2015, 18, _IMAGENET, 134_379_194, 21_214_529_616, any_size=True),
    "fcn8s-vgg16": Net("gipi.models.fcn:fcn8s_vgg16", "segment", "FCN-8s, VGG-16", "Long, Shelhamer and Darrell, arXiv 1605.06211", 2015, 19, _IMAGENET, 134_368_799, 21_218_810_256, any_size=True),
    "fcn8s-resnet18": Net("gipi.models.fcn:fcn8s_resnet18", "segment", "FCN-8s, ResNet-18", "after Long, Shelhamer and Darrell, arXiv 1605.06211", 2015, 21, _IMAGENET, 11_201_439, 1_821_546_384, any_size=True),
    "fcn8s-resnet50": Net("gipi.models.fcn:fcn8s_resnet50", "segment", "FCN-8s, ResNet-50", "after Long, Shelhamer and Darrell, arXiv 1605.06211", 2015, 53, _IMAGENET, 23_589_407, 4_106_185_104, any_size=True),
    "faster-rcnn-vgg16": Net("gipi.models.faster_rcnn:faster_rcnn_vgg16", "detect", "Faster R-CNN, VGG-16", "Ren et al., arXiv 1506.01497", 2015, 16, _BOXES, 137_073_622, 394_284_748_800, any_size=True),
    "faster-rcnn-resnet50-fpn": Net("gipi.models.faster_rcnn:faster_rcnn_resnet50_fpn", "detect", "Faster R-CNN, ResNet-50, FPN", "Ren et al., arXiv 1506.01497; Lin et al., arXiv 1612.03144", 2016, 54, _BOXES, 41_755_286, 177_581_734_144, any_size=True),
    "faster-rcnn-resnet18-fpn": Net("gipi.models.faster_rcnn:faster_rcnn_resnet18_fpn", "detect", "Faster R-CNN, ResNet-18, FPN", "after Ren et al., arXiv 1506.01497; Lin et al., arXiv 1612.03144", 2016, 22, _BOXES, 28_730_006, 133_128_665_344, any_size=True),
    "faster-rcnn-mobilenet-v2-fpn": Net("gipi.models.faster_rcnn:faster_rcnn_mobilenet_v2_fpn", "detect", "Faster R-CNN, MobileNetV2, FPN", "after Ren et al., arXiv 1506.01497; Lin et al., arXiv 1612.03144", 2018, 57, _BOXES, 19_873_686, 106_000_799_744, any_size=True),
    "fast-rcnn-vgg16": Net("gipi.models.faster_rcnn:fast_rcnn_vgg16", "detect", "Fast R-CNN, VGG-16", "Girshick, arXiv 1504.08083", 2015, 16, _BOXES, 134_690_729, 386_184_806_400, any_size=True),
    "fast-rcnn-resnet18-fpn": Net("gipi.models.faster_rcnn:fast_rcnn_resnet18_fpn", "detect", "Fast R-CNN, ResNet-18, FPN", "after Girshick, arXiv 1504.08083; Lin et al., arXiv 1612.03144", 2016, 22, _BOXES, 28_136_071, 90_105_241_600, any_size=True),
    "fast-rcnn-mobilenet-v2-fpn": Net("gipi.models.faster_rcnn:fast_rcnn_mobilenet_v2_fpn", "detect", "Fast R-CNN, MobileNetV2, FPN", "after Girshick, arXiv 1504.08083; Lin et al., arXiv 1612.03144", 2018, 57, _BOXES, 19_279_751, 62_977_376_000, any_size=True),
    "rcnn-alexnet": Net("gipi.models.rcnn:rcnn_alexnet", "detect", "R-CNN, AlexNet", "Girshick, Donahue, Darrell and Malik, arXiv 1311.2524", 2014, 8, _IMAGENET, 57_089_877, 710_178_496, any_size=True, chain="gipi.tasks.rcnn:train_chain"),
    "rcnn-resnet18": Net("gipi.models.rcnn:rcnn_resnet18", "detect", "R-CNN, ResNet-18", "after Girshick, Donahue, Darrell and Malik, arXiv 1311.2524", 2015, 18, _IMAGENET, 11_187_285, 1_813_572_096, any_size=True, chain="gipi.tasks.rcnn:train_chain"),
    "rcnn-mobilenet-v2": Net("gipi.models.rcnn:rcnn_mobilenet_v2", "detect", "R-CNN, MobileNetV2", "after Girshick, Donahue, Darrell and Malik, arXiv 1311.2524", 2018, 53, _IMAGENET, 2_250_773, 299_521_152, any_size=True, chain="gipi.tasks.rcnn:train_chain"),
    "nic-alexnet": Net("gipi.models.nic:nic_alexnet", "caption", "NIC, AlexNet", "Vinyals et al., arXiv 1411.4555", 2015, 8, _IMAGENET, 7_777_528, 657_233_600, any_size=True),
    "nic-vgg16": Net("gipi.models.nic:nic_vgg16", "caption", "NIC, VGG-16", "Vinyals et al., arXiv 1411.4555", 2015, 16, _IMAGENET, 20_153_592, 15_348_428_800, any_size=True),
    "nic-googlenet": Net("gipi.models.nic:nic_googlenet", "caption", "NIC, GoogLeNet", "Vinyals et al., arXiv 1411.4555", 2015, 24, _IMAGENET, 11_300_952, 1_499_412_480, any_size=True),
    "nic-resnet18": Net("gipi.models.nic:nic_resnet18", "caption", "NIC, ResNet-18", "Vinyals et al., arXiv 1411.4555", 2015, 20, _IMAGENET, 16_615_416, 1_815_359_488, any_size=True),
    "nic-resnet50": Net("gipi.models.nic:nic_resnet50", "caption", "NIC, ResNet-50", "Vinyals et al., arXiv 1411.4555", 2015, 52, _IMAGENET, 29_733_368, 4_089_720_832, any_size=True),
    "nic-mobilenet-v2": Net("gipi.models.nic:nic_mobilenet_v2", "caption", "NIC, MobileNetV2", "Vinyals et al., arXiv 1411.4555", 2015, 55, _IMAGENET, 8_055_992, 301_685_632, any_size=True),
    "attend-alexnet": Net("gipi.models.attend:attend_alexnet", "caption", "Show, attend and tell, AlexNet", "Xu et al., arXiv 1502.03044", 2015, 8, _IMAGENET, 10_402_040, 668_027_584, any_size=True),
    "attend-vgg16": Net("gipi.models.attend:attend_vgg16", "caption", "Show, attend and tell, VGG-16", "Xu et al., arXiv 1502.03044", 2015, 16, _IMAGENET, 22_778_104, 15_368_938_752, any_size=True),
    "attend-googlenet": Net("gipi.models.attend:attend_googlenet", "caption", "Show, attend and tell, GoogLeNet", "Xu et al., arXiv 1502.03044", 2015, 24, _IMAGENET, 13_925_464, 1_532_505_344, any_size=True),
    "attend-resnet18": Net("gipi.models.attend:attend_resnet18", "caption", "Show, attend and tell, ResNet-18", "Xu et al., arXiv 1502.03044", 2015, 20, _IMAGENET, 19_239_928, 1_835_869_440, any_size=True),
    "attend-resnet50": Net("gipi.models.attend:attend_resnet50", "caption", "Show, attend and tell, ResNet-50", "Xu et al., arXiv 1502.03044", 2015, 52, _IMAGENET, 32_357_880, 4_147_979_520, any_size=True),
    "attend-mobilenet-v2": Net("gipi.models.attend:attend_mobilenet_v2", "caption", "Show, attend and tell, MobileNetV2", "Xu et al., arXiv 1502.03044", 2015, 55, _IMAGENET, 10_680_504, 341_069_952, any_size=True),
    "dcgan": Net("gipi.models.dcgan:dcgan", "generate", "DCGAN", "Radford, Metz and Chintala, arXiv 1511.06434", 2015, 5, (100, 1, 1), 12_658_435, 410_583_040),
    "dqn": Net("gipi.models.dqn:dqn", "act", "DQN", "Mnih et al., Nature 518, 2015", 2015, 5, (4, 84, 84), 1_687_206, 9_346_048),
    "dqn-small": Net("gipi.models.dqn:dqn_small", "act", "DQN for small pictures", "after Mnih et al., Nature 518, 2015", 2015, 4, (4, 16, 16), 267_891, 704_896),
    "dqn-mlp": Net("gipi.models.dqn:dqn_mlp", "act", "DQN for numbers", "after Mnih et al., Nature 518, 2015", 2015, 3, (4, 1, 1), 17_410, 17_152),
    # CamVid's images have 360 rows, which is no multiple of 32.
    "segnet": Net("gipi.models.segnet:segnet", "segment", "SegNet", "Badrinarayanan, Kendall and Cipolla, arXiv 1511.00561", 2015, 26, (3, 352, 480), 29_449_355, 104_133_427_200, any_size=True),
    "segnet-basic": Net("gipi.models.segnet:segnet_basic", "segment", "SegNet-Basic", "Badrinarayanan, Kendall and Cipolla, arXiv 1511.00561", 2015, 9, (3, 352, 480), 1_416_075, 57_873_530_880, any_size=True),
}
# fmt: on

DATASETS = {
    "mnist": Dataset({"classify": "gipi.data.mnist:mnist", "generate": "gipi.data.mnist:mnist"}, "handwritten digits", (1, 28, 28), 60_000, 10_000, "digit"),
    "fashion-mnist": Dataset({"classify": "gipi.data.mnist:fashion_mnist", "generate": "gipi.data.mnist:fashion_mnist"}, "ten kinds of clothing", (1, 28, 28), 60_000, 10_000, "resize"),
    "cifar10": Dataset({"classify": "gipi.data.cifar:cifar10", "generate": "gipi.data.cifar:cifar10"}, "ten kinds of things in colour", (3, 32, 32), 50_000, 10_000, "resize"),
    "hymenoptera": Dataset({"classify": "gipi.data.folder:hymenoptera", "generate": "gipi.data.folder:hymenoptera"}, "ants and bees, photographs of any size", (3, 256, 256), 244, 153, "crop"),
    "camvid": Dataset({"segment": "gipi.data.mask_folder:camvid"}, "streets seen from a car, 11 classes of pixels", (3, 360, 480), 367, 233, "whole"),
    "bccd": Dataset({"detect": "gipi.data.box_folder:bccd"}, "blood cells of 3 kinds under a microscope, in boxes", (3, 480, 640), 205, 72, "whole"),
    "flickr8k": Dataset({"caption": "gipi.data.caption_folder:flickr8k"}, "photographs of people and dogs, each with five captions", (3, 224, 224), 6_000, 1_000, "resize"),
    "scenes": Dataset({"segment": "gipi.data.scenes:scenes", "detect": "gipi.data.scenes:scene_boxes", "caption": "gipi.data.scenes:scene_captions"}, "handwritten digits before clutter, made here: needs no network", (3, 64, 96), 4_096, 1_024, "whole"),
    "digits": Dataset({"classify": "gipi.data.digits:digits", "generate": "gipi.data.digits:digits"}, "handwritten digits, embedded: needs no network", (1, 28, 28), 1_437, 360, "digit"),
}  # fmt: skip

GAMES = {
    "catch": Game("gipi.envs.catch:Catch", "a ball falls, a paddle is to be below it: 16x16 pixels, made here"),
    "snake": Game("gipi.envs.snake:Snake", "eat, grow, run into neither wall nor oneself: 12x12 pixels, made here"),
}

SHIPPED = {
    "deepconvnet-mnist": Shipped("deepconvnet-mnist", "reads a handwritten digit"),
    "fcn-scenes": Shipped("fcn-scenes", "finds the pixels of handwritten digits before cluttered grounds"),
    "faster-rcnn-scenes": Shipped("faster-rcnn-scenes", "finds handwritten digits before cluttered grounds, and reads them"),
    "attend-scenes": Shipped("attend-scenes", "says which handwritten digits lie where before cluttered grounds"),
    "digitnet-mnist": Shipped("digitnet-mnist", "reads a handwritten digit, by another net"),
    "dcgan-mnist": Shipped("dcgan-mnist", "makes the handwritten digit that is asked for"),
    "dcgan-fashion": Shipped("dcgan-fashion", "makes the piece of clothing that is asked for"),
    "digitnet-fashion": Shipped("digitnet-fashion", "tells ten kinds of clothing apart"),
    "dqn-catch": Shipped("dqn-catch", "catches a falling ball"),
    "dqn-cartpole": Shipped("dqn-cartpole", "balances a pole on a cart"),
    "dqn-pong": Shipped("dqn-pong", "wins at Pong; needs gipi[atari]"),
    "digitnet-tiny-mnist": Shipped("digitnet-tiny-mnist", "reads a handwritten digit with 6,866 weights"),
}

E = TypeVar("E")


def entry(table: Mapping[str, E], name: str, what: str) -> E:
    """The entry of that name. Raises ConfigError naming the nearest: `what` is said of it ("net", "data set", ...)."""
    if name not in table:
        raise ConfigError(f"no {what} {name!r}{nearest(name, table)}")
    return table[name]


def data_factory(name: str, kind: str, what: str, otherwise: str) -> str:
    """Of the data set `name`: "module:function" for that kind. Raises ConfigError naming the nearest, or those that serve it."""
    known = entry(DATASETS, name, "data set or folder")
    if kind not in known.factories:
        fitting = ", ".join(key for key, data in DATASETS.items() if kind in data.factories)
        raise ConfigError(f"data set {name!r} has no {what}; those that have: {fitting}, or {otherwise}")
    return known.factories[kind]


def resolve(factory: str) -> Any:
    """What "module:name" stands for, its module imported now."""
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)
