"""Weights trained before: published ones from a local server, a folder or the cache, models of ours, state dicts of others."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gipi.engine.place import decide_place
from gipi.errors import ConfigError, DataError, GipiWarning, WeightsError
from gipi.model import Card, find_model, load_model, save_model
from gipi.models.kinds import build_net
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.published import PUBLISHED, Published
from gipi.tasks import imagenet
from gipi.tasks.classifier import Classifier
from gipi.tasks.pretrained import adapt_channels, for_channels, imagenet_classes, pretrained

NET = "squeezenet1-0"
ARGS = {"width": 0.125}  # a published net that is small enough for tests
REAL = Path(os.environ.get("GIPI_DATA", "")) / "imagenet_weights"
SHIPPED = "digitnet-tiny-mnist"


def weights(net: str = NET, seed: int = 0, **args: Any) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {key: value.detach() for key, value in build_net(net, args).state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def pth(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Answers with `body`, of which it promises `length` bytes; counts requests."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.body, self.length, self.requests = body, len(body), 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        self.wfile.write(self.server.body)


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(pth(weights(**ARGS)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def entry(server: Server, monkeypatch: pytest.MonkeyPatch) -> Published:
    """What the server has, as the only published file."""
    sha256 = hashlib.sha256(server.body).hexdigest()[:8]
    entry = Published(
        net=NET,
        label="imagenet",
        file=f"small-{sha256}.pth",
        url=f"http://127.0.0.1:{server.server_address[1]}/small-{sha256}.pth",
        sha256=sha256,
        limit=1 << 20,
        top1=50.5,
        top5=75.25,
        source="a test",
        args=ARGS,
        preprocess=Preprocess((3, 224, 224), "crop", 232, (0.5,), (0.25,)),
    )
    table(monkeypatch, entry)
    return entry


def table(monkeypatch: pytest.MonkeyPatch, *entries: Published) -> None:
    monkeypatch.setattr(imagenet, "PUBLISHED", entries)


def cached() -> list[str]:
    folder = Path(os.environ["GIPI_CACHE"]) / "weights"
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def put(data: bytes, name: str) -> Path:
    """A file in the data folder of published weights."""
    path = Path(os.environ["GIPI_DATA"]) / "imagenet_weights" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


# --- published weights


def test_download_convert_and_never_again(entry: Published, server: Server):
    got, card = pretrained("imagenet", NET)
    assert same(got, weights(**ARGS))
    assert (card.kind, card.net, card.classes) == ("classify", NET, imagenet_classes())
    assert card.args == {"width": 0.125, "classes": 1000, "channels": 3}
    assert card.preprocess == entry.preprocess
    assert card.parents == (entry.url,)
    assert card.metrics == {"published_top1": 50.5, "published_top5": 75.25}
    assert cached() == [f"small-{entry.sha256}.safetensors"], "the .pth is taken away"
    server.shutdown()
    server.server_close()
    again, card_again = pretrained("imagenet", NET)
    assert same(again, got)
    assert card_again == card
    assert server.requests == 1


def test_the_copy_is_a_model_that_predicts(entry: Published):
    pretrained("imagenet", NET)
    path = Path(os.environ["GIPI_CACHE"]) / "weights" / f"small-{entry.sha256}.safetensors"
    model = Classifier.load(path, decide_place(device="cpu", precision="fp32"))
    assert model.logits(torch.zeros(1, 3, 224, 224, dtype=torch.uint8)).shape == (1, 1000)
    got, card = pretrained(str(path), "resnet18")
    assert (card.net, card) == (NET, model.card)
    assert same(got, weights(**ARGS))


def test_random_numbers_are_the_same_after_a_conversion(entry: Published):
    state = torch.get_rng_state()
    pretrained("imagenet", NET)
    torch.set_rng_state(state)
    put(pth(weights("digitnet-tiny")), "other.pth")
    with pytest.warns(GipiWarning):
        pretrained(str(Path(os.environ["GIPI_DATA"]) / "imagenet_weights" / "other.pth"), "digitnet-tiny")
    torch.set_rng_state(state)
    pretrained("imagenet", NET)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["digits", "page", "short", "cut", "empty", "long"])
def test_a_bad_download_leaves_nothing_and_is_tried_again(kind: str, entry: Published, server: Server):
    good = server.body
    server.body = {
        "digits": pth(weights(seed=1, **ARGS)),
        "page": b"<!DOCTYPE html><html>Please log in</html>",
        "short": good[:-1000],
        "cut": good[:-1000],
        "empty": b"",
        "long": good + bytes(1 << 20),
    }[kind]
    server.length = len(good) if kind == "short" else len(server.body)
    reason = {"page": "HTML page", "short": "ended before its last 1,000 bytes", "long": "sends more than"}.get(kind, "SHA-256")
    with pytest.raises(DataError, match=rf"{entry.url}: .*({reason})"):
        pretrained("imagenet", NET)
    assert cached() == []
    server.body, server.length = good, len(good)
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS))


def test_without_a_network_the_message_says_what_to_put_where(entry: Published, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    away = replace(entry, url=f"http://127.0.0.1:{port}/{entry.file}")
    table(monkeypatch, away)
    with pytest.raises(DataError) as failure:
        pretrained("imagenet", NET)
    folders = [
        str(Path(os.environ["GIPI_DATA"]) / "imagenet_weights"),
        str(Path(os.environ["GIPI_CACHE"]) / "data" / "imagenet_weights"),
    ]
    for part in ("imagenet weights of squeezenet1-0", "refused", f"Fetch {away.url}", *folders):
        assert part in str(failure.value)
    last = Path(str(failure.value).rpartition("into ")[2])
    last.mkdir(parents=True)
    (last / entry.file).write_bytes(pth(weights(**ARGS)))  # as the message says
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS))
    assert (last / entry.file).is_file(), "what you put there stays"


def test_a_file_found_is_not_downloaded(entry: Published, server: Server):
    path = put(server.body, entry.file)
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS))
    assert server.requests == 0
    path.unlink()
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS)), "the cache has it now"
    assert server.requests == 0


def test_a_file_found_with_other_content_is_not_taken_and_named(
    entry: Published, server: Server, monkeypatch: pytest.MonkeyPatch
):
    path = put(pth(weights(seed=1, **ARGS)), entry.file)
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS))
    assert server.requests == 1
    other = replace(entry, file="other.pth", url=entry.url.replace("http", "ftp"))
    table(monkeypatch, other)
    broken = put(b"hello", "other.pth")
    with pytest.raises(DataError, match=rf"{broken}: content has SHA-256 2cf24.*, expected {entry.sha256}"):
        pretrained("imagenet", NET)
    assert path.is_file()
    assert broken.is_file()


def test_a_second_form_is_taken_where_it_is_found(entry: Published, server: Server, monkeypatch: pytest.MonkeyPatch):
    path = put(b"", "local.safetensors")
    save_file({key: value.half() for key, value in weights(seed=1, **ARGS).items()}, path, metadata={"source": "elsewhere"})
    local = replace(entry, file=path.name, url="", sha256=hashlib.sha256(path.read_bytes()).hexdigest(), top1=40.0)
    table(monkeypatch, entry, local)
    got, card = pretrained("imagenet", NET)
    assert same(got, {key: value.half().float() for key, value in weights(seed=1, **ARGS).items()})
    assert card.parents == ("local.safetensors",)
    assert card.metrics["published_top1"] == 40.0
    assert server.requests == 0


def test_a_broken_copy_is_made_anew(entry: Published, server: Server):
    pretrained("imagenet", NET)
    path = Path(os.environ["GIPI_CACHE"]) / "weights" / cached()[0]
    path.write_bytes(path.read_bytes()[:1000])
    assert same(pretrained("imagenet", NET)[0], weights(**ARGS))
    assert server.requests == 2
    assert load_model(path)[1].net == NET


def test_what_is_published_but_does_not_fit_is_named_and_not_kept(
    entry: Published, server: Server, monkeypatch: pytest.MonkeyPatch
):
    table(monkeypatch, replace(entry, args={"width": 0.25}))
    with pytest.raises(WeightsError, match=r"features\.0\.weight has shape \(12, 3, 7, 7\), the net wants \(24, 3, 7, 7\)"):
        pretrained("imagenet", NET)
    assert [name for name in cached() if name.endswith("safetensors")] == []


@pytest.mark.parametrize(("label", "net", "named"), [("imagenet", "resnet81", "resnet18"), ("imagenet-v2", NET, "resnet50")])
def test_nets_without_such_weights(label: str, net: str, named: str):
    with pytest.raises(ConfigError, match=rf"no {label} weights for net {net!r}.*allowed: .*{named}"):
        pretrained(label, net)


def test_a_cache_that_cannot_be_made(entry: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("where the folder should be")
    monkeypatch.setenv("GIPI_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"weights cannot be kept in .*; set GIPI_CACHE"):
        pretrained("imagenet", NET)


def test_two_at_once_download_once(entry: Published, server: Server):
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(pretrained("imagenet", NET)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(same(got, weights(**ARGS)) for got in results)
    assert server.requests == 1 or os.name == "nt"


# --- models of ours


def test_a_model_of_ours_brings_its_net_and_card(tmp_path: Path):
    for source in (SHIPPED, str(find_model(SHIPPED))):
        got, card = pretrained(source, "resnet18")
        want, want_card = load_model(find_model(SHIPPED))
        assert same(got, want)
        assert card == want_card
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").write_bytes(find_model(SHIPPED).read_bytes())
    assert pretrained(str(run), NET)[1].net == "digitnet-tiny"


def test_an_ensemble_is_no_start(tmp_path: Path):
    got, card = load_model(find_model(SHIPPED))
    both = {f"nets.{number}.{key}": value.clone() for number in range(2) for key, value in got.items()}
    save_model(tmp_path / "two.safetensors", both, replace(card, members=2))
    with pytest.raises(ConfigError, match="ensemble of 2 nets: start from the model of one"):
        pretrained(str(tmp_path / "two.safetensors"), "digitnet-tiny")


@pytest.mark.parametrize("source", ["nowhere.pth", "imagenett", "", "a\0b"])
def test_what_is_not_there(source: str):
    with pytest.raises(WeightsError, match="weights published for ImageNet are named imagenet and imagenet-v2"):
        pretrained(source, NET)


# --- state dicts of others


def from_file(path: Path, net: str) -> tuple[dict[str, Tensor], Card]:
    with pytest.warns(GipiWarning, match=rf"{path.name} does not say how pictures are made ready"):
        return pretrained(str(path), net)


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.safetensors"])
def test_classes_and_channels_are_read_off_the_shapes(name: str, tmp_path: Path):
    want, path = weights(classes=7, channels=4), tmp_path / name
    save_file(want, path) if path.suffix == ".safetensors" else path.write_bytes(pth({"state_dict": want}))
    got, card = from_file(path, NET)
    assert same(got, want)
    assert card.args == {"classes": 7, "channels": 4}
    assert card.classes == ("0", "1", "2", "3", "4", "5", "6")
    assert card.preprocess == Preprocess((4, 224, 224), "crop", 256, (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,))
    assert card.parents == (name,)
    assert card.metrics == {}
    build_net(card.net, card.args).load_state_dict(got)


def test_a_thousand_classes_are_those_of_imagenet(tmp_path: Path):
    path = tmp_path / "net.pth"
    path.write_bytes(pth(weights()))
    _, card = from_file(path, NET)
    assert card.classes == imagenet_classes()
    assert card.preprocess == Preprocess((3, 224, 224), "crop", 256, IMAGENET_MEAN, IMAGENET_STD)


def test_nets_of_a_fixed_size_get_pictures_of_that_size(tmp_path: Path):
    path = tmp_path / "net.pth"
    path.write_bytes(pth(weights("digitnet-tiny", classes=3)))
    got, card = from_file(path, "digitnet-tiny")
    assert same(got, weights("digitnet-tiny", classes=3))
    assert card.preprocess == Preprocess((1, 28, 28), "resize")
    assert card.classes == ("0", "1", "2")


def test_a_published_file_is_known_by_its_content(entry: Published, server: Server, tmp_path: Path):
    path = tmp_path / "renamed.pt"
    path.write_bytes(server.body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, card = pretrained(str(path), "resnet18")
    assert same(got, weights(**ARGS))
    assert (card.net, card.preprocess, card.parents) == (NET, entry.preprocess, (entry.url,))


def test_what_does_not_fit_is_named_by_key(tmp_path: Path):
    path = tmp_path / "net.pth"
    changed = weights(classes=7)
    del changed["features.0.bias"]
    changed["features.3.squeeze.bias"] = torch.zeros(3)
    changed["extra"] = torch.zeros(1)
    path.write_bytes(pth(changed))
    with pytest.raises(WeightsError) as failure:
        pretrained(str(path), NET)
    for part in ("missing features.0.bias", "unexpected extra", "features.3.squeeze.bias has shape (3,)"):
        assert part in str(failure.value)
    assert "classifier" not in str(failure.value)


@pytest.mark.parametrize(
    "head", [None, torch.tensor(1.0), torch.zeros(5), torch.zeros(10**6, 1, 1, 1)], ids=["none", "0d", "1d", "thin"]
)
def test_a_head_that_is_missing_or_mis_shaped_is_named(head: Tensor | None, tmp_path: Path):
    path, changed = tmp_path / "net.pth", weights()
    del changed["classifier.1.weight"]
    path.write_bytes(pth(changed if head is None else changed | {"classifier.1.weight": head}))
    with pytest.raises(WeightsError, match=r"missing classifier\.1\.weight|classifier\.1\.weight has shape"):
        pretrained(str(path), NET)


def test_a_file_for_another_net_or_none(tmp_path: Path):
    path = tmp_path / "net.pth"
    path.write_bytes(pth(weights()))
    with pytest.raises(WeightsError, match=r"does not fit the net: missing .* and \d+ more"):
        pretrained(str(path), "digitnet-tiny")
    with pytest.raises(ConfigError, match="no net 'squeezenet'; did you mean 'squeezenet1-0'"):
        pretrained(str(path), "squeezenet")
    path.write_bytes(b"hello")
    with pytest.raises(WeightsError, match=r"net\.pth is no readable file of weights"):
        pretrained(str(path), NET)


# --- other numbers of channels


@torch.no_grad()
@pytest.mark.parametrize(("old", "new"), [(3, 1), (1, 3), (3, 4), (4, 2), (1, 5)])
@pytest.mark.parametrize("net", ["resnet10", NET, "googlenet", "mobilenet-v2", "digitnet-tiny"])
def test_an_image_that_is_grey_does_what_it_did(net: str, old: int, new: int):
    """The same plane in each of the old channels, and in each of the new ones."""
    args = {"classes": 3} | ({} if net == "digitnet-tiny" else {"width": 0.125, "stem": "small"})
    torch.manual_seed(0)
    before, after = (build_net(net, {**args, "channels": channels}).double().eval() for channels in (old, new))
    with pytest.warns(GipiWarning, match=f"trained on {old}-channel images and gets {new}-channel ones: "):
        adapted = adapt_channels(before.state_dict(), after)
    assert [key for key, value in before.state_dict().items() if adapted[key].shape != value.shape] == list(adapted)[:1]
    after.load_state_dict(adapted)
    grey = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(after(grey.expand(-1, new, -1, -1)), before(grey.expand(-1, old, -1, -1)))


def test_to_grey_the_weights_are_the_sum():
    net, given = build_net("resnet10", {"width": 0.125, "channels": 1}), weights("resnet10", width=0.125)
    with pytest.warns(GipiWarning, match=r"3-channel images and gets 1-channel ones: the weights of conv1 were added up$"):
        adapted = adapt_channels(given, net)
    first = given["conv1.weight"]
    torch.testing.assert_close(adapted["conv1.weight"], (first[:, 0] + first[:, 1] + first[:, 2])[:, None])
    assert all(value is given[key] for key, value in adapted.items() if key != "conv1.weight")
    assert first.shape[1] == 3, "what was given is as it was"


def test_to_more_channels_the_mean_is_repeated():
    net, given = build_net("resnet10", {"width": 0.125, "channels": 5}), weights("resnet10", width=0.125)
    with pytest.warns(GipiWarning, match=r"replaced by their mean times 3/5$"):
        adapted = adapt_channels(given, net)["conv1.weight"]
    assert adapted.shape == (8, 5, 7, 7)
    for channel in range(5):
        torch.testing.assert_close(adapted[:, channel], given["conv1.weight"].mean(1) * 3 / 5)


def test_the_same_channels_are_left_alone():
    net, given = build_net("resnet10", {"width": 0.125}), weights("resnet10", width=0.125)
    for some in (given, {}, {"conv1.weight": torch.zeros(3)}):
        adapted = adapt_channels(some, net)
        assert adapted is not some
        assert adapted.keys() == some.keys()
        assert all(adapted[key] is some[key] for key in some)


def test_means_for_other_channels():
    assert for_channels((0.1, 0.2, 0.3), 3) == (0.1, 0.2, 0.3)
    assert for_channels((0.5,), 4) == (0.5,)
    assert for_channels((0.1, 0.2, 0.3), 1) == (pytest.approx(0.2),)


# --- the classes, and real files


def test_classes_are_a_thousand_names_that_differ():
    names = imagenet_classes()
    assert len(names) == 1000
    assert len({name.lower() for name in names}) == 1000
    assert all(name == name.strip() and name.isprintable() and name for name in names)
    assert (names[0], names[134], names[281], names[517], names[999]) == (
        "tench",
        "crane (bird)",
        "tabby",
        "crane (machine)",
        "toilet tissue",
    )


def test_class_numbers_are_those_of_the_data():
    path = REAL / "imagenet_classes.tsv"
    if not path.is_file():
        pytest.skip("no imagenet_weights in $GIPI_DATA")
    theirs = [line.split("\t")[1:] for line in path.read_text(encoding="utf-8").splitlines()]
    ours = [
        line.split("\t")
        for line in (Path(imagenet.__file__).parents[1] / "data" / "imagenet_classes.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    assert [wnid for wnid, _ in ours] == [wnid for wnid, _ in theirs]
    for (_, name), (_, lemmas) in zip(ours, theirs, strict=True):
        assert name.partition(" (")[0] == lemmas.split(", ")[0]


@pytest.mark.parametrize(("net", "top_1", "top_5"), [("squeezenet1-0", 32, 41), ("mobilenet-v2", 40, 47)])
def test_real_weights_and_their_card_name_as_many_images_right_as_stated(
    net: str, top_1: int, top_5: int, monkeypatch: pytest.MonkeyPatch
):
    """Of the 50 check images; a picture that our own scaling and theirs tell differently may tip one."""
    if not (REAL / "check").is_dir():
        pytest.skip("no imagenet_weights in $GIPI_DATA")
    monkeypatch.setenv("GIPI_DATA", str(REAL.parent))
    [local] = [one for one in PUBLISHED if one.net == net and not one.url]
    got, card = pretrained("imagenet", net)
    assert card.parents == (local.file,)
    assert {value.dtype for value in got.values()} <= {torch.float32, torch.int64}
    path = Path(os.environ["GIPI_CACHE"]) / "weights" / local.file
    model = Classifier.load(path, decide_place(device="cpu", precision="fp32"))
    files = sorted((REAL / "check").glob("*.jpg"))
    assert len(files) == 50
    tops = []
    for part in (files[start : start + 10] for start in range(0, 50, 10)):
        tops.append(model.logits(torch.stack([model.frame(file) for file in part])).topk(5).indices)
    right = torch.cat(tops) == torch.tensor([int(file.name.split("_")[0]) for file in files])[:, None]
    assert right[:, 0].sum().item() == pytest.approx(top_1, abs=1)
    assert right.any(1).sum().item() == pytest.approx(top_5, abs=1)


def test_a_real_file_is_known_by_its_content(tmp_path: Path):
    if not (REAL / "mobilenet_v2.safetensors").is_file():
        pytest.skip("no imagenet_weights in $GIPI_DATA")
    path = tmp_path / "any.safetensors"
    path.write_bytes((REAL / "mobilenet_v2.safetensors").read_bytes())
    _, card = pretrained(str(path), "mobilenet-v2")
    assert card.args["padding"] == "same"
    assert card.preprocess.mean == (0.5, 0.5, 0.5)
