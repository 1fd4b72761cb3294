"""gipi list: everything by a line each, one kind alone, and the table of the nets."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from gipi.catalog import DATASETS, GAMES, NETS, SHIPPED
from gipi.cli.look import list_all
from gipi.cli.nets import brief
from gipi.errors import ConfigError
from gipi.published import PUBLISHED
from gipi.recipes import RECIPES
from gipi.studies import MEASUREMENTS, STUDIES

TABLES = {
    "recipes": RECIPES,
    "models": SHIPPED,
    "nets": NETS,
    "data": DATASETS,
    "games": GAMES,
    "studies": {**STUDIES, **MEASUREMENTS},
}


def listed(capsys, *words):
    assert list_all([*words]) == 0
    return capsys.readouterr().out


def test_everything_has_its_line(capsys):
    lines = listed(capsys).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [*TABLES]
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [name for table in TABLES.values() for name in table]
    table = json.loads(listed(capsys, "--json"))
    assert {title: [*lines] for title, lines in table.items()} == {title: [*lines] for title, lines in TABLES.items()}


@pytest.mark.parametrize("what", ["recipes", "models", "data", "games", "studies"])
def test_one_kind_alone_is_its_part_of_the_whole(what, capsys):
    whole = json.loads(listed(capsys, "--json"))
    assert json.loads(listed(capsys, what, "--json")) == {what: whole[what]}
    title, *lines = listed(capsys, what).splitlines()
    assert title == what
    assert [line.split(maxsplit=1) for line in lines] == [[name, about] for name, about in whole[what].items()]


def test_unknown_kind_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no list of 'nest'; did you mean 'nets'\? \(allowed: data, games, models, nets, recipes, stu"
    ):
        list_all(["nest"])


def test_nets_as_json_are_numbers(capsys):
    [(title, nets)] = json.loads(listed(capsys, "nets", "--json")).items()
    assert title == "nets"
    assert [*nets] == [*NETS]
    for name, net in nets.items():
        known = {**asdict(NETS[name]), "input": list(NETS[name].input)}
        assert {key: value for key, value in net.items() if key in known} == {key: known[key] for key in net if key in known}
        scores = [(one.top1, one.top5) for one in PUBLISHED if (one.net, one.label) == (name, "imagenet") and one.url]
        assert (net["top1"], net["top5"]) == (scores[0] if scores else (None, None))
    assert nets["digitnet"]["top1"] is None
    assert nets["resnet50"]["top1"] == pytest.approx(76.13)
    assert all(net["top1"] < net["top5"] < 100 for net in nets.values() if net["top1"] is not None)


def test_table_of_the_nets_is_aligned_and_says_where_its_scores_are_from(capsys):
    header, *lines, empty, note = listed(capsys, "nets").splitlines()
    assert [line.split()[0] for line in lines] == [*NETS]
    assert empty == ""
    assert "torchvision" in note
    assert "not run by us" in note
    source = header.index("source")
    for line, net in zip(lines, NETS.values(), strict=True):
        assert line[source - 2 :] == f"  {net.source}"
    ends = [header.index(word) + len(word) for word in ("year", "depth", "parameters", "multiply-adds", "top-1", "top-5")]
    for line in lines:
        assert all(line[end : end + 2] == "  " for end in ends)
    [vgg] = [line[:source].split() for line in lines if line.startswith("vgg16 ")]
    assert vgg[:5] == ["vgg16", "classify", "2014", "16", "138,357,544"]
    assert vgg[5:] == ["15.5", "G", "71.59", "90.38"]
    [segnet] = [line[:source].split() for line in lines if line.startswith("segnet ")]
    assert segnet == ["segnet", "segment", "2015", "26", "29,449,355", "104", "G"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (975_496, "0.975 M"),
        (8_772_340, "8.77 M"),
        (714_188_480, "714 M"),
        (999_400_000, "999 M"),
        (999_600_000, "1 G"),
        (19_632_062_464, "19.6 G"),
    ],
)
def test_brief_numbers(count, text):
    assert brief(count) == text


def test_listing_needs_no_torch():
    code = "import sys; from gipi.cli.look import list_all; list_all(['nets']); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
