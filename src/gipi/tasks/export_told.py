"""What was exported, told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gipi.showing import Told
from gipi.tasks.export_check import Likeness

if TYPE_CHECKING:  # quantise needs the extra "onnx"
    from gipi.tasks.quant_loss import Loss

Precision = Literal["fp32", "fp16", "int8"]

COMPARED = {"generate": "images", "act": "observations"}  # of other kinds: pictures
MEASURED = {
    "classify": "probabilities",
    "segment": "probabilities",
    "detect": "scores",
    "caption": "log-probabilities",
    "act": "values (relative to those above 1)",
    "generate": "pixels (of 0 to 1, before rounding)",
}


@dataclass(frozen=True)
class Part:
    """inputs, outputs: type and shape of each by its name."""

    path: Path
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Exported(Told):
    """parts: the files, two of a captioner.  compared: pictures, images or observations on which answers were compared.

    loss: what fewer bits cost, if that was measured.
    """

    kind: str
    precision: Precision
    parts: tuple[Part, ...]
    compared: int
    likeness: Likeness
    loss: Loss | None = None

    def text(self) -> str:
        lines = []
        for part in self.parts:
            lines += [f"{part.path}, {part.path.stat().st_size / 2**20:,.1f} MiB"]
            ways = (("in", part.inputs), ("out", part.outputs))
            lines += [f"  {way:4} {name} {what}" for way, put in ways for name, what in put.items()]
        like, compared = self.likeness, f"{self.compared} {COMPARED.get(self.kind, 'pictures')}"
        found = f"{like.boxes:,} boxes, their IoU at least {like.overlap:.6f}, " if self.kind == "detect" else ""
        if self.kind == "caption":
            found = f"{like.sentences - like.others} of {like.sentences} sentences the same, "
        how = "as here" if self.precision == "fp32" else f"{self.precision} beside float32"
        lines += [f"  {how} on {compared}: {found}{MEASURED[self.kind]} differ by at most {like.score:.1g}"]
        if self.kind == "detect" and self.parts[0].path.suffix == ".pt2":
            lines += ["  its non-maximum suppression is an operator of gipi: import gipi.ops.boxes before torch.export.load"]
        return "\n".join([*lines, self.loss.text()] if self.loss else lines)

    def json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "precision": self.precision,
            "files": [{**asdict(part), "path": str(part.path)} for part in self.parts],
            "compared": self.compared,
            "likeness": asdict(self.likeness),
            "loss": self.loss.json() if self.loss else None,
        }
