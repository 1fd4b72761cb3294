"""What gipi predict prints, for few classes and for many."""

import json
import re
from pathlib import Path

import pytest
import torch

from gipi.cli.predict import predict
from gipi.model import Card, save_model
from gipi.models.convstack import convstack
from gipi.preprocess import Preprocess

SEVEN = Path(__file__).parents[2] / "docs" / "images" / "seven.png"


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch):
    """What is predicted is compared with what float32 says, whatever this CPU is fastest in."""
    monkeypatch.setattr("gipi.engine.place.fast_bf16", lambda device: False)


def model(path: Path, chances: list[float]) -> Path:
    """A model file that gives class 0, 1, ... these probabilities, whatever it sees."""
    net = convstack(depth=1, width=1, classes=len(chances))
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.tensor(chances).log())
    card = Card(
        kind="classify",
        net="convstack",
        args={"depth": 1, "width": 1, "classes": len(chances)},
        classes=tuple(f"class {number}" for number in range(len(chances))),
        preprocess=Preprocess((1, 28, 28), "resize"),
    )
    save_model(path, net.state_dict(), card)
    return path


@pytest.mark.parametrize(
    ("chances", "says"),
    [
        ([0.2] * 5, "class 0 (20.0%)"),
        ([0.05, 0.5, *[0.05625] * 8], "class 1 (50.0%)"),
        (
            [0.03, 0.5, 0.2, 0.1, 0.07, 0.06, *[0.008] * 5],
            "class 1 (50.0%), class 2 (20.0%), class 3 (10.0%), class 4 (7.0%), class 5 (6.0%)",
        ),
        ([0.0011, 0.0009, 0.9, 0.098 - 8 * 0.0005, *[0.0005] * 8], "class 2 (90.0%), class 3 (9.4%), class 0 (0.1%)"),
        ([0.0005] * 2000, "class 0 (0.1%)"),
    ],
    ids=["5", "10", "11", "12", "2000"],
)
def test_text_names_the_answer_of_few_classes_and_the_likeliest_of_many(chances, says, tmp_path, capsys):
    assert predict([str(model(tmp_path / "m.safetensors", chances)), str(SEVEN)]) == 0
    assert capsys.readouterr().out == f"{SEVEN}: {says}\n"


@pytest.mark.parametrize("count", [3, 20, 21])
def test_json_has_the_five_likeliest_and_all_probabilities_of_up_to_20_classes(count, tmp_path, capsys):
    whole = count * (count + 1) / 2
    chances = [(number + 1) / whole for number in range(count)]
    assert predict([str(model(tmp_path / "m.safetensors", chances)), str(SEVEN), "--json"]) == 0
    [answer] = json.loads(capsys.readouterr().out)
    assert answer["label"] == f"class {count - 1}"
    assert answer["score"] == pytest.approx(count / whole)
    best = [(number, count / whole - place / whole) for place, number in enumerate(range(count)[::-1])][:5]
    assert [(top["label"], pytest.approx(top["score"])) for top in answer["top"]] == [(f"class {n}", score) for n, score in best]
    assert set(answer) == {"file", "label", "score", "top", *(["probabilities"] if count <= 20 else [])}
    if count <= 20:
        assert answer["probabilities"] == pytest.approx({f"class {n}": chance for n, chance in enumerate(chances)})


def test_answer_of_a_vote_stands_first_though_another_class_is_likelier(tmp_path, capsys):
    rest = [0.01] * 10
    several = [[0.5, 0.4, *rest], [0.5, 0.4, *rest], [0.05, 0.85, *rest]]
    models = [str(model(tmp_path / f"{number}.safetensors", chances)) for number, chances in enumerate(several)]
    assert predict([*models, str(SEVEN)]) == 0
    assert capsys.readouterr().out.startswith(f"{SEVEN}: class 1 (55.0%), class 0 (35.0%), class 2 (1.0%)")
    assert predict([*models, str(SEVEN), "--vote"]) == 0
    labels = re.findall(r"class \d+", capsys.readouterr().out)
    assert labels == ["class 0", "class 1", "class 2", "class 3", "class 4"]
