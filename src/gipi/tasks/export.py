"""A model of any kind as a file for other programs, written once it has been seen to answer as we do.

ONNX is run by ONNX Runtime and many more, PT2 by PyTorch alone.
"""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import get_args

import torch

from gipi.errors import ConfigError, DeviceError, GipiWarning
from gipi.models.rcnn import RCNN
from gipi.runs import write_atomic
from gipi.tasks.detector import Detector
from gipi.tasks.evaluation import Loaded
from gipi.tasks.export_check import OVERLAP, SCORE, Likeness, likeness
from gipi.tasks.export_feeds import Feed, feeds
from gipi.tasks.export_graphs import graphs
from gipi.tasks.export_lower import check_precision, labelled, lowered
from gipi.tasks.export_run import File, Format, onnx, pt2, runtime
from gipi.tasks.export_told import MEASURED, Exported, Part, Precision

LARGEST = 2**31 - 2**20  # bytes of weights: one ONNX file holds no more


def export(
    model: Loaded,
    out: Path | None = None,
    *,
    to: Format = "onnx",
    precision: Precision = "fp32",
    calibrate: str | None = None,
    check: Path | None = None,
) -> Exported:
    """Write a model that computes in float32 on the CPU as a file which reads uint8 pixels; of a captioner two, encoder and
    decoder, named after `out`.

    All take any number of pictures but a detector, which takes one. Segmentation nets, and classifiers that scale a picture
    whole, take any size; other classifiers and captioners that of the card; a detector that, or the size that `check` is scaled
    to. The card is the metadata "gipi".

    out: model.onnx or model.pt2 in this folder if None.  check: a picture on which answers are compared with ours; if None, noise
    and scenes, images of seeds, or what is seen in an episode.  precision, calibrate: see `tasks/quantise.py`; of an ONNX file,
    and a data set, or a folder of one's own, whose training images choose the ranges of int8 and whose test images tell the loss.
    Raises DeviceError without the extra "onnx" or if the answers differ, ConfigError for a net that does not become a file, for
    what does not fit together and for a file that cannot be written, DataError if `check` or `calibrate` cannot be read; nothing
    is written then.
    """
    for flag, value, choices in (("to", to, get_args(Format)), ("precision", precision, get_args(Precision))):
        if value not in choices:
            raise ConfigError(f"--{flag} is {value!r}, allowed are {', '.join(choices)}")
    out = out or Path(f"model.{to}")
    if to == "onnx":
        runtime()
    _allowed(model, out, to)
    check_precision(model, to, precision, calibrate)
    splits = ("train", "test") if precision == "int8" else ("test",)
    sets = {split: labelled(model, calibrate, split) for split in splits} if calibrate else {}
    fed = feeds(model, check)
    drawn = graphs(model, fed[0])
    paths = [out.with_name(f"{out.stem}-{graph.part}{out.suffix}") if graph.part else out for graph in drawn]
    files = [(onnx if to == "onnx" else pt2)(model.card, graph) for graph in drawn]
    like = _alike(model, fed, files)
    if not like.alike:
        others = f", {like.others} of {like.sentences} sentences are other ones" if like.sentences else ""
        others += f", the least IoU of boxes is {like.overlap:.4f} (at least {OVERLAP:g} is wanted)" if like.boxes else ""
        reader = f"ONNX Runtime {runtime().__version__}" if to == "onnx" else "the file, read again,"
        raise DeviceError(
            f"{reader} does not answer as PyTorch {torch.__version__} does: {MEASURED[model.KIND]} differ by up to "
            f"{like.score:.2g} (at most {SCORE:g} is allowed){others}. {out} is not written; try other versions of both"
        )
    if isinstance(model, Detector) and not like.boxes:
        warnings.warn(GipiWarning(f"no box was found in what {out} was compared on: name a picture with --check"), stacklevel=2)
    loss = None
    if precision != "fp32":
        files, loss = lowered(model, files, precision, sets, fed[0])
        like = _alike(model, fed, files)
        if not math.isfinite(like.score):
            raise DeviceError(f"{precision} cannot hold the numbers of this model: {out} is not written; export it as fp32")
    _write({path: file.data for path, file in zip(paths, files, strict=True)})
    parts = tuple(Part(path, file.inputs, file.outputs) for path, file in zip(paths, files, strict=True))
    return Exported(model.KIND, precision, parts, sum(len(one[0]) for one in fed), like, loss)


def _alike(model: Loaded, fed: list[Feed], files: list[File]) -> Likeness:
    like = Likeness(0)
    for one in fed:
        like = likeness(model, one, [file.run for file in files]).worse(like)
    return like


def _allowed(model: Loaded, out: Path, to: Format) -> None:
    if out.suffix != f".{to}":
        raise ConfigError(f"{str(out)!r} is no name for --to {to}: give it the ending .{to}")
    if not out.parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")
    if isinstance(model.net, RCNN):
        raise ConfigError(
            f"{model.card.net} cuts regions out of a picture and runs its net on each: that is a program, not one graph; "
            "export Fast or Faster R-CNN"
        )
    if to == "onnx" and (size := sum(weight.nbytes for weight in model.net.state_dict().values())) > LARGEST:
        raise ConfigError(f"the model has {size:,} bytes of weights; one ONNX file holds at most {LARGEST:,}")


def _write(files: dict[Path, bytes]) -> None:
    """All of them, or none: each is first written beside its place."""
    beside, placed = {path.with_name(f".{path.name}.new"): path for path in files}, list[Path]()
    try:
        for new, path in beside.items():
            if path.is_dir():
                raise ConfigError(f"cannot write {path}: it is a folder")
            write_atomic(new, files[path])
        for new, path in beside.items():
            os.replace(new, path)
            placed.append(path)
    except OSError as error:
        for path in placed:
            path.unlink()
        raise ConfigError(f"cannot write {', '.join(map(str, files))}: {error.strerror}") from error
    finally:
        for new in beside:
            new.unlink(missing_ok=True)
