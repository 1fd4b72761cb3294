"""The service by HTTP: every kind answers as Python does, together as alone; what is wrong is a sentence."""

import asyncio
import base64
import json
from functools import partial
from io import BytesIO

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from PIL import Image

from gipi import api, catalog
from gipi.web.app import create
from gipi.web.settings import Settings
from gipi.web.strict import sentence
from oracle.service import png, service

MODELS = ("deepconvnet-mnist", "fcn-scenes", "faster-rcnn-scenes", "attend-scenes", "dcgan-mnist", "dqn-catch", "dqn-cartpole")


@pytest.fixture(scope="module")
def served():
    with service(models=MODELS) as found:
        yield found


@pytest.fixture(scope="module")
def scene():
    return png(api.load_boxes("scenes", "test").images[0].permute(1, 2, 0).numpy())


def opened(text):
    return Image.open(BytesIO(base64.b64decode(text)))


def ask(served, *requests):
    """Bodies and queries, all at once: the answers in order."""

    async def every():
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=served.url, timeout=30, limits=limits) as client:
            return await asyncio.gather(*(client.post(f"/v1/models/{path}/predict", **how) for path, how in requests))

    return asyncio.run(every())


def raw(body, **query):
    return {"content": body, "headers": {"content-type": "image/png"}, "params": query}


