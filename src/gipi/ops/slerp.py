"""The way from one vector to another along a sphere.

Sources: Shoemake, SIGGRAPH 1985; for the noise of generative nets White, arXiv 1609.04468: such noise lies near a sphere, and the
straight way between two vectors leads through its inside, where there is hardly any.

Deviation from the sources: only the direction goes along the sphere, the length changes evenly from one vector's to the other's.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

NEAR = 1e-6  # of the sine of the angle, below which the way is straight


def slerp(start: Float[Tensor, "n z"], end: Float[Tensor, "n z"], share: Float[Tensor, " t"]) -> Float[Tensor, "n t z"]:
    """Where one is after each share, 0 to 1, of the way. Opposite vectors have many ways along the sphere: theirs is straight."""
    first, last, share = start[:, None].double(), end[:, None].double(), share[:, None].double()
    lengths = first.norm(dim=2, keepdim=True), last.norm(dim=2, keepdim=True)
    towards, at = first / lengths[0], last / lengths[1]
    angle = 2 * (towards - at).norm(dim=2, keepdim=True).atan2((towards + at).norm(dim=2, keepdim=True))
    along = (towards * ((1 - share) * angle).sin() + at * (share * angle).sin()) / angle.sin()
    straight = first + share * (last - first)
    return (along * (lengths[0] + share * (lengths[1] - lengths[0]))).where(angle.sin() > NEAR, straight).to(start)
