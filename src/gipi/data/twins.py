"""Pictures that are equal to the byte, or nearly equal to the eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8, UInt64
from PIL import Image

BANDS = 4  # of 16 bits: of 64 bits that differ in fewer places than there are bands, one band at least is the same
WINDOW = 32  # pictures of the same band to compare with each, of the next in the order of their hashes: only crowds are cut
PLAIN = 8  # grey levels between the darkest and the brightest place, below which a picture has no features to compare
NEAR = 8  # grey levels by which places differ on average, below which pictures with like hashes count as nearly equal


def grey_copy(image: Image.Image) -> UInt8[np.ndarray, "8 9"] | None:
    """What pictures are compared by: 9 x 8 grey places; None if they are almost the same grey."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR))
    return None if np.ptp(grey) < PLAIN else grey


def groups(digests: Sequence[bytes], greys: Sequence[UInt8[np.ndarray, "8 9"] | None]) -> list[list[int]]:
    """The numbers of pictures that are alike, in groups: with equal digests or nearly equal grey copies, or chains of such pairs.

    Copies are nearly equal if their difference hashes differ in fewer than `BANDS` of 64 bits, and the grey by less than `NEAR`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components  # slow to import

    first: dict[bytes, int] = {}
    same = [(first.setdefault(digest, number), number) for number, digest in enumerate(digests)]
    numbers = np.array([number for number in first.values() if greys[number] is not None], dtype=np.int64)
    near = numbers[_near(np.array([greys[number] for number in numbers], dtype=np.uint8).reshape(-1, 8, 9))]
    pairs = np.concatenate([np.array(same, dtype=np.int64).reshape(-1, 2), near])
    graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(len(digests), len(digests)))
    members: dict[int, list[int]] = {}
    for number, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        members.setdefault(group, []).append(number)
    return [group for group in members.values() if len(group) > 1]


def difference_hash(greys: UInt8[np.ndarray, "n 8 9"]) -> UInt64[np.ndarray, " n"]:
    """A bit for each place and its right neighbour: whether that is brighter. N. Krawetz, "Kind of Like That", 2013."""
    return np.packbits(greys[..., :-1] < greys[..., 1:], axis=-1).reshape(-1, 8).view(np.uint64).ravel()


def _near(greys: UInt8[np.ndarray, "n 8 9"]) -> Int64[np.ndarray, "m 2"]:
    """Pairs that are nearly equal. Only those are compared whose hashes agree in a band, so the work does not grow as n * n."""
    hashes = difference_hash(greys)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for band in range(BANDS):
        keys = hashes >> np.uint64(16 * band) & np.uint64(0xFFFF)
        order = np.lexsort((hashes, keys))
        keys = keys[order]
        for lag in range(1, min(len(keys), WINDOW + 1)):
            place = np.flatnonzero(keys[:-lag] == keys[lag:])
            if not len(place):
                break
            a, b = order[place], order[place + lag]
            close = np.unpackbits((hashes[a] ^ hashes[b]).view(np.uint8).reshape(-1, 8), axis=1).sum(1) < BANDS
            a, b = a[close], b[close]
            alike = np.abs(greys[a].astype(np.int16) - greys[b]).mean((1, 2)) < NEAR
            pairs.append(np.stack([a[alike], b[alike]], axis=1))
    return np.concatenate(pairs)
