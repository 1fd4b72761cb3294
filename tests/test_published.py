"""The table of published weights: complete, consistent with itself and with the nets, and true of the files that are at hand."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
import torch

from gipi import catalog
from gipi.models.kinds import build_net
from gipi.published import LABELS, PUBLISHED, Published

every = pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.file)


@every
def test_the_net_can_be_built_and_takes_what_the_preprocessing_gives(one: Published):
    fact = catalog.NETS[one.net]
    assert one.label in LABELS
    assert one.preprocess.image == fact.input == (3, 224, 224)
    with torch.device("meta"):
        net = build_net(one.net, one.args)
        assert net.eval()(torch.zeros(1, *one.preprocess.image)).shape == (1, 1000)


@every
def test_the_name_of_a_file_ends_in_its_digits(one: Published):
    assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", one.sha256)
    assert one.source
    if one.url:
        assert one.url == f"https://download.pytorch.org/models/{one.file}"
        assert one.file.endswith(f"-{one.sha256[:8]}.pth")
    else:
        assert len(one.sha256) == 64


@every
def test_the_limit_is_what_the_weights_need(one: Published):
    """4 bytes a weight, 2 in the files in fp16, and a little for names and for what batch norm counts; GoogLeNet has two heads more."""
    weights = 13_004_888 if one.net == "googlenet" else catalog.NETS[one.net].parameters
    need = weights * (4 if one.url else 2)
    assert need < one.limit < 1.2 * need + (1 << 20)


def test_a_label_of_a_net_is_one_file_to_download_and_none_is_there_twice():
    ways = [(one.net, one.label) for one in PUBLISHED if one.url]
    assert len(set(ways)) == len(ways)
    assert {(one.net, one.label) for one in PUBLISHED} == set(ways), "what is only found locally can be had in another form"
    assert len({one.sha256[:8] for one in PUBLISHED}) == len(PUBLISHED)
    assert len({Path(one.file).stem for one in PUBLISHED}) == len(PUBLISHED), "copies in the cache would overwrite each other"


def test_scores_rise_as_the_papers_say():
    top1 = {(one.net, one.label): one.top1 for one in PUBLISHED if one.url}
    for family in (["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"], ["vgg11", "vgg13", "vgg16", "vgg19"]):
        scores = [top1[net, "imagenet"] for net in family]
        assert scores == sorted(scores)
    for depth in (11, 13, 16, 19):
        assert top1[f"vgg{depth}-bn", "imagenet"] > top1[f"vgg{depth}", "imagenet"]
    for net, label in top1:
        assert top1[net, label] >= top1[net, "imagenet"]
    assert all(one.top1 < one.top5 < 100 for one in PUBLISHED)


def test_every_landmark_net_for_imagenet_has_weights():
    landmarks = {name for name, net in catalog.NETS.items() if net.kind == "classify" and net.input == (3, 224, 224)}
    assert {one.net for one in PUBLISHED} == landmarks - {"resnet10"}


@pytest.mark.parametrize("one", [one for one in PUBLISHED if not one.url], ids=lambda one: one.file)
def test_files_at_hand_are_those_of_the_table(one: Published):
    path = Path(os.environ.get("GIPI_DATA", "")) / "imagenet_weights" / one.file
    if not path.is_file():
        pytest.skip("no imagenet_weights in $GIPI_DATA")
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == one.sha256
    assert len(data) <= one.limit
