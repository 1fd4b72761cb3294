"""Drawing a game as it is played: its picture, and beside it what is expected of each action, on one scale for a whole film.

Written for frames of a film: what does not change is drawn once. Colours as in the figures, by Okabe and Ito, 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageColor, ImageDraw

from gipi.ops.gallery import MINUS
from gipi.ops.lettering import clipped, lettering
from gipi.ops.overlay import INK, PAPER

SIDE = 420  # pixels that the longer side of a small picture comes nearest to, enlarged by a whole number
PANEL, EDGE = 340, 16  # pixels: its width; free at its edges
SMALL, USUAL, LARGE = 11, 13, 20  # heights of letters
HEAD, CAPTION, FOOT = 58, 18, 26  # heights: of score and step, of a caption, of what the colours mean
ROW, TALL_ROW, CURVE, TALL_CURVE = 18, 30, 64, 130  # heights, at least and at most: of an action, of the curve
NAME = 120  # width of a name, at most
PAST = 100  # steps that the curve goes back
GREY, FAINT, PALE = "#767676", "#E4E4E4", "#BCCBD6"
CHOSEN, RANDOM = "#0072B2", "#D55E00"
AREA = "#DEEAF3"  # below the curve
SMOOTH = 4  # steps from the ground to a line
SHADES = np.linspace(  # of [above or below the curve, how much of a pixel it covers]
    [ImageColor.getrgb(PAPER), ImageColor.getrgb(AREA)], [ImageColor.getrgb(CHOSEN)] * 2, SMOOTH + 1, axis=1
).astype(np.uint8)


class Screen:
    """How all frames of a film of a game look: (width, height) even, the same for all.

    height, width: of the game's pictures.  actions: their names.  low, high: ends of the scale of values.
    """

    def __init__(self, height: int, width: int, actions: Sequence[str], low: float, high: float) -> None:
        self.low, self.high = (low, high) if high > low else (low - 0.5, low + 0.5)
        self.digits = min(4, max(0, 2 - floor(log10(self.high - self.low))))
        times = max(1, round(SIDE / max(height, width)))
        self.game = width * times, height * times
        fixed = HEAD + 2 * CAPTION + FOOT
        tall = max(self.game[1], fixed + CURVE + ROW * len(actions))
        self.size = self.game[0] + self.game[0] % 2 + PANEL, tall + tall % 2
        self.row = min(TALL_ROW, (tall - fixed - CURVE) // len(actions))
        self.curve = min(TALL_CURVE, tall - fixed - self.row * len(actions))
        self.left, self.right = self.size[0] - PANEL + EDGE, self.size[0] - EDGE
        self.top = HEAD + CAPTION + self.curve + CAPTION  # of the first action
        self.small, self.usual, self.large = (lettering("".join(actions), size) for size in (SMALL, USUAL, LARGE))
        names = [clipped(name, self.usual, NAME) for name in actions]
        number = max(self.usual.getlength(self._number(end)) for end in (self.low, self.high))
        self.bars = self.left + int(max(map(self.usual.getlength, names))) + 10, self.right - int(number) - 8
        self.empty = self._empty(names)

    def _empty(self, names: Sequence[str]) -> Image.Image:
        """What is the same on all frames."""
        canvas = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(canvas)
        draw.rectangle((0, 0, self.size[0] - PANEL - 1, self.size[1]), fill=INK)
        for place, text in ((self.left, "score"), (self.right - 110, "step")):
            draw.text((place, 20), text, fill=GREY, font=self.small, anchor="ls")
        draw.line((self.size[0] - PANEL, 0, self.size[0] - PANEL, self.size[1]), fill=FAINT)
        caption = f"highest Q, last {PAST} steps, {self._number(self.low)} to {self._number(self.high)}"
        draw.text((self.left, HEAD + CAPTION - 5), caption, fill=GREY, font=self.small, anchor="ls")
        middle, (start, end) = self.top - CAPTION // 2, self.bars
        for text, place, anchor in ((self.low, start, "lm"), (self.high, end, "rm")):
            draw.text((place, middle), self._number(text), fill=GREY, font=self.small, anchor=anchor)
        draw.text((self.left, middle), "Q", fill=GREY, font=self.small, anchor="lm")
        bottom = self.top + self.row * len(names)
        for place in {start, self._place(0.0), end}:
            draw.line((place, self.top, place, bottom - 1), fill=FAINT)
        for number, name in enumerate(names):
            draw.text((self.left, self._middle(number)), name, fill=INK, font=self.usual, anchor="lm")
        for place, colour, text in ((self.left, CHOSEN, "chosen"), (self.left + 80, RANDOM, "chosen at random")):
            draw.rectangle((place, bottom + 10, place + 8, bottom + 18), fill=colour)
            draw.text((place + 14, bottom + 14), text, fill=GREY, font=self.small, anchor="lm")
        return canvas

    def draw(
        self,
        picture: UInt8[np.ndarray, "h w 3"],
        values: Float[np.ndarray, " actions"],
        action: int,
        score: float,
        step: int,
        past: Float[np.ndarray, " k"],
        *,
        chance: bool = False,
    ) -> Image.Image:
        """One frame. The chosen action stands out; in another colour if chance chose it.

        values: expected of each action.  past: the highest of each step until now, this one's last; the last 100 are drawn.
        """
        canvas = self.empty.copy()
        game = Image.fromarray(picture).resize(self.game, Image.Resampling.NEAREST)
        canvas.paste(game, (0, (self.size[1] - self.game[1]) // 2))
        draw = ImageDraw.Draw(canvas)
        draw.text((self.left, 44), _signed(f"{score:,.6g}"), fill=INK, font=self.large, anchor="ls")
        draw.text((self.right - 110, 44), f"{step:,}", fill=INK, font=self.large, anchor="ls")
        canvas.paste(self._curve(past), (self.left, HEAD + CAPTION))
        origin, thick = self._place(0.0), self.row // 2
        for number, value in enumerate(values.tolist()):
            mine = number == action
            colour = (RANDOM if chance else CHOSEN) if mine else PALE
            ends, top = sorted((origin, self._place(value))), self._middle(number) - thick // 2
            draw.rectangle((ends[0], top, ends[1], top + thick - 1), fill=colour)
            middle = self.right, self._middle(number)
            draw.text(middle, self._number(value), fill=colour if mine else INK, font=self.usual, anchor="rm")
        return canvas

    def _curve(self, past: np.ndarray) -> Image.Image:
        """Of the highest values, the newest at the right edge, in smooth lines."""
        width, height, past = self.right - self.left, self.curve, past[-PAST:]
        places = (width - 2) * (1 - np.arange(len(past))[::-1] / (PAST - 1))
        columns = np.arange(int(places[0]), width)
        level = np.interp(columns, places, 1.5 + (height - 4) * (1 - self._share(past))).astype(np.float32)
        rows = np.arange(height, dtype=np.float32)[:, None]
        cover = (1.5 - np.abs(rows - level) / np.hypot(1, np.gradient(level))).clip(0, 1)
        canvas = np.full((height, width, 3), 255, np.uint8)
        canvas[:, columns] = SHADES[(rows > level).astype(np.int8), (SMOOTH * cover).round().astype(np.int8)]
        canvas[[0, -1]] = ImageColor.getrgb(FAINT)
        return Image.fromarray(canvas)

    def _share(self, value: np.ndarray | float) -> np.ndarray | np.floating:
        """Where on the scale, 0 to 1."""
        return ((np.asarray(value) - self.low) / (self.high - self.low)).clip(0, 1)

    def _place(self, value: float) -> int:
        """The column of a value; of 0, where bars begin, the nearest that there is."""
        return self.bars[0] + round(float(self._share(value)) * (self.bars[1] - self.bars[0]))

    def _middle(self, number: int) -> int:
        return self.top + number * self.row + self.row // 2

    def _number(self, value: float) -> str:
        return _signed(f"{value:,.{self.digits}f}")


def _signed(number: str) -> str:
    return number.replace("-", MINUS)
