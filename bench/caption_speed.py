"""Captions a second from cached features on the CPU, by beam search and greedily: python bench/caption_speed.py.

Of trained captioners with --models FILE..., on the test images of the data set that each was trained on. Else of fresh nets with
3,000 words, on made-up features of images of 224x224 pixels; one number of their state is a clock, so that their captions are
about as long as those of Flickr8k. Writes bench/results/caption_speed.json.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

import gipi
from common import Row, row, write
from gipi.engine.place import Place, decide_place
from gipi.model import Card
from gipi.models.attend import Attend
from gipi.models.kinds import build_net
from gipi.models.nic import NIC, WORDS
from gipi.ops.text import END, PAD, SPECIALS
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.tasks.captioner import Captioner
from gipi.tasks.captions import load_captions

FRESH = ("nic-mobilenet-v2", "attend-mobilenet-v2")
BEAMS = {"beam 5": 5, "greedy": 1}
TARGETS = {"beam 5": "; target 100"}
REPEATS = 5
AT_ONCE = 100  # as in an evaluation
TICK, LATE, SURE = 0.065, 0.6, 60.0  # of the clock: a step of it, from where on the end becomes likely, and how fast


def fresh(name: str, place: Place) -> Captioner:
    torch.manual_seed(0)
    net = build_net(name, {})
    assert isinstance(net, NIC | Attend)
    lstm = net.lstm if isinstance(net, NIC) else net.cell
    with torch.no_grad():
        for key, weight in lstm.named_parameters():
            gates = weight.view(4, -1, *weight.shape[1:])[:, 0]  # input, forget, new, output of the first number of the state
            gates.zero_()
            if "bias_ih" in key:
                gates.copy_(torch.tensor([20.0, 20, TICK, 20]))
        net.answer.weight.normal_(std=0.5)
        net.answer.weight[:, 0] = net.answer.weight[END] = 0
        net.answer.weight[END, 0], net.answer.bias[END] = SURE, -SURE * LATE
    words = (*SPECIALS, *(f"word{number}" for number in range(WORDS - len(SPECIALS))))
    how = Preprocess((3, 224, 224), "resize", 224, IMAGENET_MEAN, IMAGENET_STD)
    return Captioner(net.eval(), Card("caption", name, {}, words, how), place)


def made_up(model: Captioner, count: int) -> Tensor:
    _, places, depth = model.features(torch.zeros(1, *model.card.image, dtype=torch.uint8)).shape
    return torch.randn(count, places, depth).abs()


def seen(model: Captioner, count: int) -> Tensor:
    """Features of the test images of the set that a captioner was trained on."""
    data = load_captions(next(iter(model.card.data)).partition("/")[0], "test")
    return model.features(data.images[:count])


def speed(model: Captioner, features: Tensor, title: str, note: str) -> list[Row]:
    rows = []
    for name, width in BEAMS.items():
        model.speak(beam=width)
        model.say(features[:AT_ONCE])
        rates, counts = [], torch.zeros(1)
        for _ in range(REPEATS):
            start = time.perf_counter()
            words = [model.say(part).words[:, 0] for part in features.split(AT_ONCE)]
            rates.append(len(features) / (time.perf_counter() - start))
            counts = (torch.cat(words) != PAD).sum(1).double()
        long = f"{counts.mean():.1f} words a caption, its end counted"
        rows.append(row(f"{title}, {name}", rates, "captions/s", note=f"{note}, {long}{TARGETS.get(name, '')}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[], help="model files or run folders of trained captioners")
    parser.add_argument("--images", type=int, default=1000, help="images that are described")
    args = parser.parse_args()
    rows: list[Row] = []
    for precision in dict.fromkeys(["fp32", decide_place(device="cpu").precision]):
        place = decide_place(device="cpu", precision=precision)
        models = [gipi.load(path, place=place) for path in args.models] or [fresh(name, place) for name in FRESH]
        for model in models:
            if not isinstance(model, Captioner):
                raise SystemExit(f"a {type(model).__name__} does not caption: give captioners")
            features = seen(model, args.images) if args.models else made_up(model, args.images)
            weights = "trained" if args.models else "fresh weights"
            note = f"{model.card.net}, {weights}, {len(model.card.classes):,} words known, {len(features):,} images"
            title = f"{'attention' if model.speaker.ATTENDS else 'NIC'}, {precision}"
            rows += speed(model, features, title, f"{note}, {torch.get_num_threads()} threads")
    write("caption_speed", rows)


if __name__ == "__main__":
    main()
