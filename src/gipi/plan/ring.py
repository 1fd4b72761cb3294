"""What it costs to add up gradients over GPUs, by the ring model.

Of n members in a ring each sends 1/n of the data to its neighbour n - 1 times until every one has the sum of one part
(reduce-scatter), and n - 1 times more until all have all of it (all-gather). Patarasuk and Yuan, "Bandwidth optimal all-reduce
algorithms for clusters of workstations", J. Parallel Distrib. Comput. 69, 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

INSIDE_S = 5e-6  # latency of a message inside a node: an assumption
BUCKET = 25 << 20  # bytes that are sent at once: DistributedDataParallel's usual bucket
OVERLAP = 0.8  # share of the backward pass behind which sending can hide: an assumption; the first layers' gradients come last
HALVES = {"ddp": 2, "fsdp": 3}  # half rings in a step: FSDP gathers the weights twice and scatters the gradients' sum once


def half_ring_s(size: float, members: int, bandwidth: float, latency_s: float) -> float:
    """Seconds of a reduce-scatter or an all-gather of `size` bytes over links of `bandwidth` bytes/s each way."""
    return (members - 1) * (size / members / bandwidth + latency_s)


@dataclass(frozen=True)
class Cluster:
    """gpus: of a node.  link: bytes/s of a GPU to the next in its node.  network: bytes/s of a node to the next.

    latency_s: of a message between nodes, s.
    """

    gpus: int
    nodes: int
    link: float
    network: float
    latency_s: float

    @property
    def world(self) -> int:
        return self.gpus * self.nodes

    def exchange_s(self, size: float, halves: int = HALVES["ddp"]) -> float:
        """Seconds to sum `size` bytes of gradients over all GPUs, nothing hidden.

        A ring inside each node leaves every GPU with one part of the node's sum, and each part goes round a ring of the nodes;
        all parts share the node's network. Every bucket pays the latencies anew.
        """
        buckets = max(1, -(-int(size) // BUCKET))
        each = size / buckets
        inside = half_ring_s(each, self.gpus, self.link, INSIDE_S)
        between = half_ring_s(each, self.nodes, self.network, self.latency_s)
        return halves * buckets * (inside + between)

    def exposed_s(self, size: float, backward_s: float, halves: int = HALVES["ddp"]) -> float:
        """The part of `exchange_s` that a step waits for: what does not fit behind the backward pass.

        Never less than the last bucket, whose gradients are there only when that pass is over.
        """
        whole = self.exchange_s(size, halves)
        buckets = max(1, -(-int(size) // BUCKET))
        return max(whole / buckets, whole - OVERLAP * backward_s)
