"""What a reader of a figure would complain about."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def unreadable(fig: Figure) -> list[tuple[str, ...]]:
    """Texts that lie upon each other or reach beyond the figure's edge."""
    FigureCanvasAgg(fig)  # it knows how large texts are
    texts = [text for text in fig.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [text.get_window_extent().padded(-1) for text in texts]
    pairs = [(a.get_text(), b.get_text()) for (a, p), (b, q) in combinations(zip(texts, boxes, strict=True), 2) if p.overlaps(q)]
    edge = [
        text for text, box in zip(texts, boxes, strict=True) if not all(fig.bbox.contains(*corner) for corner in box.corners())
    ]
    return [*pairs, *((text.get_text(),) for text in edge)]
