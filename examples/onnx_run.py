"""Run an ONNX file that `gipi export` has written, without gipi and without PyTorch: NumPy, Pillow and ONNX Runtime are enough.

    python examples/onnx_run.py classifier.onnx photo.jpg ...            the five likeliest classes of each picture
    python examples/onnx_run.py segmenter.onnx street.png ...            the share of each class; street-mask.png, their numbers
    python examples/onnx_run.py detector.onnx photo.jpg ...              score, class and corners of each box
    python examples/onnx_run.py captioner-encoder.onnx photo.jpg ...     a sentence; captioner-decoder.onnx lies beside it
    python examples/onnx_run.py generator.onnx --count 16 --seed 1       made.png; --class NAME where it can be asked for
    python examples/onnx_run.py player.onnx observations.npy ...         the value of each action, and the one to take

What the file is and how pictures are to be brought to it stands in its own metadata, the model's card.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime, which else reports to its makers, looks for it when imported
import onnxruntime

START, END, UNKNOWN = 0, 1, 2  # words that every captioner knows by these numbers
BEAM, LONGEST = 5, 51  # sentences that are followed at a time; words of one, its end counted
SHOWN = 0.5  # least score of a box
Pixels = np.ndarray  # uint8 (1, channels, height, width)


def opened(path: Path) -> tuple[Callable[..., list[np.ndarray]], Any, dict[str, Any]]:
    """(the file as a function of its inputs, the session, the card)"""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    card = json.loads(session.get_modelmeta().custom_metadata_map["gipi"])
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True))), session, card


def picture(path: str, channels: int, least: int = 0) -> Image.Image:
    """Upright. least: a JPEG may be decoded smaller, if its sides stay at least twice as long."""
    with Image.open(path) as image:
        if least:
            image.draft(None, (2 * least, 2 * least))
        return ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")


def pixels(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """The picture scaled to `size` (height, width)."""
    small = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
    return np.ascontiguousarray(small.reshape(*size, -1).transpose(2, 0, 1)[None])


def middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def shorter(image: Image.Image, short: int) -> tuple[int, int]:
    """(height, width) once the shorter side is `short` pixels; 0: as it is."""
    side = min(image.size)
    return (round(image.height * short / side), round(image.width * short / side)) if short else (image.height, image.width)


def digit(image: Image.Image) -> Image.Image:
    """A digit on plain paper as MNIST has it: white on black, 20 pixels, its centre of mass in the middle of 28x28.

    gipi itself also finds one in a photograph, in uneven light, in ink of any colour.
    """
    levels = np.asarray(image, np.float32)
    paper = np.median(np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]))
    ink = np.abs(levels - paper)
    if not ink.any():
        raise SystemExit("a picture is empty: nothing is drawn on it")
    rows, columns = (np.flatnonzero((ink > ink.max() / 3).any(axis)) for axis in (1, 0))
    drawn = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * (255 / max(ink.max(), 1)))
    drawn = drawn.resize(tuple(max(1, round(20 * length / max(drawn.size))) for length in drawn.size), Image.Resampling.BILINEAR)
    small = np.asarray(drawn).clip(0, 255)
    down, across = (int(14.5 - np.average(np.arange(len(mass)), weights=mass)) for mass in (small.sum(1), small.sum(0)))
    field = Image.new("L", (28, 28))
    field.paste(Image.fromarray(small.astype(np.uint8)), (across, down))
    return field


def classify(path: str, run: Callable, card: dict[str, Any]) -> str:
    how = card["preprocess"]
    channels, height, width = how["image"]
    image = picture(path, channels, how["short"])
    if how["framing"] == "crop":  # the shorter side to `short` pixels, then the middle, in two steps as in training
        side, short = min(image.size), how["short"]
        image = image.resize((int(short * image.width / side), int(short * image.height / side)), Image.Resampling.BILINEAR)
        image = middle(middle(image, short, short), width, height)
    if how["framing"] == "digit" and image.size != (width, height):
        image = digit(image)
    logits = run(pixels(image, (height, width)))[0][0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    return ", ".join(f"{card['classes'][number]} {shares[number]:.1%}" for number in shares.argsort()[::-1][:5])


def segment(path: str, run: Callable, card: dict[str, Any]) -> str:
    image = picture(path, card["preprocess"]["image"][0])
    logits = run(pixels(image, shorter(image, card["preprocess"]["short"])))[0][0]
    planes = [np.asarray(Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR)) for plane in logits]
    mask = np.argmax(planes, 0).astype(np.uint8)
    file = Path(path).with_name(f"{Path(path).stem}-mask.png")
    Image.fromarray(mask).save(file)
    areas = np.bincount(mask.ravel(), minlength=len(card["classes"])) / mask.size
    shown = [f"{card['classes'][number]} {areas[number]:.1%}" for number in areas.argsort()[::-1] if areas[number]]
    return f"{', '.join(shown)} -> {file}"


def detect(path: str, run: Callable, card: dict[str, Any], wanted: list[int]) -> str:
    """The file takes one size: the picture is scaled to fit into it, and what is left is filled with the colour that means 0."""
    image, (height, width) = picture(path, 3), wanted
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    ground = np.float64(card["preprocess"]["mean"]).reshape(1, -1, 1, 1) * 255
    filled = np.broadcast_to(ground.round().astype(np.uint8), (1, 3, height, width)).copy()
    filled[:, :, : size[0], : size[1]] = pixels(image, size)
    lines = [
        f"{score:.0%} {card['classes'][label]} at {', '.join(f'{corner / scale:.1f}' for corner in box)}"
        for box, score, label in zip(*run(filled), strict=True)
        if score >= SHOWN
    ]
    return "; ".join(lines) or "nothing found"


def caption(path: str, run: Callable, card: dict[str, Any], decode: Callable) -> str:
    """The best sentence of a beam search: of all ways to go on the likeliest BEAM are followed until none can beat what ended."""
    channels, height, width = card["preprocess"]["image"]
    hidden, cell, *seen = run(pixels(picture(path, channels), (height, width)))
    hidden, cell = hidden[:, None], cell[:, None]
    beam: list[tuple[float, list[int]]] = [(0.0, [START])]
    ended: list[tuple[float, list[int]]] = []
    for _ in range(LONGEST):
        logs, hidden, cell, *_ = decode(np.array([[words[-1] for _, words in beam]]), hidden, cell, *seen)
        logs = logs[0] + np.array([[score] for score, _ in beam], np.float32)
        ends = logs[:, END].copy()
        logs[:, [START, END, UNKNOWN]] = -np.inf
        rows, words = np.unravel_index((-logs).argsort(axis=None, kind="stable")[:BEAM], logs.shape)
        best = np.sort(np.concatenate([ends, logs[rows, words]]))[::-1][:BEAM]
        ended += [(float(end), words) for end, (_, words) in zip(ends, beam, strict=True) if end >= best[-1]]
        ended = sorted(ended, key=lambda one: -one[0])[:BEAM]
        beam = [(float(logs[row, word]), [*beam[row][1], int(word)]) for row, word in zip(rows, words, strict=True)]
        hidden, cell = hidden[:, rows], cell[:, rows]
        if len(ended) == BEAM and beam[0][0] <= ended[-1][0]:
            break
    _, said = (ended or beam)[0]
    return " ".join(card["classes"][word] for word in said[1:]).replace(" ,", ",")


def generate(run: Callable, conditional: bool, size: int, card: dict[str, Any], asked: argparse.Namespace) -> str:
    """Images of N(0, 1) noise, `size` numbers each, in rows of eight. It is NumPy's: the same seed is another image in gipi."""
    classes = card["classes"]
    if asked.label and not (conditional and asked.label in classes):
        raise SystemExit(f"--class {asked.label}: this generator makes {', '.join(classes) if conditional else 'what it likes'}")
    inputs = [np.random.default_rng(asked.seed).standard_normal((asked.count, size)).astype(np.float32)]
    if conditional:
        labels = np.arange(asked.count) % len(classes)
        inputs.append(np.full(asked.count, classes.index(asked.label)) if asked.label else labels)
    images = run(*inputs)[0].transpose(0, 2, 3, 1)
    columns = min(8, asked.count)
    images = np.concatenate([images, np.zeros((-len(images) % columns, *images.shape[1:]), np.uint8)])
    rows = images.reshape(-1, columns, *images.shape[1:]).transpose(0, 2, 1, 3, 4)
    sheet = rows.reshape(rows.shape[0] * rows.shape[1], columns * rows.shape[3], -1)
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(asked.out)
    return f"{asked.count} images of seed {asked.seed} -> {asked.out}"


