"""A model as one ONNX file, pixels in and answers out. It is written once ONNX Runtime has been seen to answer as we do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gipi.data.scenes import scene
from gipi.errors import ConfigError, DeviceError, GipiWarning
from gipi.models.rcnn import RCNN
from gipi.models.region_net import Found
from gipi.ops.boxes import iou
from gipi.ops.image import resize, scale, scale_short
from gipi.ops.random import uniforms
from gipi.runs import write_atomic
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector, given_regions
from gipi.tasks.proposals import MOST
from gipi.tasks.segmenter import Segmenter

LARGEST = 2**31 - 2**20  # bytes of weights: one ONNX file holds no more
SCORE, OVERLAP = 1e-4, 0.999  # how much scores of equal answers may differ, and the least IoU of their boxes
SCENES = 3  # that are compared beside noise if no picture is named


Model = Classifier | Segmenter | Detector


@dataclass(frozen=True)
class Likeness:
    """How alike two answers are. score: by how much scores or probabilities differ at most.

    boxes: those that both should have found.  overlap: the least IoU of such a pair.
    """

    score: float
    boxes: int = 0
    overlap: float = 1.0

    def worse(self, other: Likeness) -> Likeness:
        """The worst figure of both, and the boxes of both."""
        return Likeness(max(self.score, other.score), self.boxes + other.boxes, min(self.overlap, other.overlap))


@dataclass(frozen=True)
class Exported:
    """inputs, outputs: type and shape of each by its name.  pictures: on which answers were compared."""

    path: Path
    inputs: dict[str, str]
    outputs: dict[str, str]
    pictures: int
    likeness: Likeness

    def text(self) -> str:
        likeness, lines = self.likeness, [f"{self.path}, {self.path.stat().st_size / 2**20:,.1f} MiB"]
        lines += [
            f"  {way:4} {name} {what}"
            for way, part in (("in", self.inputs), ("out", self.outputs))
            for name, what in part.items()
        ]
        boxes = f"{likeness.boxes:,} boxes, their IoU at least {likeness.overlap:.6f}, " if "boxes" in self.outputs else ""
        lines += [f"  as here on {self.pictures} pictures: {boxes}scores differ by at most {likeness.score:.1g}"]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def export(model: Model, out: Path, *, check: Path | None = None) -> Exported:
    """Write a model that computes in float32 on the CPU as one ONNX file, which reads uint8 pixels.

    A classifier takes any number of pictures of its size, a segmentation net any number of any size, a detector one of the card's
    size, or of the size that `check` is scaled to. Scaling is left to who reads a picture. The card is the metadata "gipi".
    check: a picture on which ONNX Runtime's answer is compared with ours; noise and scenes if None.
    Raises DeviceError without the extra "onnx" or if the answers differ, ConfigError for a net that does not become one file and
    for a file that cannot be written, DataError if `check` cannot be read; nothing is written then.
    """
    runtime = _runtime()
    _allowed(model, out)
    pictures = _pictures(model, check)
    from gipi.tasks.onnx_graph import graph, onnx_file

    pixels, *regions = pictures[0]
    example = (pixels if isinstance(model, Detector) else torch.cat([pixels, pixels]), *regions)  # one image alone is no batch
    data = onnx_file(model, graph(model, example))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    likeness = Likeness(0)
    for picture in pictures:
        feeds = {name: part.numpy() for name, part in zip(names, picture, strict=True)}
        likeness = _likeness(model, picture, [torch.from_numpy(part) for part in session.run(None, feeds)]).worse(likeness)
    if likeness.score > SCORE or likeness.overlap < OVERLAP:
        raise DeviceError(
            f"ONNX Runtime {runtime.__version__} does not answer as PyTorch {torch.__version__} does: scores differ by up to "
            f"{likeness.score:.2g} (at most {SCORE:g} is allowed), the least IoU of boxes is {likeness.overlap:.4f} (at least "
            f"{OVERLAP:g} is wanted). {out} is not written; try other versions of both"
        )
    if isinstance(model, Detector) and not likeness.boxes:
        warnings.warn(GipiWarning(f"no box was found in what {out} was compared on: name a picture with --check"), stacklevel=2)
    try:
        write_atomic(out, data)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    inputs, outputs = ({each.name: _said(each) for each in part} for part in (session.get_inputs(), session.get_outputs()))
    return Exported(out, inputs, outputs, len(pictures), likeness)


def _runtime() -> Any:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError as error:
        raise DeviceError("exporting takes ONNX and its runtime, which are not installed here: pip install gipi[onnx]") from error
    return onnxruntime


def _allowed(model: Model, out: Path) -> None:
    if out.suffix != ".onnx":
        raise ConfigError(f"{str(out)!r} is no name of an ONNX file: give it the ending .onnx")
    if not out.parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")
    if isinstance(model.net, RCNN):
        raise ConfigError(
            f"{model.card.net} cuts regions out of a picture and runs its net on each: that is a program, not one graph of ONNX; "
            "export Fast or Faster R-CNN"
        )
    if (size := sum(weight.nbytes for weight in model.net.state_dict().values())) > LARGEST:
        raise ConfigError(f"the model has {size:,} bytes of weights; one ONNX file holds at most {LARGEST:,}")


def _pictures(model: Model, check: Path | None) -> list[tuple[Tensor, ...]]:
    """What the net is fed: pixels uint8 (1, c, h, w); where it wants to be told, also regions (2000, 4), zeros behind."""
    pictures = [_fed(model, check)] if check else list(_made(model))
    if not (isinstance(model, Detector) and model.given):
        return [(pixels,) for pixels in pictures]
    found = [given_regions(pixels, torch.tensor([pixels.shape[2:]]))[0] for pixels in pictures]
    return [(pixels, F.pad(own, (0, 0, 0, MOST - len(own)))) for pixels, own in zip(pictures, found, strict=True)]


def _fed(model: Model, check: Path) -> Tensor:
    pixels = model.frame(check)[None]
    if isinstance(model, Segmenter):
        return scale_short(pixels, model.short)
    return scale(pixels, model.size(*pixels.shape[2:])) if isinstance(model, Detector) else pixels


def _made(model: Model) -> Iterator[Tensor]:
    """Noise and scenes of the card's size; for a segmentation net, which takes any, every other one is smaller."""
    channels, height, width = model.card.image
    noise = uniforms(0, 0, torch.arange(channels * height), width).view(1, channels, height, width)
    yield (noise * 256).to(torch.uint8)
    for number in range(SCENES):
        picture = resize(Image.fromarray(scene("test", number).image.transpose(1, 2, 0)), model.card.image)[None]
        smaller = number % 2 == 0 and isinstance(model, Segmenter)
        yield scale(picture, (height * 3 // 4 + 1, width * 3 // 4 + 1)) if smaller else picture


def _likeness(model: Model, picture: tuple[Tensor, ...], theirs: list[Tensor]) -> Likeness:
    pixels, *regions = picture
    if not isinstance(model, Detector):
        return Likeness(float((model.logits(pixels).softmax(1) - theirs[0].softmax(1)).abs().max()))
    with model.answering():
        found = model.net(
            model.inputs(pixels), sizes=torch.tensor([pixels.shape[2:]]), regions=regions[0][None] if regions else None
        )
    there = found.labels[0] >= 0
    ours = Found(*(part[0][there] for part in found))
    most, least = int(model.net.most), float(model.net.score)  # pyright: ignore[reportArgumentType]
    for answer in (ours, Found(*theirs)):
        if len(answer.scores) >= most:  # the next one would have been left out for its rank
            least = max(least, float(answer.scores[-1]))
    return _half(ours, Found(*theirs), least + SCORE).worse(_half(Found(*theirs), ours, least + SCORE))


def _half(one: Found, other: Found, least: float) -> Likeness:
    """How alike the boxes (k, 4) of one answer that score `least` or more are to their likes in the other."""
    sure = one.scores >= least
    if not sure.any():
        return Likeness(0)
    same = one.labels[sure][:, None] == other.labels
    overlaps, partner = torch.cat([iou(one.boxes[sure], other.boxes) * same, torch.zeros(int(sure.sum()), 1)], 1).max(1)
    scores = torch.cat([other.scores, torch.zeros(1)])[partner]
    return Likeness(float((one.scores[sure] - scores).abs().max()), int(sure.sum()), float(overlaps.min()))


def _said(put: Any) -> str:
    """Type and shape of an input or output of a session; lengths that are worked out from others have long names."""
    shape = [str(length) if str(length).isidentifier() or isinstance(length, int) else "?" for length in put.shape]
    return f"{put.type.removeprefix('tensor(').removesuffix(')')} ({', '.join(shape)})"
