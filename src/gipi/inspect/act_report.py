"""The report of a player's training: how well it plays and beside whom, how it got there, whether Q came true, a game of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gipi.envs.scores import Reference, normalised
from gipi.inspect import act_figures
from gipi.inspect.figures import png_bytes
from gipi.inspect.layers import fed, layer_table
from gipi.inspect.report import Section, Table, write_report
from gipi.inspect.training import facts, last_sections, title
from gipi.model import Card
from gipi.runs import Run

SOURCE = "Wang et al., arXiv 1511.06581, without sticky actions"
COURSE = (
    "Decisions count from the beginning of all play, which is random before learning begins. The band is the spread over the "
    "validation's episodes; the star is of the weights that are kept, those of the best validation."
)
NEAR = 0.02  # of what came true: a difference that is none


def write_act_report(
    run: Run,
    net: nn.Module,
    card: Card,
    *,
    test: Mapping[str, float],
    returns: Sequence[float],
    lengths: Sequence[float],
    protocol: str,
    reference: Reference | None,
    film: bytes | None,
    saliency: bytes | None,
) -> None:
    """Write report.html into the run folder.

    test: "return", "spread", "length" of the test episodes, and "clipped", "random", "predicted" with "realised" if there are.
    returns, lengths: of each of these episodes; lengths in decisions.  protocol: how they were played, in a sentence.
    reference: published scores, if there are any.  film: a GIF of a game's beginning.  saliency: a PNG of which pixels move Q.
    """
    table, config = layer_table(net, fed(net, card.image)), run.config()
    rows = act_figures.measured(run.rows(), config["act"], config["data"]["batch"])
    sections = [
        Section("Score", protocol, table=score_table(test, returns, reference)),
        Section("Course of the training", COURSE, png=png_bytes(act_figures.curves(rows))),
        *(_foreseen(rows, test, config["act"]["test_epsilon"]) if "predicted" in test else []),
        Section(
            "Returns of the test episodes", "The dashed line is the mean.", png=png_bytes(act_figures.episodes(returns, lengths))
        ),
        *([Section("The game", "How a game begins.", png=film)] if film else []),
        *([Section(f"Which {'numbers' if table.image[1:] == (1, 1) else 'pixels'} move Q", png=saliency)] if saliency else []),
        *last_sections(run, table),
    ]
    summary = [
        ("test return", f"{test['return']:,.2f}"),
        ("spread", f"{test['spread']:,.2f}"),
        *([("random play", f"{test['random']:,.2f}")] if "random" in test else []),
        *([("human-normalised", _share(normalised(test["return"], reference)))] if reference else []),
        ("test episodes", f"{len(returns):,}"),
        *facts(run, card, table),
    ]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def score_table(test: Mapping[str, float], returns: Sequence[float], reference: Reference | None) -> Table:
    """(header, rows): each number of the test episodes, those of others beside whom they are seen, and what it says."""
    measured = [
        ("mean return", test["return"], "of the test episodes"),
        ("spread", test["spread"], "standard deviation over the episodes"),
        ("least", min(returns), "of the worst episode"),
        ("most", max(returns), "of the best episode"),
    ]
    if "clipped" in test:
        measured.append(("clipped", test["clipped"], "mean return if of each reward the sign alone counts"))
    if "random" in test:
        measured.append(("random play", test["random"], "mean return of random decisions, measured here"))
    if reference:
        measured.append(("random play, published", reference.random, SOURCE))
        measured.append(("human, published", reference.human, SOURCE))
    rows = [[name, f"{value:,.2f}", meaning] for name, value, meaning in measured]
    if reference:
        rows.append(
            ["human-normalised", _share(normalised(test["return"], reference)), "published random play is 0 %, the human 100 %"]
        )
    length = ["length", f"{test['length']:,.0f}", "mean decisions of an episode"]
    return ["", "value", "what it says"], [*rows, length, ["episodes", f"{len(returns):,}", "of the test"]]


def drifted(predicted: float, realised: float, epsilon: float) -> str:
    """Whether Q promises too much, and by how much. epsilon: share of random decisions in the episodes, which it cannot know."""
    over = predicted - realised
    share = f", {100 * abs(over / realised):.0f} % of it" if realised else ""
    if abs(over) <= NEAR * abs(realised):
        verdict = "Q is right to within 2 %."
    elif over < 0:
        verdict = f"Q underestimates what comes true by {-over:,.3g}{share}."
    else:
        due = "; a little of it is owed to their random decisions, which it cannot know" if epsilon else ""
        verdict = f"Q overestimates what comes true by {over:,.3g}{share}{due}."
    return (
        f"Over the states of the test episodes, the greatest Q promises {predicted:,.3g} on average, and {realised:,.3g} came "
        f"true: rewards as the net learns from them, discounted. {verdict}"
    )


def _foreseen(rows: Sequence[Mapping[str, Any]], test: Mapping[str, float], epsilon: float) -> list[Section]:
    text = drifted(test["predicted"], test["realised"], epsilon)
    return [Section("Q against what came true", text, png=png_bytes(act_figures.drift(rows)))]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
