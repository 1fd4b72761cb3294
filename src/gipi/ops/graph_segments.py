"""Parting an image into regions of like colour: efficient graph-based segmentation.

Source: Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004: section 3 (when two components are
parted), section 4 (the algorithm), section 5 (the graph of an image, smoothing).

Pixels are nodes; an edge to each of the eight around weighs as much as their colours differ. Taken from the lightest on, an edge
joins the components it connects unless it weighs more than the heaviest inside one of them plus k over its size: a small region
needs little to be joined to another, a large one strong likeness.

The million edges of a photograph are taken in blocks, as most connect what is joined already: NumPy drops those before a block
begins, and only the rest is taken one by one in Python. The outcome is the same to the pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from scipy.ndimage import gaussian_filter

SIGMA = 0.8  # pixels, of the smoothing, as in the paper
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns right: to half of the eight pixels around, the rest is theirs
BLOCK = 1 << 16  # edges


class Edges(NamedTuple):
    """Edges of a graph, the lightest first; of equal ones that of the earlier of `STEPS`, then of the lower pixel."""

    ends: Int64[np.ndarray, "2 e"]
    weight: Float32[np.ndarray, " e"]


def segments(image: Float32[np.ndarray, "h w c"], ks: Sequence[float], least: int) -> list[Int64[np.ndarray, "h w"]]:
    """For each k the number of every pixel's region, 0 and up by the order of their first pixels.

    image: of any range, in whose units k is; the larger k, the larger regions.  least: pixels that a region has at least.
    """
    edges = pixel_graph(gaussian_filter(image, (SIGMA, SIGMA, 0)))
    height, width = image.shape[:2]
    return [components(edges, height * width, k, least).reshape(height, width) for k in ks]


def pixel_graph(image: Float32[np.ndarray, "h w c"]) -> Edges:
    """Each pixel and the eight around it; an edge weighs the Euclidean distance of the two colours."""
    height, width = image.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    ends, weights = [], []
    for down, right in STEPS:
        here = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        there = slice(down, height), slice(max(0, right), width - max(0, -right))
        ends.append(np.stack([number[here].ravel(), number[there].ravel()]))
        weights.append(np.sqrt(np.square(image[here] - image[there]).sum(2)).ravel())
    weight = np.concatenate(weights)
    order = weight.argsort(kind="stable")
    return Edges(np.concatenate(ends, 1)[:, order], weight[order])


def components(edges: Edges, count: int, k: float, least: int) -> Int64[np.ndarray, " count"]:
    """The number of each of `count` nodes' component, 0 and up by the order of their first nodes.

    Components of fewer than `least` nodes are at last joined to what the lightest edges connect them to.
    """
    owner, sizes, limits = np.arange(count), [1] * count, [float(k)] * count
    for begin in range(0, len(edges.weight), BLOCK):
        block = slice(begin, begin + BLOCK)
        ends = owner[edges.ends[:, block]]
        apart = ends[0] != ends[1]
        owner, sizes, limits = _join(ends[:, apart], edges.weight[block][apart], owner, sizes, limits, k)
    ends = owner[edges.ends]
    left = dict.fromkeys(zip(*ends[:, ends[0] != ends[1]].tolist(), strict=True))  # the lightest edge of two components decides
    owner = _join_small(left, sizes, least)[owner]
    _, first, number = np.unique(owner, return_index=True, return_inverse=True)
    return first.argsort().argsort()[number]


def _join(
    ends: Int64[np.ndarray, "2 e"],
    weight: Float32[np.ndarray, " e"],
    owner: Int64[np.ndarray, " n"],
    sizes: list[int],
    limits: list[float],
    k: float,
) -> tuple[Int64[np.ndarray, " n"], list[int], list[float]]:
    """The components of all nodes after these edges, their sizes, and the weights above which no edge joins them to another."""
    parent = [*range(len(sizes))]
    for a, b, heavy in zip(*ends.tolist(), weight.tolist(), strict=True):
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        while parent[b] != b:
            parent[b] = b = parent[parent[b]]
        if a != b and heavy <= limits[a] and heavy <= limits[b]:
            parent[b] = a
            sizes[a] += sizes[b]
            limits[a] = heavy + k / sizes[a]
    roots, number = _numbered(parent)
    return number[owner], [sizes[root] for root in roots], [limits[root] for root in roots]


def _join_small(pairs: Iterable[tuple[int, int]], sizes: list[int], least: int) -> Int64[np.ndarray, " n"]:
    """What component each one belongs to once those that are too small are joined to others."""
    parent = [*range(len(sizes))]
    for a, b in pairs:
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        while parent[b] != b:
            parent[b] = b = parent[parent[b]]
        if a != b and min(sizes[a], sizes[b]) < least:
            parent[b] = a
            sizes[a] += sizes[b]
    return _numbered(parent)[1]


def _numbered(parent: list[int]) -> tuple[list[int], Int64[np.ndarray, " n"]]:
    """The roots of a forest, and of each node the place of its root among them."""
    root = np.array(parent)
    while (root[root] != root).any():
        root = root[root]
    roots = np.flatnonzero(root == np.arange(len(root)))
    return roots.tolist(), np.searchsorted(roots, root)
