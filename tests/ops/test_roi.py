"""RoIAlign against a loop over places as the paper has it, its gradient, and against torchvision's where it is installed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gipi.ops.roi import roi_align

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 9999)


def fed(n: int, c: int, h: int, w: int, r: int, stride: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maps in float64, regions of all sizes, some reaching far out of their image, and of which map each is."""
    dice = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, c, h, w, generator=dice, dtype=torch.float64)
    edges = torch.tensor([w, h]) * stride
    start = (torch.rand(r, 2, generator=dice, dtype=torch.float64) * 1.6 - 0.4) * edges
    extent = torch.rand(r, 2, generator=dice, dtype=torch.float64) ** 3 * edges
    return maps, torch.cat([start, start + extent], 1), torch.randint(0, n, (r,), generator=dice)


def read(part: Tensor, y: float, x: float) -> Tensor:
    """The values of a map (c, h, w) at a place, bilinear between the centres of its pixels, which lie at whole numbers."""
    h, w = part.shape[1:]
    if y < -1 or y > h or x < -1 or x > w:
        return torch.zeros_like(part[:, 0, 0])
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    total = torch.zeros_like(part[:, 0, 0])
    for row in range(h):
        for column in range(w):
            total = total + part[:, row, column] * max(0, 1 - abs(row - y)) * max(0, 1 - abs(column - x))
    return total


def aligned_by_loop(maps: Tensor, regions: Tensor, image: Tensor, size: int, scale: float, samples: int) -> Tensor:
    result = maps.new_zeros(len(regions), maps.shape[1], size, size)
    for r, region in enumerate(regions.tolist()):
        x0, y0, x1, y1 = (corner * scale for corner in region)
        tall, wide = (max(length, 1) / size for length in (y1 - y0, x1 - x0))
        for i in range(size):
            for j in range(size):
                for down in range(samples):
                    for right in range(samples):
                        y = y0 + (i + (down + 0.5) / samples) * tall
                        x = x0 + (j + (right + 0.5) / samples) * wide
                        result[r, :, i, j] += read(maps[image[r]], y, x) / samples**2
    return result


