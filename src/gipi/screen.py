"""Progress of a training on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

HEADLINES = {
    "accuracy": "accuracy",
    "mean_iou": "mean IoU",
    "ap": "AP",
    "ap50": "AP50",
    "bleu4": "BLEU-4",
    "exact": "exact",
}  # of each kind
NUMBERS = {"frechet": "Fréchet distance", "return": "return"}  # likewise, of a kind whose headline is no share


def headline(row: Mapping[str, Any]) -> list[str]:
    """Its words and its number, as far as a row of metrics has it."""
    shares = [f"{words} {row[name]:.2%}" for name, words in HEADLINES.items() if name in row]
    return shares + [f"{words} {row[name]:.2f}" for name, words in NUMBERS.items() if name in row]


class Screen:
    """Progress on stderr: one live line on a terminal, a line for each epoch elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._train: dict[str, Any] = {}

    def show(self, row: dict[str, Any]) -> None:
        if row["split"] == "train":
            self._train = row
        member = f"member {row['member']}  " if "member" in row else ""
        stage = f"{row['stage']}  " if "stage" in row else ""
        where = f"{member}{stage}step {row['step']:>6,}/{row['steps']:,}  {row['time_s']:6.1f} s"
        loss = [f"loss {row['loss']:.4f}"] if "loss" in row else []
        numbers = "  ".join([*loss, *headline(row)])
        if row["split"] != "train" or row["step"] == row["steps"]:
            self._line(f"{where}  {row['split']:10}  {numbers}", "\n")
        elif self._live:
            speed = f"{row['samples_per_s']:,.0f} samples/s  {row['left_s']:.0f} s left" if "left_s" in row else ""
            self._line(f"{where}  {'training':10}  {numbers}  {speed}", "")

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._line("", "")

    def _line(self, text: str, end: str) -> None:
        print(f"\r\033[K{text}" if self._live else text, end=end, file=sys.stderr, flush=True)
