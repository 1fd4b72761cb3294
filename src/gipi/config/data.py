"""What a net is trained on, and how the images are changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gipi.config.checks import among, within
from gipi.errors import ConfigError

Views = Literal["none", "shift", "flip"]
ClassWeights = Literal["none", "median-frequency"]


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of each training image; 0 turns one off. First pixels move, all at once, then light changes."""

    rotate_deg: float = 0.0
    """turn by up to this angle, either way"""
    shift_px: float = 0.0
    """shift by up to this many pixels, each way"""
    scale: float = 0.0
    """enlarge or shrink by up to this share, 0.1 is 10 %"""
    shear_deg: float = 0.0
    """slant by up to this angle, either way"""
    crop: float = 0.0
    """cut up to this share off the width and the height, anywhere, and enlarge the rest"""
    elastic_px: float = 0.0
    """bend smoothly: every pixel moves by up to this many pixels, each way"""
    flip: float = 0.0
    """share of the images that are mirrored left to right"""
    brightness: float = 0.0
    """brighten or darken by up to this share"""
    contrast: float = 0.0
    """raise or lower the contrast by up to this share"""
    saturation: float = 0.0
    """raise or lower the saturation of the colours by up to this share; of images in colour only"""
    erase: float = 0.0
    """share of the images of which a rectangle is erased"""
    mixup: float = 0.0
    """blend each image with another: alpha of the Beta distribution of the weights, 0.2 is usual"""
    cutmix: float = 0.0
    """put a part of another image in: alpha of the Beta distribution of its area, 1 is usual"""

    def __post_init__(self) -> None:
        for name, high in (("rotate_deg", 180), ("shift_px", 1000), ("shear_deg", 60), ("elastic_px", 1000), ("mixup", 100),
                           ("cutmix", 100), ("flip", 1), ("erase", 1), ("scale", 0.9), ("crop", 0.9), ("brightness", 1),
                           ("contrast", 1), ("saturation", 1)):  # fmt: skip
            within(f"data.augment.{name}", getattr(self, name), 0, high)
        if self.mixup and self.cutmix:
            raise ConfigError(f"data.augment.mixup {self.mixup} and data.augment.cutmix {self.cutmix} both mix: set one to 0")

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True)
class DataConfig:
    """What the net is trained on."""

    name: str = "mnist"
    """a data set of the catalogue (see: gipi list), a folder of pictures or a CSV file of path,label"""
    size: int = 0
    """side in pixels to which pictures of a folder are brought, 0 takes that of the net; of segmentation, their shorter side;
    of generation, that of the images made: 0 takes the data set's own, 64 of a folder"""
    broken: float = 0.01
    """largest share of the pictures of a folder that may be unreadable; they are left out and listed"""
    batch: int = 100
    """images in a training step"""
    holdout: float = 1 / 12
    """share of the training images set aside for validation after each epoch; 0 trains on all and validates on none"""
    limit: int = 0
    """train on this many images only, the same share of each class; 0 takes all"""
    class_weights: ClassWeights = "none"
    """of segmentation: median-frequency makes pixels of rare classes count more"""
    least_count: int = 1
    """of captioning: words that the training captions have less often are unknown"""
    augment: AugmentConfig = AugmentConfig()

    def __post_init__(self) -> None:
        among("data.class_weights", self.class_weights, ClassWeights)
        within("data.size", self.size, 0, 4096)
        within("data.broken", self.broken, 0, 1)
        within("data.batch", self.batch, 1, 1_000_000)
        within("data.holdout", self.holdout, 0, 0.9)
        within("data.limit", self.limit, 0, 1_000_000_000)
        within("data.least_count", self.least_count, 1, 1_000_000)
        if self.augment.mixes and self.batch < 2:
            raise ConfigError(f"mixup and cutmix mix the images of a batch: data.batch is {self.batch}, allowed are 2 and more")
