"""A plan in words and tables, for somebody who has never rented a GPU."""

from __future__ import annotations

from gipi.plan.plan import Plan

ROWS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimiser": "optimiser state",
    "average": "averaged weights",
    "activations": "activations and scratch",
    "gathered": "largest block, whole",
    "base": "PyTorch itself",
}


def text(plan: Plan) -> str:
    """The plan for a terminal."""
    return "\n".join([*_head(plan), "", *_memory(plan), "", *_step(plan), "", *_ending(plan)])


def _head(plan: Plan) -> list[str]:
    ask, net, device = plan.ask, plan.net, plan.device
    shape, world = "x".join(map(str, net.image)), ask.world
    return [
        f"{ask.config.recipe or net.name}: {net.name}, {net.parameters:,} parameters, images of {shape}",
        f"{ask.nodes} x {ask.gpus} {device.name}, {plan.precision}: "
        f"{_images(plan.batch)} a GPU, {plan.batch * world:,} in a step of all",
        f"{device.name}: {device.source}",
        f"{'':12}{device.peak(plan.precision) / 1e12:,.4g} TFLOP/s, {device.bandwidth / 1e9:,.4g} GB/s of memory, "
        f"{device.memory / 2**30:.1f} GiB; links {device.link / 1e9:.4g} GB/s, between nodes {device.network / 1e9:.4g} GB/s",
    ]


def _memory(plan: Plan) -> list[str]:
    ways = {"DDP": plan.ddp, "FSDP": plan.fsdp} if plan.ask.world > 1 else {"": plan.ddp}
    lines = [f"{'memory of each GPU, GiB':28}" + "".join(f"{name:>10}" for name in ways)]
    for field, title in ROWS.items():
        values = [getattr(memory, field) for memory in ways.values()]
        if any(values):
            lines.append(f"  {title:26}" + "".join(f"{value / 2**30:10.2f}" for value in values))
    lines.append(f"  {'together':26}" + "".join(f"{memory.total / 2**30:10.2f}" for memory in ways.values()))
    lines.append(f"  {'largest batch that fits':26}" + "".join(f"{batch:10,}" for batch in plan.largest[: len(ways)]))
    return lines


def _step(plan: Plan) -> list[str]:
    times, step = plan.times, plan.step_s
    used = plan.flops / plan.step_s
    rows = [
        ("forward", times.forward),
        ("backward", times.backward),
        ("update of the weights", times.update),
        ("waiting for the other GPUs", plan.exposed_s),
        ("together", step),
    ]
    lines = [f"{'a step, ms':28}", *(f"  {title:26}{1e3 * value:10.2f}" for title, value in rows if value)]
    lines.append(
        f"  {plan.flops / 1e12:,.3g} TFLOP of a GPU, {used / 1e12:,.3g} TFLOP/s: "
        f"{used / plan.device.peak(plan.precision):.0%} of its peak"
    )
    if plan.ask.world > 1:
        way = "gathering weights and adding up gradients (FSDP)" if plan.shard else "adding up gradients (DDP, ring all-reduce)"
        lines.append(f"  {way}: {1e3 * plan.exchange_s:.2f} ms, of which {1e3 * plan.exposed_s:.2f} not behind the backward pass")
        lines.append(f"  scaling efficiency {plan.efficiency:.0%}")
    return lines


def _ending(plan: Plan) -> list[str]:
    ask, epochs = plan.ask, plan.ask.config.run.epochs
    gpus = f"{ask.world} GPU{'s' if ask.world > 1 else ''}"
    cost = f" and costs {plan.cost:,.2f} at {ask.price:g} a GPU and hour" if ask.price else ""
    waits = f"Waiting for the other GPUs takes {plan.exposed_s / plan.step_s:.0%} of a step; a" if ask.world > 1 else "A"
    return [
        f"The recipe, {epochs} epochs of {plan.steps // epochs:,} steps, takes {duration(plan.hours)} on {gpus}{cost}, "
        f"at {plan.images_s:,.0f} images/s.",
        f"{waits} GPU holds {_images(plan.largest[plan.shard])} at most.",
        "Training steps alone: reading the pictures must keep up, and evaluation and start-up are not counted.",
    ]


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def duration(hours: float) -> str:
    """3.25 -> "3.3 hours", 0.01 -> "36 seconds"."""
    for unit, size in (("days", 24.0), ("hours", 1.0), ("minutes", 1 / 60)):
        if hours >= 2 * size:
            return f"{hours / size:.1f} {unit}"
    return f"{hours * 3600:.0f} seconds"
