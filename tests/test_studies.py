"""What a study declares: names that exist, comparisons that are fair, and the same work on another data set."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch

from gipi import catalog
from gipi.config import Config
from gipi.inspect.layers import layer_table
from gipi.models.kinds import build_net
from gipi.studies import COSTS, STUDIES, on_data
from gipi.studies.textbook import DEPTHS, TEXTBOOK

EVERY = [(name, variant) for name, study in STUDIES.items() for variant in study.variants]


def table(config: Config):
    return layer_table(build_net(config.net.name, config.net.args), (1, 28, 28))


def variant(study: str, name: str):
    [found] = [one for one in STUDIES[study].variants if one.name == name]
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_claims_compare_what_the_study_has(name: str):
    study = STUDIES[name]
    names = [one.name for one in study.variants]
    assert len(set(names)) == len(names)
    for claim in study.claims:
        assert claim.better != claim.worse
        assert claim.measure in (*study.scores, *COSTS)
        for side in (claim.better, claim.worse):
            of_series = [one for one in study.variants if one.series == side]
            assert side in names or of_series, f"{side} is neither a variant nor a series"
            assert side in names or all(one.config.data.holdout for one in of_series), (
                "chosen on validation images: hold some out"
            )
    assert set(study.activations) <= set(names)
    assert study.seeds >= 3
    assert "minutes" in study.cost


@pytest.mark.parametrize(("name", "one"), EVERY, ids=[f"{name}-{one.name}" for name, one in EVERY])
def test_a_variant_is_a_configuration_that_can_be_written_down(name: str, one):
    assert Config.from_json(one.config.to_json()) == one.config
    data = {"landmarks": "fashion-mnist", "transfer": "hymenoptera", "dqn": one.series}.get(name, "mnist")
    assert one.config.data.name == data
    assert one.config.run.members == 1


def test_the_depth_study_keeps_what_it_says_equal():
    for depth in DEPTHS:
        equal_width = table(variant("depth", f"16 channels, {depth}").config)
        equal_size = table(variant("depth", f"34,000 parameters, {depth}").config)
        convolutions = [layer for layer in equal_width.layers if layer.kind.startswith("conv")]
        assert len(convolutions) == depth
        assert {layer.shape[0] for layer in convolutions} == {16}
        assert equal_size.parameters == pytest.approx(33_722, rel=0.05)


def test_the_filters_of_a_pair_see_as_much_and_have_the_textbooks_ratio_of_parameters():
    for large, small, ratio in (("one 5x5", "two 3x3", 18 / 25), ("one 7x7", "three 3x3", 27 / 49)):
        tables = [table(variant("filters", name).config) for name in (small, large)]
        reach = [[layer for layer in t.layers if layer.kind.startswith("max-pool")][-1].reach for t in tables]
        assert reach[0] == reach[1]

        def filters(t, kernel: str):
            return sum(
                layer.parameters
                for layer in t.layers
                if layer.kind == f"conv {kernel}" and layer.parameters % 256 == 0  # the stem has 16 x 9
            )

        assert filters(tables[0], "3x3") / filters(tables[1], large[4:]) == pytest.approx(ratio)
        assert tables[0].multiply_adds < tables[1].multiply_adds


def test_the_data_study_gives_every_size_the_same_steps_and_the_nets_the_same_size():
    steps = {one.config.run.epochs * one.config.data.limit // one.config.data.batch for one in STUDIES["data"].variants}
    assert len(steps) == 1
    sizes = {table(one.config).parameters for one in STUDIES["data"].variants}
    assert max(sizes) / min(sizes) < 1.05


def test_the_tricks_differ_in_one_thing_each():
    added = [one for one in STUDIES["tricks"].variants if one.series == "added up"]
    for before, after in pairwise(added):
        same = sum(getattr(before.config, group) == getattr(after.config, group) for group in ("net", "data", "optim", "run"))
        assert same == (4 if after.ensemble else 3), after.name


@pytest.mark.parametrize("name", [*TEXTBOOK, "landmarks"])
def test_another_data_set_gets_about_as_many_steps(name: str):
    study, moved = STUDIES[name], on_data(STUDIES[name], "digits", 1437, 10)
    for one, other in zip(study.variants, moved.variants, strict=True):
        before, after = one.config, other.config
        limit = before.data.limit or 60_000
        steps = before.run.epochs * limit // before.data.batch
        left = int(1437 * (1 - after.data.holdout))
        assert after.data.limit <= left
        size = after.data.limit or left
        assert after.run.epochs * (size // after.data.batch) == pytest.approx(steps, rel=0.15)
        assert after.data.batch <= size
    assert {one.config.data.name for one in moved.variants} == {"digits"}


def test_images_of_a_class_are_counted_for_the_classes_there_are():
    study, moved = STUDIES["transfer"], on_data(STUDIES["transfer"], "pets", 900, 3)
    for one, other in zip(study.variants, moved.variants, strict=True):
        data, limit = other.config.data, one.config.data.limit
        images = data.limit or 900
        assert images == (3 * limit or 900)
        assert data.batch == min(32, images)
        assert other.config.run.epochs * (images // data.batch) == pytest.approx(8 * 900 // 32, rel=0.1)


def test_all_fixed_initial_spreads_are_built():
    for one in STUDIES["initialisation"].variants:
        torch.manual_seed(0)
        net = build_net(one.config.net.name, one.config.net.args)
        weights = [m.weight for m in net.modules() if isinstance(m, torch.nn.Conv2d)][1:]
        spread = torch.cat([weight.flatten() for weight in weights]).std().item()
        want = {"He": (2 / 144) ** 0.5, "Xavier": (1 / 144) ** 0.5, "std 0.01": 0.01, "std 0.1": 0.1}[one.series]
        assert spread == pytest.approx(want, rel=0.06)


def test_the_list_says_each_study():
    assert set(STUDIES) == {
        "depth",
        "filters",
        "data",
        "tricks",
        "optimizers",
        "initialisation",
        "landmarks",
        "transfer",
        "gan",
        "dqn",
    }
    assert all(re.fullmatch(r"[a-z]+", name) for name in STUDIES)
    assert set(catalog.NETS) >= {one.config.net.name for _, one in EVERY}
