"""What makes a generator dependable: each choice alone against one plain recipe, on many images and on few.

Sources of the claims: hinge loss and spectral norm, Miyato et al., arXiv 1802.05957; one-sided label smoothing, Salimans et al.,
arXiv 1606.03498, section 3.4; labels, Mirza and Osindero, arXiv 1411.1784; averaged weights, Yazici et al., arXiv 1806.04498; the
same changes of real and made images, Zhao et al., arXiv 2006.10738; the rate of 2e-4, Radford et al., arXiv 1511.06434.
"""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, GanConfig, NetConfig, OptimConfig, RunConfig
from gipi.studies.plan import Claim, Study, Variant

ALL, FEW = "all images", "500 images"
_PLAIN = Config(
    kind="generate",
    net=NetConfig("dcgan", {"width": 32}),
    data=DataConfig("mnist", batch=64, holdout=0.0),
    optim=OptimConfig("adam", lr=1e-3, beta1=0.5),
    gan=GanConfig(conditional=True, samples=2_000),
    run=RunConfig(epochs=1),
)
_BARE = replace(  # as many steps
    _PLAIN, data=replace(_PLAIN.data, limit=500), gan=replace(_PLAIN.gan, samples=500), run=RunConfig(epochs=134)
)
_SHIFTED = replace(_BARE, data=replace(_BARE.data, augment=AugmentConfig(shift_px=2)))
_CHOICES = {
    "plain": _PLAIN,
    "no labels": replace(_PLAIN, gan=replace(_PLAIN.gan, conditional=False)),
    "rate of 2e-4": replace(_PLAIN, optim=replace(_PLAIN.optim, lr=2e-4)),
    "hinge": replace(_PLAIN, gan=replace(_PLAIN.gan, loss="hinge")),
    "spectral norm": replace(_PLAIN, gan=replace(_PLAIN.gan, spectral_norm=True)),
    "smoothing": replace(_PLAIN, optim=replace(_PLAIN.optim, label_smoothing=0.1)),
    "EMA": replace(_PLAIN, optim=replace(_PLAIN.optim, ema=0.999)),
}

GAN = Study(
    about="what betters a DCGAN: labels, rate, hinge loss, spectral norm, smoothing, averaged weights; on few images, shifts",
    cost="2 CPU cores, about 25 minutes",
    x="choice",
    scores=("frechet", "precision", "recall"),
    variants=(
        *(Variant(ALL, name, config) for name, config in _CHOICES.items()),
        Variant(FEW, "plain", _BARE),
        Variant(FEW, "shifts", _SHIFTED),
    ),
    claims=(
        Claim("labels on request lower the Fréchet distance", f"{ALL}, plain", f"{ALL}, no labels", "frechet"),
        Claim("in so few steps five times the paper's rate lowers it", f"{ALL}, plain", f"{ALL}, rate of 2e-4", "frechet"),
        Claim("the hinge loss lowers it", f"{ALL}, hinge", f"{ALL}, plain", "frechet"),
        Claim("spectral norm in place of batch norm lowers it", f"{ALL}, spectral norm", f"{ALL}, plain", "frechet"),
        Claim("one-sided label smoothing lowers it", f"{ALL}, smoothing", f"{ALL}, plain", "frechet"),
        Claim("averaged weights lower it", f"{ALL}, EMA", f"{ALL}, plain", "frechet"),
        Claim("averaged weights keep more of the variety", f"{ALL}, EMA", f"{ALL}, plain", "recall"),
        Claim("label smoothing keeps more of the variety", f"{ALL}, smoothing", f"{ALL}, plain", "recall"),
        Claim("few images make a worse generator, with as many steps", f"{ALL}, plain", f"{FEW}, plain", "frechet"),
        Claim(
            "on few images, shifting real and made ones alike lowers the distance", f"{FEW}, shifts", f"{FEW}, plain", "frechet"
        ),
        Claim("and keeps more of the variety", f"{FEW}, shifts", f"{FEW}, plain", "recall"),
    ),
)
