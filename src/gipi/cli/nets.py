"""The table of `gipi list nets`: each net's size, and its published scores."""

from __future__ import annotations

from typing import Any

from gipi import catalog
from gipi.published import PUBLISHED

SCORES = (
    "top-1, top-5: % of ImageNet's validation images, from the documentation of torchvision's released V1 weights; not run by us"
)


def net_rows() -> dict[str, dict[str, Any]]:
    """Each net of the catalogue with what is known of it.

    top1, top5: percent of ImageNet's validation images, as published for the weights that torchvision released first; None where
    it released none.
    """
    scores = {one.net: one for one in PUBLISHED if one.label == "imagenet" and one.url}
    return {
        name: {
            "title": net.title,
            "kind": net.kind,
            "year": net.year,
            "depth": net.depth,
            "parameters": net.parameters,
            "multiply_adds": net.multiply_adds,
            "input": net.input,
            "any_size": net.any_size,
            "top1": scores[name].top1 if name in scores else None,
            "top5": scores[name].top5 if name in scores else None,
            "source": net.source,
        }
        for name, net in catalog.NETS.items()
    }


def net_lines() -> list[str]:
    """The table of the nets for a terminal, a line a net."""
    rows = [["net", "kind", "year", "depth", "parameters", "multiply-adds", "top-1", "top-5", "source"]]
    for name, net in net_rows().items():
        scores = ["" if net[top] is None else f"{net[top]:.2f}" for top in ("top1", "top5")]
        sizes = f"{net['parameters']:,}", brief(net["multiply_adds"])
        rows.append([name, net["kind"], str(net["year"]), str(net["depth"]), *sizes, *scores, net["source"]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = "<<>>>>>><"  # names are words, the others numbers
    return [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, aligns, widths, strict=True)).rstrip()
        for row in rows
    ]


def brief(count: int) -> str:
    """7_609_090_048 -> "7.61 G", 8_772_340 -> "8.77 M"."""
    return f"{count / 1e9:.3g} G" if count >= 999.5e6 else f"{count / 1e6:.3g} M"
