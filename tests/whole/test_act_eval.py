"""gipi eval of a player: whose environment it plays, what is asked of it, and what is said of the games."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gipi import api
from gipi.cli.use import evaluate
from gipi.envs.scores import Reference
from gipi.ops.metrics import Mean


class Evaluation(NamedTuple):
    """What `api.evaluate` gives of a player, as far as it is told."""

    metrics: dict[str, Mean]
    games: Any
    epsilon: float
    reference: Reference | None


METRICS = {"return": 19.8, "spread": 1.234, "length": 1700.4, "clipped": 19.5}
METRICS |= {"predicted": 2.31, "realised": 2.05, "drift": 0.26, "random": -20.4}
PUBLISHED = Reference(-20.7, 14.6)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked for; to be answered with `asked["answer"]`. The models are of a player of Pong and of no player."""
    seen: dict[str, Any] = {"answer": made()}

    def answer(model: str, data: str, **given: Any) -> Evaluation:
        seen.update({"model": model, "data": data, **given})
        return seen["answer"]

    monkeypatch.setattr(api, "ActEvaluation", Evaluation, raising=False)
    monkeypatch.setattr(api, "evaluate", answer)
    monkeypatch.setattr(api, "find_model", lambda model: model)
    environments = {"pong": "PongNoFrameskip-v4", "digits": ""}
    monkeypatch.setattr(api, "read_card", lambda model: SimpleNamespace(environment=environments[model]))
    return seen


def made(reference: Reference | None = PUBLISHED, without: tuple[str, ...] = ()) -> Evaluation:
    metrics = {name: Mean(value, 1) for name, value in METRICS.items() if name not in without}
    return Evaluation(metrics, SimpleNamespace(returns=[18.0, 21.0]), 0.05, reference)


def test_a_player_is_told_with_its_spread_and_beside_others(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["pong"]) == 0
    assert capsys.readouterr().out == (
        "pong on PongNoFrameskip-v4 (2 episodes, 5 % random moves): return 19.80 ± 1.23, length 1,700, "
        "return of clipped rewards 19.50, Q 2.310, what came true of it 2.050, drift of Q +0.260\n"
        "random play -20.40; published: random play -20.70, a human 14.60\n"
    )
    asked["answer"] = made(None, without=("predicted", "realised", "drift"))
    evaluate(["pong"])
    assert capsys.readouterr().out.endswith("return of clipped rewards 19.50\nrandom play -20.40\n")


def test_what_is_asked_for_arrives_and_the_environment_is_the_players_own(asked: dict[str, Any]) -> None:
    evaluate(["pong"])
    assert (asked["model"], asked["data"], asked["episodes"], asked["epsilon"]) == ("pong", "PongNoFrameskip-v4", None, None)
    evaluate(["pong", "--data", "ALE/Pong-v5", "--episodes", "7", "--epsilon", "0.01"])
    assert (asked["data"], asked["episodes"], asked["epsilon"]) == ("ALE/Pong-v5", 7, 0.01)
    evaluate(["digits"])
    assert asked["data"] == "mnist"


def test_json_of_a_player(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(["pong", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        **METRICS, "count": 2, "data": "PongNoFrameskip-v4", "epsilon": 0.05, "returns": [18.0, 21.0], "model": "pong",
        "published": {"random": -20.7, "human": 14.6},
    }  # fmt: skip
    asked["answer"] = made(None)
    evaluate(["pong", "--json"])
    assert json.loads(capsys.readouterr().out)["published"] is None