def act(path: str, run: Callable, card: dict[str, Any]) -> str:
    """path: observations (n, channels, height, width) as the graph reads them."""
    values, actions = run(np.load(path))
    lines = [
        f"{card['classes'][action]}: {', '.join(f'{name} {value:.4g}' for name, value in zip(card['classes'], row, strict=True))}"
        for row, action in zip(values, actions, strict=True)
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("inputs", nargs="*", help="pictures, or .npy files of observations")
    parser.add_argument("--count", type=int, default=16, help="images of a generator")
    parser.add_argument("--seed", type=int, default=0, help="of their noise")
    parser.add_argument("--class", dest="label", help="of all of them")
    parser.add_argument("--out", type=Path, default=Path("made.png"), help="where they are written")
    asked = parser.parse_args()
    run, session, card = opened(asked.model)
    kind, feeds = card["kind"], session.get_inputs()
    if kind == "generate":
        print(generate(run, len(feeds) > 1, feeds[0].shape[1], card, asked))
    elif not asked.inputs:
        parser.error("name pictures, or for a player .npy files of observations")
    elif kind == "detect" and len(feeds) > 1:
        parser.error("this detector wants to be told regions of the picture, which is not done here")
    elif kind == "caption" and feeds[0].name != "pixels":
        parser.error("name the file that ends in -encoder.onnx")
    else:
        decode = opened(Path(str(asked.model).replace("-encoder.onnx", "-decoder.onnx")))[0] if kind == "caption" else None
        answer = {"classify": classify, "segment": segment, "detect": detect, "caption": caption, "act": act}[kind]
        more = {"detect": feeds[0].shape[2:], "caption": decode}
        for path in asked.inputs:
            print(f"{path}: {answer(path, run, card, *([more[kind]] if kind in more else []))}")


if __name__ == "__main__":
    main()
