"""Drawings of environments that tell numbers and cannot draw themselves."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

SIZE = (400, 240)  # width, height
SHARP = 2  # drawn so many times as large, then made smaller
SKY, INK, WOOD, TRACK = (250, 250, 248), (60, 60, 70), (200, 140, 80), (150, 150, 160)
REACH, POLE_M, CART_M = 2.4, 1.0, (0.5, 0.3)  # metres: of the track to each side; pole; width and height of the cart


def painted(name: str, seen: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: a cart with its pole, or bars of the numbers seen, each from -1 to 1 after tanh."""
    canvas = Image.new("RGB", (SIZE[0] * SHARP, SIZE[1] * SHARP), SKY)
    draw = ImageDraw.Draw(canvas)
    numbers = seen.reshape(-1).tolist()
    _cart(draw, numbers[0], numbers[2]) if name.startswith("CartPole") else _bars(draw, numbers)
    return np.asarray(canvas.resize(SIZE, Image.Resampling.LANCZOS))


def _cart(draw: ImageDraw.ImageDraw, place_m: float, angle: float) -> None:
    width, height = SIZE[0] * SHARP, SIZE[1] * SHARP
    scale = width / (2 * REACH + 1)
    x, y = width / 2 + place_m * scale, height * 0.78
    half, tall = CART_M[0] / 2 * scale, CART_M[1] * scale
    draw.line([(0, y), (width, y)], fill=TRACK, width=2 * SHARP)
    for edge in (-REACH, REACH):
        draw.line(
            [(width / 2 + edge * scale, y - 8 * SHARP), (width / 2 + edge * scale, y + 8 * SHARP)], fill=TRACK, width=2 * SHARP
        )
    draw.rounded_rectangle([x - half, y - tall, x + half, y], radius=4 * SHARP, fill=INK)
    tip = (x + POLE_M * scale * math.sin(angle), y - tall - POLE_M * scale * math.cos(angle))
    draw.line([(x, y - tall), tip], fill=WOOD, width=7 * SHARP)
    draw.ellipse([x - 5 * SHARP, y - tall - 5 * SHARP, x + 5 * SHARP, y - tall + 5 * SHARP], fill=TRACK)


def _bars(draw: ImageDraw.ImageDraw, numbers: list[float]) -> None:
    width, height = SIZE[0] * SHARP, SIZE[1] * SHARP
    row, middle = height / len(numbers), width / 2
    for index, number in enumerate(numbers):
        end, top = middle + math.tanh(number) * middle * 0.95, index * row
        draw.rectangle([min(middle, end), top + row * 0.2, max(middle, end), top + row * 0.8], fill=WOOD)
    draw.line([(middle, 0), (middle, height)], fill=INK, width=SHARP)
