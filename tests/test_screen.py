"""What a training says on the terminal of each kind's headline."""

from __future__ import annotations

from gipi.screen import headline


def test_a_share_is_told_in_percent_and_a_distance_is_not() -> None:
    assert headline({"loss": 0.5, "accuracy": 0.98764}) == ["accuracy 98.76%"]
    assert headline({"frechet": 3.2149, "precision": 0.5, "recall": 0.25}) == ["Fréchet distance 3.21"]
    assert headline({"loss": 0.5, "return": -20.128, "spread": 1.5, "length": 900.0}) == ["return -20.13"]
    assert headline({"split": "train", "loss": 0.5, "real": 0.6}) == []
