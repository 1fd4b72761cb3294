"""Framing the handwritten digit of any picture the way that MNIST was made, so that a net trained on MNIST can read it.

Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998, section III.A: white on
black, scaled with anti-aliasing to fit 20x20, then moved by whole pixels until the centre of mass is that of a 28x28 field.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image, ImageFilter
from torch import Tensor

from gipi.errors import DataError

FIELD, BOX = 28, 20
WORK = 320
COARSE = 41
STROKE = 0.10
import os

LOCAL = int(os.environ.get("LOCAL", "1"))
TH = float(os.environ.get("TH", "0"))
Q = float(os.environ.get("Q", ".9"))
RES = getattr(Image.Resampling, os.environ.get("RES", "BILINEAR"))


def frame_digit(image: Image.Image) -> UInt8[Tensor, "1 28 28"]:
    ink, digit, box = _find(image, False)
    ink, digit, _ = _find(image.crop(box), True)
    return torch.from_numpy(_frame(ink, digit))[None]


def _centre(ink):
    mass = ink.sum()
    return np.array([ink.sum(1) @ np.arange(ink.shape[0]), ink.sum(0) @ np.arange(ink.shape[1])]) / mass


def _find(image, near):
    zoom = WORK / max(image.size)
    size = [max(1, round(side * zoom)) for side in image.size]
    small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
    ink = _ink(small, near)
    digit = _digit(ink)
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    margin = 0.35 * max(np.ptp(rows), np.ptp(columns)) + 2
    box = (
        max(0, int((columns[0] - margin) / zoom)),
        max(0, int((rows[0] - margin) / zoom)),
        min(image.width, int((columns[-1] + 1 + margin) / zoom)),
        min(image.height, int((rows[-1] + 1 + margin) / zoom)),
    )
    return ink, digit, box


def _ink(small, near):
    colour = _axis(small)
    signal = np.asarray(small, np.float32) @ colour
    signal = signal - _opening(signal, int(WORK * float(os.environ.get("W2" if near else "W1", "0.5"))), False)
    return signal - np.median(signal)


def _axis(small):
    coarse = small.resize([max(1, side * COARSE // WORK) for side in small.size], Image.Resampling.BOX)
    best = 0, None
    for pad in (5, 12):
        padded = np.pad(np.asarray(coarse), ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        plain = np.asarray(Image.fromarray(padded).filter(ImageFilter.MedianFilter(2 * pad + 1)))[pad:-pad, pad:-pad]
        yy, xx = np.ogrid[-1:1:plain.shape[0]*1j, -1:1:plain.shape[1]*1j]
        rest = ((np.asarray(coarse, np.float32) - plain)*((1-yy**2)*(1-xx**2))[...,None]).reshape(-1, 3)
        axis = np.linalg.eigh(rest.T @ rest)[1][:, -1]
        along = rest @ axis
        skew = (along**3).mean() / ((along**2).mean() + 1) ** 1.5
        best = max(best, (abs(skew), axis * np.sign(skew)), key=lambda b: b[0])
    if best[1] is None:
        raise DataError("no digit found")
    return best[1].astype(np.float32)


def _slide(pick, a, width, axis):
    """pick (minimum/maximum) over windows of width beginning at each place; shrinks"""
    span = 1
    while span < width:
        step = min(span, width - span)
        n = a.shape[axis] - step
        a = pick(
            np.take(a, range(n), axis) if 0 else (a[:n] if axis == 0 else a[:, :n]),
            a[step:] if axis == 0 else a[:, step:],
        )
        span += step
    return a


def _opening(a, width, near):
    h, w = a.shape
    p = width
    b = np.pad(a, p, mode="constant", constant_values=a.min()) if near else np.pad(a, p, mode="edge")
    for axis in (0, 1):
        b = _slide(np.minimum, b, width, axis)
    for axis in (0, 1):
        b = _slide(np.maximum, b, width, axis)
    o = p - width + 1
    return b[o : o + h, o : o + w]


def _otsu(values):
    counts, edges = np.histogram(values, 256)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    s = np.cumsum(counts * middle)
    with np.errstate(all="ignore"):
        between = below * above * (s / below - (s[-1] - s) / above) ** 2
    return edges[1 + np.nanargmax(between[:-1])]


def _digit(ink):
    noise = 1.4826 * np.median(np.abs(ink)) + 1
    floor = 4 * noise
    if ink.max() <= floor + 12:
        raise DataError("no digit found")
    t = max(_otsu(ink.clip(floor)), floor, 12)
    mask = ink > t
    if not mask.any():
        raise DataError("no digit found")
    label = _components(mask)
    h, w = ink.shape
    idx, inverse = np.unique(label, return_inverse=True)
    mass = np.bincount(inverse.ravel(), np.where(mask, ink, 0).ravel())
    mass[idx == 0] = 0
    edge = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    inner = np.where(np.isin(idx, edge), 0, mass)
    best = inner.argmax() if inner.max() > 0.15 * mass.max() else mass.argmax()
    main = label == idx[best]
    # parts
    rows, columns = np.flatnonzero(main.any(1)), np.flatnonzero(main.any(0))
    m = 0.25 * max(np.ptp(rows), np.ptp(columns)) + 1
    near = np.zeros_like(mask)
    near[max(0, int(rows[0] - m)) : int(rows[-1] + m + 2), max(0, int(columns[0] - m)) : int(columns[-1] + m + 2)] = True
    inside = (np.bincount(inverse.ravel(), near.ravel()) > 0) & ~np.isin(idx, edge)
    keep = inside & (mass > 0.05 * mass[best])
    keep[best] = True
    return keep[inverse].reshape(h, w) & mask


def _components(mask):
    label = torch.arange(1, mask.size + 1, dtype=torch.float32).view(1, 1, *mask.shape) * torch.from_numpy(mask)
    on = torch.from_numpy(mask)
    while True:
        grown = F.max_pool2d(label, 3, 1, 1) * on
        flat = torch.cat([torch.zeros(1), grown.flatten()])
        grown = flat[flat[grown.long()].long()].view_as(label)
        if torch.equal(grown, label):
            return label[0, 0].long().numpy()
        label = grown


def _frame(ink, digit):
    near = F.max_pool2d(torch.from_numpy(digit)[None].float(), 7, 1, 3)[0].numpy() > 0
    ink = np.where(near, ink, 0).clip(0)
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    digit = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if LOCAL:
        k = max(digit.shape) // 4 | 1
        peak = F.max_pool2d(torch.from_numpy(ink)[None].float(), k, 1, k // 2)
        peak = F.avg_pool2d(peak, k, 1, k // 2, count_include_pad=False)[0].numpy() * 0.9
    else:
        peak = np.quantile(ink[digit], Q)
    levels = (ink / peak.clip(1)).clip(0, 1)
    if TH:
        area = digit.sum()
        d = np.pad(digit, 1)
        per = (d[1:] != d[:-1]).sum() + (d[:, 1:] != d[:, :-1]).sum()
        stroke = 2 * area / per / max(digit.shape) * 1.27
        grow = int((TH - stroke) * max(digit.shape))
        if grow > 1:
            k = grow | 1
            levels = F.max_pool2d(F.pad(torch.from_numpy(levels)[None].float(), [k // 2] * 4), k, 1, k // 2)[0].numpy()
    glyph = Image.fromarray((levels * 255).round().astype(np.uint8))
    scale = BOX / max(levels.shape)
    size = tuple(max(1, round(s * scale)) for s in glyph.size)
    glyph = np.asarray(glyph.resize(size, RES), np.float32)
    glyph = (glyph * 255 / max(glyph.max(), 1)).clip(0, 255)
    y, x = _centre(glyph)
    top = min(max(0, round(FIELD / 2 - y)), FIELD - glyph.shape[0])
    left = min(max(0, round(FIELD / 2 - x)), FIELD - glyph.shape[1])
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph.round()
    return field
