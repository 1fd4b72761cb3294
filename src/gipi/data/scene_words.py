"""The sentence of a scene, a function of its boxes and labels alone.

one digit     THING
two           THING left of|right of|above|below THING
three         THING, THING and THING from left to right|from top to bottom
THING         a|an [small|large] zero|...|nine
"""

from __future__ import annotations

from collections.abc import Sequence

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = ("a", "an", "small", "large", *DIGITS, "left", "right", "top", "bottom", "above", "below", "of", "from", "to", "and", ",")
SMALL, LARGE = 20, 30  # pixels: a digit of at most, or at least, this height is called so

Box = tuple[int, int, int, int]


def describe(boxes: Sequence[Box], labels: Sequence[int]) -> str:
    """What is where. boxes: x0, y0, x1, y1, one to three.  labels: 1 "zero" to 10 "nine".

    Of two, the higher number is named first, of equal ones the one further to the left, or above. How two lie to each other, and
    in which order three are named, is told along the axis on which the centres of the boxes are further apart, across if equally.
    """
    across, down = [x0 + x1 for x0, _, x1, _ in boxes], [y0 + y1 for _, y0, _, y1 in boxes]
    sideways = max(across) - min(across) >= max(down) - min(down)
    centre = across if sideways else down
    if len(boxes) == 2:
        first, second = sorted(range(2), key=lambda n: (-labels[n], centre[n]))
        before = centre[first] < centre[second]
        relation = ("left of" if before else "right of") if sideways else ("above" if before else "below")
        return f"{_thing(boxes[first], labels[first])} {relation} {_thing(boxes[second], labels[second])}"
    things = [_thing(boxes[n], labels[n]) for n in sorted(range(len(boxes)), key=centre.__getitem__)]
    if len(things) == 1:
        return things[0]
    return f"{', '.join(things[:-1])} and {things[-1]} from {'left to right' if sideways else 'top to bottom'}"


def _thing(box: Box, label: int) -> str:
    height = box[3] - box[1]
    size = "small " if height <= SMALL else "large " if height >= LARGE else ""
    name = f"{size}{DIGITS[label - 1]}"
    return f"{'an' if name[0] == 'e' else 'a'} {name}"
