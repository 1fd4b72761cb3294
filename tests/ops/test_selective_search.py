"""Selective search: the segmentation and the similarities against loops, the whole against OpenCV's where that is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import label as connected

from gipi.data.scenes import scene
from gipi.ops import graph_segments as graph
from gipi.ops import selective_search as search
from gipi.ops.boxes import iou

ALL = ("colour", "texture", "size", "fill")


def plain(edges: graph.Edges, count: int, k: float, least: int) -> list[int]:
    """Felzenszwalb and Huttenlocher's algorithm as it stands in the paper, with sets."""
    where = [{node} for node in range(count)]
    inside = [0.0] * count  # of the set that a node is in
    order = list(zip(*edges.ends.tolist(), edges.weight.tolist(), strict=True))

    def unite(a: int, b: int, weight: float) -> None:
        both = where[a] | where[b]
        for node in both:
            where[node], inside[node] = both, weight

    for a, b, weight in order:
        if b not in where[a] and weight <= min(inside[n] + k / len(where[n]) for n in (a, b)):
            unite(a, b, weight)
    for a, b, weight in order:
        if b not in where[a] and min(len(where[a]), len(where[b])) < least:
            unite(a, b, weight)
    return [min(nodes) for nodes in where]


@pytest.mark.parametrize(("k", "least", "block"), [(20.0, 1, 1 << 16), (150.0, 12, 1 << 16), (150.0, 12, 37), (1e9, 1, 50)])
def test_segments_are_those_of_the_paper(k: float, least: int, block: int, monkeypatch):
    monkeypatch.setattr(graph, "BLOCK", block)
    image = np.random.default_rng(3).integers(0, 255, (13, 17, 3)).astype(np.float32)
    image[4:9, 3:12] = image[4:9, 3:12] / 8 + 100
    edges = graph.pixel_graph(image)
    first = plain(edges, 13 * 17, k, least)
    numbers = {node: number for number, node in enumerate(dict.fromkeys(first))}
    assert graph.components(edges, 13 * 17, k, least).tolist() == [numbers[node] for node in first]
    assert (len(numbers) == 1) == (k == 1e9)


def test_the_graph_has_each_pair_of_neighbours_once():
    image = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    edges = graph.pixel_graph(image)
    flat, weights = image.reshape(-1, 3), {}
    for one in range(30):
        for other in range(one + 1, 30):
            (y, x), (v, u) = divmod(one, 6), divmod(other, 6)
            if max(abs(y - v), abs(x - u)) == 1:
                weights[one, other] = np.linalg.norm(flat[one] - flat[other])
    mine = {tuple(sorted(pair)): weight for pair, weight in zip(edges.ends.T.tolist(), edges.weight.tolist(), strict=True)}
    assert mine == pytest.approx(weights, rel=1e-6)
    assert (np.diff(edges.weight) >= 0).all()


def test_regions_are_connected_and_large_enough():
    image = np.transpose(scene("train", 1).image, (1, 2, 0)).astype(np.float32)
    for labels in graph.segments(image, (50.0, 300.0), 20):
        sizes = np.bincount(labels.ravel())
        assert sizes.min() >= 20
        assert all(connected(labels == number, np.ones((3, 3)))[1] == 1 for number in range(len(sizes)))
        firsts = np.unique(labels, return_index=True)[1]
        assert (np.diff(firsts) > 0).all()


@pytest.fixture(scope="module")
def described() -> tuple[np.ndarray, np.ndarray, np.ndarray, search.Regions]:
    random = np.random.default_rng(5)
    labels = np.kron(np.arange(12).reshape(3, 4), np.ones((5, 4), int))
    labels[4, 2:7] = 5
    colour, texture = random.integers(0, search.COLOURS, (15, 16, 3)), random.integers(0, search.SLOPES, (15, 16, 24))
    return labels, colour, texture, search.describe(labels, colour, texture)


def test_regions_are_described_as_by_loops(described):
    labels, colour, _, regions = described
    for number in range(12):
        rows, columns = np.nonzero(labels == number)
        assert regions.sizes[number] == len(rows)
        assert regions.boxes[number].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        counts = [sum(colour[y, x, c] == b for y, x in zip(rows, columns, strict=True)) for c in range(3) for b in range(25)]
        np.testing.assert_allclose(regions.colour[number], np.array(counts) / (3 * len(rows)), rtol=1e-6)
        near = {
            int(labels[v, u])
            for y, x in zip(rows, columns, strict=True)
            for v in range(max(0, y - 1), min(15, y + 2))
            for u in range(max(0, x - 1), min(16, x + 2))
        }
        assert set(np.flatnonzero(regions.near[number])) == near - {number}


