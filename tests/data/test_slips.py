"""Names of classes that are slips of others, and such that are not."""

from __future__ import annotations

import pytest

from gipi.data.slips import slips


@pytest.mark.parametrize(
    ("uses", "pairs"),
    [
        ({"RBC": 900, "rbc": 2}, [("rbc", "RBC")]),
        ({"rbc": 2, "RBC": 900}, [("rbc", "RBC")]),
        ({"traffic light": 50, "Traffic_Light": 40, "TrafficLight": 60}, [("traffic light", "TrafficLight"), ("Traffic_Light", "TrafficLight")]),
        ({"Platelets": 361, "Plateletes": 3, "RBC": 4000}, [("Plateletes", "Platelets")]),
        ({"Platelets": 361, "Plateletes": 300}, []),
        ({"bus": 400, "bush": 0, "cat": 9}, [("bush", "bus")]),
        ({"cell line 1": 400, "cell line 2": 1}, []),
        ({"man": 400, "woman": 1}, []),
        ({"+": 5, "-": 5}, []),
        ({"cat": 0, "dog": 0}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_pairs(uses: dict[str, int], pairs: list[tuple[str, str]]) -> None:
    assert sorted(slips(uses)) == sorted(pairs)


def test_many_classes_are_no_matter() -> None:
    names = {f"{a}{b}{c}ing": 30 for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"}
    assert slips(names) == ()