@few
@given(
    st.tuples(*[st.integers(1, most) for most in (2, 3, 5, 5, 4)]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([1, 4]),
    seeds,
)
def test_regions_are_those_of_a_loop_over_places(shape, size, samples, stride, seed) -> None:
    maps, regions, image = fed(*shape, stride, seed)
    wanted = aligned_by_loop(maps, regions, image, size, 1 / stride, samples)
    torch.testing.assert_close(roi_align(maps, regions, image, size, 1 / stride, samples), wanted)


def test_a_slope_reads_as_the_centres_of_the_bins() -> None:
    """Bilinear reading is exact where the map is a plane: each bin is the plane's value at the middle of its places."""
    rows, columns = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    maps = (3 * rows - 2 * columns)[None, None]
    region = torch.tensor([[16.0, 8.0, 128.0, 92.0]])  # 4, 2, 32, 23 in pixels of the map
    middle = (torch.arange(7) + 0.5) / 7
    wanted = 3 * (2 + 21 * middle[:, None]) - 2 * (4 + 28 * middle)
    torch.testing.assert_close(roi_align(maps, region, torch.tensor([0]), 7, 0.25)[0, 0], wanted, rtol=0, atol=1e-4)


def test_the_gradient_is_that_of_the_loop_and_of_small_differences() -> None:
    maps, regions, image = fed(2, 2, 4, 5, 5, 2, 0)
    leaf = maps.clone().requires_grad_()
    twin = maps.clone().requires_grad_()
    toward = torch.randn(5, 2, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (mine,) = torch.autograd.grad((roi_align(leaf, regions, image, 2, 0.5) * toward).sum(), leaf)
    (loop,) = torch.autograd.grad((aligned_by_loop(twin, regions, image, 2, 0.5, 2) * toward).sum(), twin)
    torch.testing.assert_close(mine, loop)
    assert torch.autograd.gradcheck(lambda maps: roi_align(maps, regions, image, 2, 0.5), (leaf,))


def test_the_memory_format_is_no_matter() -> None:
    maps, regions, image = (part.float() if part.is_floating_point() else part for part in fed(2, 8, 9, 11, 20, 4, 3))
    last = maps.contiguous(memory_format=torch.channels_last)
    assert torch.equal(roi_align(maps, regions, image, 7, 0.25), roi_align(last, regions, image, 7, 0.25))


def test_bf16_rounds_maps_and_results_but_not_places() -> None:
    maps, regions, image = fed(1, 8, 40, 300, 30, 4, 5)
    maps, regions = maps.bfloat16(), regions.float()
    with torch.autocast("cpu", torch.bfloat16):
        mine = roi_align(maps, regions, image, 7, 0.25)
    assert mine.dtype == torch.bfloat16
    assert torch.equal(mine, roi_align(maps.float(), regions, image, 7, 0.25).bfloat16())


def test_no_regions_are_no_maps_and_have_a_gradient_of_zero() -> None:
    maps = torch.randn(2, 3, 4, 5, requires_grad=True)
    parts = roi_align(maps, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 7, 0.25)
    assert parts.shape == (0, 3, 7, 7)
    parts.sum().backward()
    assert maps.grad is not None
    assert not maps.grad.any()


def test_a_region_without_area_is_a_pixel_and_one_outside_or_no_number_reads_zero() -> None:
    maps = torch.ones(1, 1, 10, 10)
    regions = torch.tensor(
        [[12.0, 12.0, 12.0, 12.0], [60.0, 0.0, 90.0, 30.0], [-90.0, -90.0, -40.0, 30.0], [0.0, math.nan, 30.0, 30.0]]
    )
    parts = roi_align(maps, regions, torch.zeros(4, dtype=torch.int64), 2, 0.25)
    assert parts.flatten(1).tolist() == [[1.0] * 4] + [[0.0] * 4] * 3
    point = roi_align(torch.arange(100.0).view(1, 1, 10, 10), regions[:1], torch.zeros(1, dtype=torch.int64), 1, 0.25)
    assert point.item() == 38.5  # the pixel from 3 to 4 each way, its middle: 10 * 3.5 + 3.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's export, about itself
def test_onnx_runtime_aligns_regions_alike(tmp_path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    class Align(torch.nn.Module):
        def forward(self, maps: Tensor, regions: Tensor, image: Tensor) -> Tensor:
            return roi_align(maps, regions, image, 7, 0.25)

    def inputs(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
        maps, regions, image = fed(*shape, 4, 7)
        return maps.float(), regions.float(), image

    any_length = torch.export.Dim.DYNAMIC
    shapes = ({0: any_length, 2: any_length, 3: any_length}, {0: any_length}, {0: any_length})
    program = torch.onnx.export(Align().eval(), inputs(2, 3, 12, 15, 9), dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    program.save(tmp_path / "align.onnx")
    session = runtime.InferenceSession(tmp_path / "align.onnx")
    names = [each.name for each in session.get_inputs()]
    for shape in ((2, 3, 12, 15, 9), (3, 3, 20, 10, 40), (1, 3, 8, 8, 0)):
        given = inputs(*shape)
        (theirs,) = session.run(None, {name: part.numpy() for name, part in zip(names, given, strict=True)})
        torch.testing.assert_close(torch.from_numpy(theirs), Align()(*given), rtol=0, atol=1e-5)


def test_regions_are_those_of_torchvision() -> None:
    oracle = pytest.importorskip("torchvision.ops", exc_type=(ImportError, RuntimeError))
    for seed in range(10):
        maps, regions, image = fed(2, 3, 12, 17, 50, 4, seed)
        table = torch.cat([image[:, None].double(), regions], 1)
        wanted = oracle.roi_align(maps, table, 7, 0.25, 2, aligned=False)
        torch.testing.assert_close(roi_align(maps, regions, image, 7, 0.25), wanted)