def similarity(kind: str, labels: np.ndarray, bins: dict[str, np.ndarray], a: int, b: int) -> float:
    """Section 3.2 of the paper, pixel by pixel."""
    mine, theirs = labels == a, labels == b
    if kind in bins:
        count = {"colour": search.COLOURS, "texture": search.SLOPES}[kind]
        shares = [[np.bincount(bins[kind][part][:, c], minlength=count) / part.sum() for part in (mine, theirs)]
                  for c in range(bins[kind].shape[2])]  # fmt: skip
        return sum(np.minimum(one, other).sum() for one, other in shares) / len(shares)
    if kind == "size":
        return 1 - (mine.sum() + theirs.sum()) / labels.size
    rows, columns = np.nonzero(mine | theirs)
    around = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    return 1 - (around - mine.sum() - theirs.sum()) / labels.size


@pytest.mark.parametrize("kind", ALL)
def test_similarities_are_those_of_the_paper(described, kind: str):
    labels, colour, texture, regions = described
    bins = {"colour": colour, "texture": texture}
    others = [1, 4, 5, 11]
    expected = [similarity(kind, labels, bins, 0, other) for other in others]
    assert search.likeness(regions, 0, others, labels.size, (kind,)) == pytest.approx(expected, rel=1e-5)


def test_groups_are_those_of_algorithm_1(described):
    """With all similarities anew for each step, from the pixels."""
    labels, colour, texture, regions = described
    bins, labels, boxes = {"colour": colour, "texture": texture}, labels.copy(), []
    for number in range(11):
        new = 12 + number
        pairs = []
        for a in np.unique(labels):
            grown = search.describe(np.unique(labels, return_inverse=True)[1].reshape(labels.shape), colour, texture)
            place = {int(value): index for index, value in enumerate(np.unique(labels))}
            pairs += [
                (sum(similarity(kind, labels, bins, a, b) for kind in ALL), a, b)
                for b in np.unique(labels)
                if b > a and grown.near[place[int(a)], place[int(b)]]
            ]
        _, a, b = max(pairs)
        labels[(labels == a) | (labels == b)] = new
        rows, columns = np.nonzero(labels == new)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert search.group(regions, ALL)[12:].tolist() == boxes
    assert search.group(regions, ALL)[:12].tolist() == regions.boxes.tolist()


def test_colour_spaces():
    image = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    lab = search.lab(image)[0]
    # Known values of sRGB under D65: white 100, 0, 0; red 53.24, 80.09, 67.20; blue 32.30, 79.19, -107.86.
    expected = [[255, 128, 128], [0, 128, 128], [2.55 * 53.24, 208.09, 195.20], [2.55 * 32.30, 207.19, 20.14]]
    np.testing.assert_allclose(lab, expected, atol=0.1)
    assert search.hsv(image)[0, :, 2].tolist() == [255, 0, 255, 255]
    assert search.hsv(image)[0, :, 1].tolist() == [0, 0, 255, 255]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch):
    """Search small images, which takes less long."""
    monkeypatch.setattr(search, "LONG", 120)


@pytest.mark.usefixtures("_small")
def test_boxes_lie_in_the_image_and_are_always_the_same():
    pixels = torch.from_numpy(scene("train", 0).image)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    boxes = search.selective_search(pixels)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(search.selective_search(pixels), boxes)
    assert torch.equal(search.selective_search(pixels, 50), boxes[:50])
    assert len(torch.unique(boxes, dim=0)) == len(boxes)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= torch.tensor([96 + 1e-4, 64 + 1e-4])).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (9, 7)])
def test_tiny_and_even_images_have_the_box_around_all(size: tuple[int, int]):
    boxes = search.selective_search(torch.full((3, *size), 90, dtype=torch.uint8))
    torch.testing.assert_close(boxes, torch.tensor([[0.0, 0.0, size[1], size[0]]]), rtol=0, atol=1e-3)


@pytest.mark.usefixtures("_small")
def test_it_finds_what_opencv_finds():
    """Both find the digits of scenes, and ours have a box near most of those that OpenCV proposes."""
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "ximgproc"):
        pytest.skip("needs opencv-contrib-python")
    for number in (2, 3):
        made = scene("train", number)
        pixels = np.ascontiguousarray(np.transpose(made.image, (1, 2, 0))[..., ::-1])
        small = cv2.resize(pixels, (search.LONG, search.LONG * 64 // 96), interpolation=cv2.INTER_CUBIC)
        cv2.setRNGSeed(0)
        theirs = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        theirs.setBaseImage(small)
        theirs.switchToSelectiveSearchFast(50, 50)
        found = torch.from_numpy(theirs.process()).float()
        found[:, 2:] += found[:, :2]
        found, mine = found * (96 / search.LONG), search.selective_search(torch.from_numpy(made.image))
        truth = torch.from_numpy(made.boxes).float()
        assert (iou(truth, mine).amax(1) >= 0.7).all()
        assert (iou(truth, found).amax(1) >= 0.7).all()
        large = found[(found[:, 2:] - found[:, :2]).amin(1) >= 8]
        assert float((iou(large, mine).amax(1) >= 0.5).float().mean()) > 0.9
