"""Ten digits as a person might draw them with a mouse: strokes of points, x and y from 0 to 1 of the sheet."""

from __future__ import annotations

import math

Point = tuple[float, float]
Stroke = list[Point]


def arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> Stroke:
    """Part of an ellipse around (x, y) with these half axes, from an angle to another, in degrees, 0 to the right, 90 down."""
    count = max(4, round(abs(end - start) / 20))
    angles = [math.radians(start + (end - start) * step / count) for step in range(count + 1)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


DIGITS: list[list[Stroke]] = [
    [arc(0.5, 0.5, 0.2, 0.32, -90, 270)],
    [[(0.42, 0.28), (0.52, 0.18), (0.5, 0.82)]],
    [[*arc(0.5, 0.34, 0.19, 0.16, -170, 40), (0.34, 0.78), (0.3, 0.82), (0.72, 0.8)]],
    [[*arc(0.47, 0.33, 0.19, 0.15, -150, 85), *arc(0.47, 0.65, 0.22, 0.17, -85, 150)]],
    [[(0.42, 0.18), (0.28, 0.55), (0.74, 0.55)], [(0.62, 0.24), (0.58, 0.84)]],
    [[(0.68, 0.18), (0.38, 0.18), (0.35, 0.45), *arc(0.46, 0.62, 0.22, 0.2, -110, 140)]],
    [[(0.6, 0.16), (0.42, 0.36), (0.34, 0.56), *arc(0.48, 0.65, 0.16, 0.17, 200, -170)]],
    [[(0.28, 0.2), (0.72, 0.2), (0.56, 0.5), (0.46, 0.84)]],
    [[*arc(0.5, 0.34, 0.15, 0.16, -60, -270), *arc(0.5, 0.67, 0.19, 0.17, -90, 270), *arc(0.5, 0.34, 0.15, 0.16, 90, -60)]],
    [[*arc(0.48, 0.36, 0.17, 0.18, -20, -360), (0.64, 0.5), (0.58, 0.84)]],
]


def varied(strokes: list[Stroke], way: int) -> list[Stroke]:
    """As it is; smaller, leaning and off the middle; or wide and with an unsteady hand."""
    if way == 0:
        return strokes
    if way == 1:
        return [[(0.16 + 0.65 * x + 0.2 * (0.5 - y), 0.26 + 0.65 * y) for x, y in stroke] for stroke in strokes]
    return [
        [(0.5 + 1.15 * (x - 0.5) + 0.012 * math.sin(31 * y), y + 0.012 * math.sin(37 * x)) for x, y in stroke]
        for stroke in strokes
    ]
