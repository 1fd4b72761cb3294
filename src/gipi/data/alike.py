"""Groups of pictures that are equal, or nearly so, and what that means for a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import UInt8
from numpy import ndarray

from gipi.data.twins import groups


class Member(NamedTuple):
    """A picture of a group: its name, its split, and its class or what else is said of it."""

    name: str
    split: str
    label: str


@dataclass(frozen=True)
class Alike:
    """Pictures that are equal to the byte or, with `near`, nearly equal to the eye."""

    near: bool
    members: tuple[Member, ...]

    @property
    def leaks(self) -> int:
        """How many of them are outside of train while others are in it."""
        outside = sum(member.split != "train" for member in self.members)
        return outside if outside < len(self.members) else 0

    @property
    def ambiguous(self) -> bool:
        """Whether they have more than one label."""
        return len({member.label for member in self.members}) > 1

    def json(self) -> dict[str, Any]:
        members = [member._asdict() for member in self.members]
        return {"near": self.near, "leaks": self.leaks, "ambiguous": self.ambiguous, "members": members}

    def text(self) -> str:
        return (" ~ " if self.near else " = ").join(f"{name} ({split}, {label})" for name, split, label in self.members)


def alike(
    members: Sequence[Member], digests: Sequence[bytes], greys: Sequence[UInt8[ndarray, "8 9"] | None]
) -> tuple[Alike, ...]:
    """The groups among pictures: by the digests of their bytes, and by their grey copies, see `groups`."""
    return tuple(
        Alike(len({digests[number] for number in numbers}) > 1, tuple(members[number] for number in numbers))
        for numbers in groups(digests, greys)
    )
