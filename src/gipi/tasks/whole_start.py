"""What a training on pictures with masks, boxes or captions begins with: fresh weights, a classifier's, or another model's."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from gipi import __version__, catalog
from gipi.config import Config
from gipi.data.boxes import BoxSet
from gipi.data.captions import CaptionSet
from gipi.data.masks import MaskSet
from gipi.errors import ConfigError, WeightsError
from gipi.model import Card, fit_weights
from gipi.models.backbone import Converted
from gipi.models.caption_net import CaptionNet
from gipi.models.kinds import build_net
from gipi.ops.augment_boxes import fit_for_boxes
from gipi.preprocess import Preprocess
from gipi.tasks.pretrained import pretrained
from gipi.tasks.state_dict import build_aside

Args = dict[str, bool | int | float | str]
BODY = {"width", "stem", "padding"}  # arguments of a body, by which its weights differ


def check(config: Config) -> None:
    """Raises ConfigError for what the kind has no use for, and for a net that does something else."""
    known, kind = catalog.entry(catalog.NETS, config.net.name, "net"), config.kind
    if known.kind != kind:
        fitting = ", ".join(name for name, net in catalog.NETS.items() if net.kind == kind)
        raise ConfigError(f"net {config.net.name!r} does {known.kind}, not {kind}; those that do: {fitting}")
    what = {"segment": "segmentation", "detect": "detection", "caption": "captioning"}[kind]
    if kind == "detect":
        fit_for_boxes(config.data.augment)
    for name, given, use in (
        ("members", config.run.members > 1, "classifiers"),
        ("transfer.frozen", kind != "caption" and config.transfer.frozen > 0, "classifiers and captioning"),
        ("data.augment.mixup", config.data.augment.mixup > 0, "classifiers"),
        ("data.augment.cutmix", config.data.augment.cutmix > 0, "classifiers"),
        ("data.class-weights", kind != "segment" and config.data.class_weights != "none", "segmentation"),
        ("data.least-count", kind != "caption" and config.data.least_count > 1, "captioning"),
        ("optim.label-smoothing", kind == "detect" and config.optim.label_smoothing > 0, "all kinds but detection"),
        ("compile", kind == "caption" and config.run.compile == "on", "all kinds but captioning"),
        ("shard", kind == "caption" and config.run.shard, "all kinds but captioning"),
    ):
        if given:
            raise ConfigError(f"--{name} is for {use}, {config.recipe or config.net.name!r} is {what}: leave it out")


def begin(
    config: Config, data: MaskSet | BoxSet | CaptionSet, classes: tuple[str, ...], digest: dict[str, str]
) -> tuple[nn.Module, Card]:
    """(net, card) for training on `data`. Raises ConfigError or WeightsError where net, weights and images do not fit.

    classes: those of the data, or the words of its captions.

    `transfer.weights` may be a classifier's: those of the net's own backbone, such as VGG-16 for FCN; where a segmentation net
    has as many classes, its last layer is taken over. Or those of a model of another kind on the same backbone, whose body is
    taken over: a captioner may begin with what a detector sees. Or those of a model of the same net, to train it further; where
    its classes are others, the layers that score them begin anew, in nets that name them as FRESH.
    """
    args: Args = {**config.net.args, "classes": len(classes), "channels": 3}
    net = build_net(config.net.name, args)
    height, width = data.images.shape[2:]
    mean, std, parents = data.mean, data.std, ()
    if config.kind == "detect" and not config.transfer.weights and not all(weight.requires_grad for weight in net.parameters()):
        raise ConfigError(
            f"net {config.net.name!r} keeps its first layers and its norms as a classifier left them: give --from imagenet or a "
            "model; from nothing it is trained with its argument fixed=0, as recipe faster-rcnn-scenes does"
        )
    if source := config.transfer.weights:
        weights, parent = pretrained(source, str(net.origin) or config.net.name, whole=config.net.name)
        net, args = _fitting(net, config.net.name, args, parent)
        _start_from(net, weights, parent, config.net.name, classes, source)
        mean, std, parents = parent.preprocess.mean, parent.preprocess.std, (source,)
    if small := _too_small(net, height, width):
        raise ConfigError(
            f"images of {data.name!r} have {height}x{width} pixels, {small} {config.net.name!r}: give a larger --data.size"
        )
    framing, short = ("resize", 0) if config.kind == "caption" else ("whole", min(height, width))
    card = Card(
        kind=config.kind,
        net=config.net.name,
        args=args,
        classes=classes,
        preprocess=Preprocess((3, height, width), framing, short, mean, std),
        recipe=config.recipe,
        data=digest,
        parents=parents,
        gipi=__version__,
        colours=data.colours if isinstance(data, MaskSet) else (),
    )
    return net, card


def _too_small(net: nn.Module, height: int, width: int) -> str:
    """In what way images of that size are too small for the net; "" if they are not."""
    if not isinstance(net, CaptionNet):
        return f"smaller than the stride {net.stride} of" if min(height, width) < net.stride else ""  # pyright: ignore[reportOperatorIssue]
    try:
        net.encoder.shape(height, width)
    except RuntimeError:  # nothing would be left of them
        return "too few for"
    return ""


def _fitting(net: nn.Module, name: str, args: Args, parent: Card) -> tuple[nn.Module, Args]:
    """(the net, its arguments) with those of the parent's that it takes, too, unless they are set; of another net, its body's."""
    allowed = {*inspect.signature(catalog.resolve(catalog.NETS[name].factory)).parameters}
    taken = allowed if parent.net == name else allowed & BODY
    fitted = {key: value for key, value in parent.args.items() if key in taken} | args
    return (net, args) if fitted == args else (build_net(name, fitted), fitted)


def _start_from(
    net: nn.Module, weights: dict[str, Tensor], parent: Card, name: str, classes: tuple[str, ...], source: str
) -> None:
    """Load the weights of the net's origin, or of the body of another model on it, or of a model of the same net but for what
    scores other classes.
    """
    if parent.net == name:
        fresh = () if parent.classes == classes else net.FRESH
        own = {key: value for key, value in net.state_dict().items() if key.startswith(fresh)}  # pyright: ignore[reportArgumentType]
        if parent.classes != classes and not own:
            raise ConfigError(f"{source} is {name} for {', '.join(parent.classes)}; this training is for {', '.join(classes)}")
        fit_weights(net, {**weights, **own}, source)
        return
    known = weights if parent.net == net.origin else _body(weights, parent, str(net.origin))
    if not known:
        raise ConfigError(f"{source} is {parent.net}; {name!r} starts from {net.origin or 'no classifier'}")
    try:
        taken = net.from_classifier(known)  # pyright: ignore[reportCallIssue]
    except ValueError as error:
        raise WeightsError(f"{source} does not fit {name!r}: {error}") from error
    with torch.no_grad():
        net.load_state_dict(taken)


def _body(weights: dict[str, Tensor], parent: Card, origin: str) -> dict[str, Tensor]:
    """What a model on that classifier's body hands over, by the classifier's names; empty if it is on another, or on none."""
    other = build_aside(parent.net, parent.args)
    if not isinstance(other, Converted) or other.origin != origin:
        return {}
    return {old: weights[new] for new, old in other.names().items()}