def close(ours, theirs):
    """JSON values that are equal, numbers to 1e-4."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            close(ours[key], theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs, strict=True):
            close(*pair)
    else:
        assert ours == (pytest.approx(theirs, abs=1e-4) if isinstance(theirs, float) else theirs)


def test_digits_asked_all_at_once_get_each_their_own_answer(served, digits):
    model = api.load("deepconvnet-mnist")
    answers = ask(served, *(("deepconvnet-mnist", raw(digit)) for digit in digits))
    labels = set()
    for digit, answer in zip(digits, answers, strict=True):
        alone = model.predict(digit).json()
        assert answer.status_code == 200
        close({**answer.json()["predictions"][0], "top": alone["top"]}, alone)  # equally unlikely classes may change places
        labels.add(alone["label"])
    assert len(labels) == 10
    sizes = served.client.get("/metrics").text
    assert float(sizes.split('gipi_batch_size_sum{model="deepconvnet-mnist"} ')[1].split()[0]) >= len(digits)
    assert float(sizes.split('gipi_batch_size_count{model="deepconvnet-mnist"} ')[1].split()[0]) < len(digits)


def test_many_pictures_in_json_are_answered_in_order(served, digits):
    encoded = [base64.b64encode(digit).decode() for digit in digits[:40]]
    answer = served.json("deepconvnet-mnist", {"images": encoded}).json()
    model = api.load("deepconvnet-mnist")
    assert [row["label"] for row in answer["predictions"]] == [model.predict(digit).label for digit in digits[:40]]
    assert (answer["model"], answer["kind"]) == ("deepconvnet-mnist", "classify")


def test_segmenter_gives_areas_and_the_mask(served, scene):
    answer = api.load("fcn-scenes").predict(scene)
    row = served.predict("fcn-scenes", scene, draw="true").json()["predictions"][0]
    assert np.array_equal(np.asarray(opened(row.pop("mask"))), answer.mask.numpy())
    assert np.array_equal(np.asarray(opened(row.pop("picture"))), np.asarray(answer.draw()))
    close(row, answer.json())


def test_detectors_asked_with_other_scores_do_not_disturb_each_other(served, scene):
    expected = {}
    for score in (0.05, 0.5, 0.9):
        model = api.load("faster-rcnn-scenes")
        model.threshold(score=score)
        expected[score] = model.predict(scene).json()
    assert len(expected[0.05]["boxes"]) > len(expected[0.9]["boxes"])
    order = [0.5, 0.05, 0.9, 0.5, 0.05, 0.5]
    answers = ask(served, *(("faster-rcnn-scenes", raw(scene, score=score)) for score in order))
    for score, answer in zip(order, answers, strict=True):
        close(answer.json()["predictions"][0], expected[score])
    close(served.predict("faster-rcnn-scenes", scene).json()["predictions"][0], expected[0.5])


def test_captioners_asked_in_other_ways_do_not_disturb_each_other(served, scene):
    ways = [
        {},
        {"beam": 2},
        {"beam": 4, "best": 3},
        {"temperature": 1.0, "seed": 3},
        {"temperature": 1.0, "seed": 4, "best": 2},
        {},
    ]
    answers = ask(served, *(("attend-scenes", raw(scene, **way)) for way in ways))
    for way, answer in zip(ways, answers, strict=True):
        model = api.load("attend-scenes")
        model.speak(**way)
        close(answer.json()["predictions"][0], model.predict(scene).json())


def test_generator_makes_the_images_of_its_seeds(served):
    made = api.load("dcgan-mnist").make(3, 7, "4")
    rows = served.json("dcgan-mnist", {"count": 3, "seed": 7, "class": "4"}).json()["predictions"]
    assert [(row["class"], row["seed"]) for row in rows] == [("4", 7), ("4", 8), ("4", 9)]
    for row, picture in zip(rows, made.pictures(), strict=True):
        assert np.array_equal(np.asarray(opened(row["picture"])), np.asarray(picture))


@pytest.mark.parametrize(("name", "flat"), [("dqn-catch", False), ("dqn-cartpole", True)])
def test_player_tells_the_value_of_each_action(served, name, flat):
    model = api.load(name)
    seen = torch.rand(5, *model.card.image, generator=torch.Generator().manual_seed(1)) * (1 if flat else 255)
    rows = served.json(name, {"observations": (seen.flatten(1) if flat else seen).tolist()}).json()["predictions"]
    for row, values in zip(rows, model.values(seen).tolist(), strict=True):
        close(row["values"], dict(zip(model.card.classes, values, strict=True)))
        assert row["action"] == model.card.classes[int(np.argmax(values))]


def test_models_are_listed_with_their_cards(served):
    rows = served.client.get("/v1/models").json()["models"]
    assert [row["name"] for row in rows] == list(MODELS)
    for row in rows:
        card = api.read_card(api.find_model(row["name"]))
        assert (row["kind"], row["net"], tuple(row["classes"]), tuple(row["image"])) == (
            card.kind,
            card.net,
            card.classes,
            card.image,
        )
        assert row["about"] == catalog.SHIPPED[row["name"]].about
        assert served.client.get(f"/v1/models/{row['name']}").json()["card"]["recipe"] == card.recipe


def test_an_address_is_taken_as_it_is(served):
    for path in ("/v1/models/", "/v1//models", "/V1/models", "/v1/models/deepconvnet-mnist/predict/"):
        assert served.client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "../deepconvnet-mnist",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "deepconvnet-mnist.safetensors",
        "deepconvnet-mnist%00",
        "é",
        "%ff",
    ],
)
def test_a_name_is_no_path(served, path):
    for answer in (
        served.client.get(f"/v1/models/{path}"),
        served.client.post(f"/v1/models/{path}/predict", content=b"x", headers={"content-type": "image/png"}),
    ):
        assert answer.status_code in (404, 405)
        assert answer.json()["detail"]


def test_an_unknown_name_gets_the_nearest(served):
    assert "did you mean 'deepconvnet-mnist'?" in served.predict("deepconvnet-mnis", b"").json()["detail"]


B64 = base64.b64encode(png(np.zeros((28, 28)))).decode()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"images": ' + b"[" * 200 + b"]" * 200 + b"}", "images.0: input should be a valid string"),
        (b'{"images": []}', "at least 1 item"),
        (b"[1]", "should be a valid dictionary"),
        (b'{"images": ["' + b"A" * 70_000 + b'?"]}', "no base64"),
        (b'{"images": ["\\ud800"]}', "images hold no base64"),
        (json.dumps({"images": [B64] * 65}).encode(), "at most 64 items"),
        (json.dumps({"images": [B64], "score": 0.5}).encode(), "score: deepconvnet-mnist does classify and has no such option"),
        (json.dumps({"images": [B64], "draw": 1}).encode(), "draw: input should be a valid boolean"),
        (json.dumps({"images": [B64], "what": 1}).encode(), "what: extra inputs are not permitted"),
        (json.dumps({"images": [B64], **{f"k{number}": 0 for number in range(50)}}).encode(), "51 keys"),
        (b'{"images": ["x"], "images": ["x"]}', "stands twice"),
        (b'{"images": ["x"], "score": NaN}', "NaN is no number"),
        (b'{"images": ["x"], "score": 1e999}', "score"),
        (b'{"images": ["x"], "beam": ' + b"9" * 5000 + b"}", "no JSON"),
        (json.dumps({"images": [B64]}).encode("utf-16"), "no JSON in UTF-8"),
        (json.dumps({"images": [base64.b64encode(b"hello").decode()]}).encode(), "is not a PNG, JPEG"),
        (json.dumps({"images": [B64]}).encode(), "digit"),
    ],
)
def test_bad_json_is_answered_with_a_sentence(served, body, told):
    answer = served.predict("deepconvnet-mnist", body, "application/json")
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("dcgan-mnist", {"count": 65}, "less than or equal to 64"),
        ("dcgan-mnist", {"count": True}, "count: input should be a valid integer"),
        ("dcgan-mnist", {"seed": 2**32}, "seed"),
        ("dcgan-mnist", {"class": "ten"}, "makes no such class"),
        ("dqn-catch", {"observations": [[1, 2]]}, "has the shape"),
        ("dqn-catch", {"observations": [[[1], [1, 2]]]}, "equal lengths"),
        ("dqn-cartpole", {"observations": [["1", "2", "3", "4"]]}, "something else than numbers"),
        ("dqn-cartpole", {"observations": [[True, False, True, True]]}, "something else than numbers"),
        ("dqn-cartpole", {"observations": [[None] * 4]}, "something else than numbers"),
        ("dqn-cartpole", {"observations": [[10**400, 0, 0, 0]]}, "something else than numbers"),
        ("dqn-cartpole", {"observations": [[1e39, 0, 0, 0]]}, "beyond 1e+30"),
    ],
)
def test_values_out_of_range_are_answered_with_a_sentence(served, name, value, told):
    answer = served.json(name, value)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["draw=1", "draw=yes", "draw=true&draw=true", "score=2", "score=nan", "what=1", "draw=", "%ff=1", "beam=1"]
)
def test_bad_options_are_answered_with_a_sentence(served, digits, query):
    answer = served.client.post(
        f"/v1/models/deepconvnet-mnist/predict?{query}", content=digits[0], headers={"content-type": "image/png"}
    )
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) > 10


def test_only_pictures_and_json_are_read(served, digits):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin-1"):
        answer = served.predict("deepconvnet-mnist", digits[0], kind)
        assert answer.status_code == 415, kind
    assert served.predict("dcgan-mnist", digits[0]).status_code == 415
    assert served.predict("deepconvnet-mnist", digits[0], "application/octet-stream").status_code == 200


def test_a_broken_picture_does_not_spoil_its_batch(served, digits):
    bodies = [digits[0], b"GIF89a", digits[1], digits[2][:-30], digits[3], png(np.zeros((28, 28)))]
    answers = ask(served, *(("deepconvnet-mnist", raw(body)) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 422, 200, 422, 200, 422]


def test_a_large_picture_is_read_as_in_python(served):
    large = np.full((900, 700), 255)
    large[200:700, 330:380] = 0
    row = served.predict("deepconvnet-mnist", png(large)).json()["predictions"][0]
    close(row, api.load("deepconvnet-mnist").predict(png(large)).json())


def test_the_words_of_a_fault_keep_their_capitals():
    assert sentence([{"loc": ("body", 0), "msg": "JSON decode error"}]) == "body.0: JSON decode error"
    assert sentence([{"loc": ("seed",), "msg": "Input should be"}]) == "seed: input should be"


def test_the_head_of_an_answer_can_be_had_alone(served):
    for path in ("/", "/healthz", "/v1/models", "/nowhere"):
        whole, head = served.client.get(path), served.client.head(path)
        assert head.status_code == whole.status_code, path
        assert head.content == b""
        assert head.headers["content-length"] == str(len(whole.content))
    assert served.client.head("/v1/models/dcgan-mnist").status_code == 200
    told = served.client.get("/metrics").text
    assert 'gipi_requests_total{model="dcgan-mnist",route="/v1/models/{name}",status="200"}' in told


def test_other_methods_are_told_what_is_allowed(served):
    answer = served.client.get("/v1/models/deepconvnet-mnist/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["detail"] == "GET does not go with /v1/models/deepconvnet-mnist/predict"


def test_the_documented_route_answers_as_the_short_way_past_it(digits):
    app = create(Settings(("digitnet-tiny-mnist",)))

    async def ask(way):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(way), base_url="http://localhost") as client:
            path, headers = "/v1/models/digitnet-tiny-mnist/predict", {"content-type": "image/png"}
            return (await client.post(path, content=digits[0], headers=headers)).json()

    async def both():
        return await ask(app), await ask(partial(FastAPI.__call__, app))

    short, documented = asyncio.run(both())
    assert short == documented
    assert short["kind"] == "classify"
    app.state.models["digitnet-tiny-mnist"].close()
