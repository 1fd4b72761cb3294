"""The ring model against a ring that is run step by step."""

from __future__ import annotations

import pytest

from gipi.plan import ring
from gipi.plan.ring import HALVES, Cluster, half_ring_s


def simulated(size: int, members: int, bandwidth: float, latency_s: float) -> tuple[float, list[list[int]]]:
    """(seconds, sums of every member) of a ring all-reduce of values that are run: member m starts with m + 1 everywhere."""
    held = [[m + 1] * members for m in range(members)]  # a number for each part
    seconds = 0.0
    for gathering in (False, True):
        for turn in range(members - 1):
            sent = {}
            for m in range(members):
                part = (m - turn + gathering) % members
                sent[(m + 1) % members] = part, held[m][part]
            for m, (part, value) in sent.items():
                held[m][part] = value if gathering else held[m][part] + value
            seconds += latency_s + size / members / bandwidth  # all send at once
    return seconds, held


@pytest.mark.parametrize("members", [1, 2, 3, 8])
def test_all_reduce_is_the_ring_run_step_by_step(members):
    seconds, held = simulated(7_000_000, members, 3e9, 2e-5)
    assert held == [[members * (members + 1) // 2] * members] * members
    assert 2 * half_ring_s(7_000_000, members, 3e9, 2e-5) == pytest.approx(seconds)


def test_well_known_formula():
    n, size, bandwidth, latency = 16, 1e6, 1e9, 5e-6
    expected = 2 * (n - 1) / n * size / bandwidth + 2 * (n - 1) * latency
    assert Cluster(1, n, 1.0, bandwidth, latency).exchange_s(size) == pytest.approx(expected)


def test_alone_nothing_is_exchanged():
    alone = Cluster(1, 1, 1e9, 1e9, 1e-5)
    assert alone.world == 1
    assert alone.exchange_s(1e9) == 0
    assert alone.exposed_s(1e9, 0.1) == 0


def test_a_ring_inside_each_node_then_one_between_them():
    both = Cluster(8, 4, 300e9, 25e9, 1e-5)
    inside, between = Cluster(8, 1, 300e9, 25e9, 1e-5), Cluster(1, 4, 300e9, 25e9, 1e-5)
    assert both.exchange_s(1e8) == pytest.approx(inside.exchange_s(1e8) + between.exchange_s(1e8))


def test_every_bucket_pays_the_latency():
    slow = Cluster(1, 2, 1e9, 1e18, 1.0)
    assert slow.exchange_s(ring.BUCKET) == pytest.approx(2)
    assert slow.exchange_s(ring.BUCKET + 1) == pytest.approx(4)


def test_sharded_weights_move_half_as_much_again():
    cluster = Cluster(2, 2, 1e9, 1e8, 1e-5)
    assert cluster.exchange_s(1e8, HALVES["fsdp"]) == pytest.approx(1.5 * cluster.exchange_s(1e8))


def test_exposed_is_what_the_backward_pass_does_not_hide_and_the_last_bucket_at_least():
    cluster, size = Cluster(1, 2, 1e9, 1e9, 0.0), 4.0 * ring.BUCKET
    whole = cluster.exchange_s(size)
    assert cluster.exposed_s(size, 0.0) == whole
    assert cluster.exposed_s(size, 0.5 * whole) == pytest.approx(whole * (1 - 0.5 * ring.OVERLAP))
    assert cluster.exposed_s(size, 100.0) == pytest.approx(whole / 4)
