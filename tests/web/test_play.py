"""The page's routes: what `live` gives, as JSON; and the page's own files."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gipi import live
from gipi.inspect.maps import strip
from oracle.service import service

NAMES = ("deepconvnet-mnist", "fcn-scenes", "attend-scenes", "dcgan-mnist", "dqn-catch")
STATIC = Path(live.__file__).parent / "web" / "static"


@pytest.fixture(scope="module")
def served():
    with service(models=NAMES) as found:
        yield found


@pytest.fixture(scope="module")
def models(served):
    return {name: each.model for name, each in served.app.state.models.items()}


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_the_page_comes_with_a_strict_policy(served) -> None:
    page = served.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
    for path in STATIC.iterdir():
        file = served.client.get(f"/static/{path.name}")
        assert file.content == path.read_bytes()
        assert file.headers["content-type"].startswith(kinds[path.suffix])


@pytest.mark.parametrize("path", ["nothing.js", "..%2fplay.py", "%2e%2e/play.py", "%2fetc%2fpasswd", "a%00b", "play"])
def test_no_other_file_is_reached(served, path: str) -> None:
    answer = served.client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)


def test_layers_are_the_table_and_in_the_schema(served, models) -> None:
    for name in NAMES:
        assert served.client.get(f"/v1/models/{name}/layers").json() == json.loads(json.dumps(live.table(models[name]).json()))
    paths = served.client.get("/openapi.json").json()["paths"]
    assert "/v1/models/{name}/layers" in paths
    assert not [path for path in paths if path.startswith(("/play", "/static")) or path == "/"]
    missing = served.client.get("/v1/models/fcn-scene/layers")
    assert missing.status_code == 404
    assert "did you mean 'fcn-scenes'" in missing.json()["detail"]


@pytest.mark.parametrize("name", NAMES)
def test_about(served, models, name: str) -> None:
    assert served.client.get(f"/play/{name}").json() == live.about(models[name])


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_look_shows_what_live_sees(served, models, name: str) -> None:
    example = served.client.get(f"/play/{name}/example", params={"number": 4})
    assert example.headers["content-type"] == "image/png"
    look = served.client.post(f"/play/{name}/look", content=example.content).json()
    seen = live.look(models[name], example.content)
    assert look["prediction"] == seen.answer.json()
    assert np.array_equal(decoded(look["picture"]), np.asarray(seen.answer.draw()))
    assert np.array_equal(decoded(look["framed"]), np.asarray(seen.framed))
    assert [layer["name"] for layer in look["layers"]] == [stage.name for stage in seen.stages]
    assert [layer["shape"] for layer in look["layers"]] == [list(stage.shape) for stage in seen.stages]
    for layer, stage in zip(look["layers"], seen.stages, strict=True):
        assert np.array_equal(decoded(layer["picture"]), np.asarray(stage.picture))
    assert bool(look["words"]) == (name == "attend-scenes")
    assert strip.__module__ == "gipi.inspect.maps"


def test_noise_is_made_and_walked(served, models) -> None:
    asked = {"seed": 3, "class": "2", "sliders": [0, 1.5], "count": 4}
    made = served.client.post("/play/dcgan-mnist/make", json=asked).json()
    expected = live.make(models["dcgan-mnist"], seed=3, label="2", sliders=(0, 1.5), count=4)
    assert np.array_equal(decoded(made["picture"]), np.asarray(expected.draw()))
    walk = served.client.post("/play/dcgan-mnist/walk", json={"seeds": [1, 2], "count": 1}).json()
    frames = live.walk(models["dcgan-mnist"], (1, 2), count=1).frames
    assert walk["each_ms"] == 50
    assert [decoded(frame).tobytes() for frame in walk["frames"]] == [np.asarray(frame).tobytes() for frame in frames]


def test_a_game_has_frames_and_values(served, models) -> None:
    played = served.client.post("/play/dqn-catch/game", json={"seed": 2, "epsilon": 0.1, "steps": 5}).json()
    reel, drawn = live.game(models["dqn-catch"], seed=2, epsilon=0.1, steps=5)
    assert (played["total"], played["over"], played["each_ms"]) == (reel.total, reel.over, reel.each_ms)
    assert played["actions"] == ["left", "stay", "right"]
    assert len(played["frames"]) == len(drawn) == 6
    for frame, kept, picture in zip(played["frames"], drawn.kept, drawn, strict=True):
        assert np.array_equal(decoded(frame["picture"]), np.asarray(picture))
        assert frame["values"] == pytest.approx(kept.values.tolist())
        assert (frame["action"], frame["chance"], frame["total"], frame["step"]) == (
            kept.action,
            kept.chance,
            kept.total,
            kept.step,
        )


@pytest.mark.parametrize(
    ("path", "body", "what"),
    [
        ("deepconvnet-mnist/look", b"", "empty"),
        ("deepconvnet-mnist/look", b"nonsense", "not a PNG"),
        ("dcgan-mnist/make", {"seed": -1}, "seed"),
        ("dcgan-mnist/make", {"seed": "1"}, "seed"),
        ("dcgan-mnist/make", {"sliders": [9]}, "from -4 to 4"),
        ("dcgan-mnist/make", {"count": 65}, "count"),
        ("dcgan-mnist/make", {"colour": "red"}, "colour"),
        ("dcgan-mnist/make", {"class": "eleven"}, "no such class"),
        ("dcgan-mnist/walk", {"seeds": [1]}, "seeds"),
        ("dqn-catch/make", {}, "noise is for generators"),
        ("dqn-catch/game", {"epsilon": 2}, "epsilon"),
        ("dqn-catch/game", {"steps": 501}, "steps"),
        ("fcn-scenes/game", {}, "for players"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_a_sentence(served, path: str, body: bytes | dict, what: str) -> None:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = served.client.post(f"/play/{path}", **sent)
    assert answer.status_code == 422
    assert what in answer.json()["detail"]


def test_unknown_models_and_wrong_numbers(served) -> None:
    assert served.client.post("/play/nobody/look", content=b"x").status_code == 404
    assert served.client.get("/play/nobody").status_code == 404
    assert served.client.get("/play/fcn-scenes/example", params={"number": -1}).status_code == 422
    assert served.client.get("/play/dqn-catch/example").status_code == 422


def test_the_page_is_free_and_the_rest_wants_the_token() -> None:
    with service(models=("dqn-catch",), token="open-sesame") as served:
        assert served.client.get("/").status_code == served.client.get("/static/play.js").status_code == 200
        for path in ("/play/dqn-catch", "/v1/models/dqn-catch/layers"):
            assert served.client.get(path).status_code == 401
            assert served.client.get(path, headers={"Authorization": "Bearer open-sesame"}).status_code == 200


# ---- the files themselves


def test_every_word_is_there_in_both_languages() -> None:
    text = (STATIC / "words.js").read_text(encoding="utf-8")
    table = text[text.index("const WORDS") : text.index("const ABOUT_KO")]
    words = dict(re.findall(r'^  (\w+): \[\s*("(?:[^"]|\\")*",\s*"(?:[^"]|\\")*"),?\s*\]', table, re.MULTILINE))
    assert len(words) == len(re.findall(r"^  \w+: \[", table, re.MULTILINE)) > 80
    for key, pair in words.items():
        english, korean = re.findall(r'"((?:[^"]|\\")*)"', pair)
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", korean)), key
        assert re.search("[가-힣]", korean) or key in {"score_ap", "score_bleu4", "spoken_text"}, key
    sources = [path.read_text(encoding="utf-8") for path in STATIC.iterdir() if path.suffix in (".js", ".html")]
    used = set()
    for source in sources:
        used |= set(re.findall(r'\b(?:word|label|data-word|data-label)[:=]\s*"(\w+)"', source))
        used |= set(re.findall(r'\b(?:button|say|words)\((?:[\w.]+(?:\("\w+"\))?, )?"(\w+)"', source))
    assert len(used) > 50
    assert used <= set(words), used - set(words)
    text = "".join(source for source in sources if "const WORDS" not in source)
    made = ("kind_", "score_", "waits_")  # whose ends are names of kinds, scores and inputs
    assert not [key for key in words if f'"{key}"' not in text and not key.startswith(made) and key != "title"]


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_files_are_short_and_ask_nobody_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 300
    hosts = re.findall(r"(?:https?:)?//[a-z][\w.]*\.[a-z]+", re.sub(r"http://www\.w3\.org/\S*", "", text))
    assert not hosts
    assert "innerHTML" not in text
    assert "eval(" not in text
    if path.suffix == ".html":
        assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\bsrc=)", text)
