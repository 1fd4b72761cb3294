"""Nets compiled by another runtime: equal answers for every net, kept once, made anew when anything changed, never in the way."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gipi import catalog
from gipi.engine import fast, kept
from gipi.engine.compiled import RUNTIMES, Compiled, ONNXRuntime, OpenVINO
from gipi.engine.fast import Fast
from gipi.engine.kept import Note, Speed
from gipi.engine.place import decide_place
from gipi.errors import GipiWarning
from gipi.models.ensemble import Ensemble
from gipi.models.kinds import build_net
from gipi.runs import claim

pytestmark = pytest.mark.skipif(not OpenVINO.installed(), reason="needs openvino: pip install gipi[fast]")
CPU = decide_place(device="cpu", precision="fp32")
SMALL = (1, 28, 28)
MUCH = 1000  # images
QUICK = Speed((1.0, 1.0, 1.0), (0.1, 0.1, 0.1), 1.0)
needs_onnx = pytest.mark.skipif(not ONNXRuntime.installed(), reason="needs onnxruntime: pip install gipi[onnx]")
by_runtime = pytest.mark.parametrize(
    "runtime", [OpenVINO, pytest.param(ONNXRuntime, marks=needs_onnx)], ids=lambda runtime: runtime.PACKAGE
)


def images(count: int, image: tuple[int, int, int]) -> Tensor:
    return torch.randn(count, *image, generator=torch.Generator().manual_seed(0))


def ready(net: nn.Module, image: tuple[int, int, int]) -> nn.Module:
    """In evaluation mode and channels_last, as nets are used; batch norm has the statistics of images such as ours, and no class
    is likelier than another from the start."""
    seen = images(16, image)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net(seen)
        mean = net.eval()(seen).mean(0)
        if isinstance(head := getattr(net, "head", None), nn.Linear):
            head.bias -= mean
    return CPU.put_net(net)


def narrow(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A net of the catalogue and its image: the landmarks an eighth as wide, on small images."""
    torch.manual_seed(0)
    known = catalog.NETS[name]
    if known.input[0] == 1:
        return ready(build_net(name, {}), known.input), known.input
    return ready(build_net(name, {"width": 0.125, "classes": 20}), (3, 64, 64)), (3, 64, 64)


def assert_equal_answers(
    net: nn.Module, image: tuple[int, int, int], folder: Path, runtime: type[Compiled], count: int = 40, share: float = 1e-4
) -> None:
    """Whether the logits are equal to that share of their range, and their answers the same, for batches of any size."""
    path = folder / f"net{runtime.ENDINGS[0]}"
    runtime.convert(net, image, path)
    run, seen = runtime(path, torch.float32), images(count, image)
    with torch.inference_mode():
        wanted = net(seen)
    got = torch.cat([run(seen[:1]), run(seen[1:4]), run(CPU.put_images(seen[4:]))])
    assert (got - wanted).abs().max() <= share * (wanted.max() - wanted.min())
    assert torch.equal(got.argmax(1), wanted.argmax(1))
    assert len(wanted.argmax(1).unique()) > 1  # a net with one answer for all would show nothing


CLASSIFIERS = {name: net for name, net in catalog.NETS.items() if net.kind == "classify"}
# Sisters of others here; all are looked at with -m slow.
TILED = {"alexnet", *(name for name in CLASSIFIERS if name.startswith("vgg"))}  # whose last pooling enlarges small images
SISTERS = {"vgg13", "vgg19", "vgg11-bn", "vgg13-bn", "vgg19-bn", "resnet34", "resnet101", "resnet152"}


@by_runtime
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SISTERS else []) for name in CLASSIFIERS]
)
def test_every_net_answers_as_in_pytorch(name: str, runtime: type[Compiled], tmp_path: Path):
    if runtime is ONNXRuntime and name in TILED:
        pytest.skip("torch's ONNX exporter does not know a pooling that enlarges; -m slow looks at the published size")
    assert_equal_answers(*narrow(name), tmp_path, runtime)


@pytest.mark.slow
@by_runtime
@pytest.mark.parametrize("name", [name for name, net in CLASSIFIERS.items() if net.input == (3, 224, 224)])
def test_every_landmark_answers_as_in_pytorch_in_its_published_size(name: str, runtime: type[Compiled], tmp_path: Path):
    torch.manual_seed(0)
    image = catalog.NETS[name].input
    net = ready(build_net(name, {"classes": 20}), image)
    assert_equal_answers(
        net, image, tmp_path, runtime, count=10, share=1e-2
    )  # 152 layers of random weights enlarge every rounding


@by_runtime
def test_an_ensemble_answers_as_in_pytorch(runtime: type[Compiled], tmp_path: Path):
    torch.manual_seed(0)
    net = ready(Ensemble([build_net("digitnet-tiny", {}) for _ in range(3)]), SMALL)
    assert_equal_answers(net, SMALL, tmp_path, runtime)


# --- what is kept


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """All work is worth compiling, and every runtime found faster; the conversions, as they are made."""
    made: list[Path] = []
    for runtime in RUNTIMES:

        def convert(net: nn.Module, image: tuple[int, int, int], path: Path, how: Any = runtime.convert) -> None:
            made.append(path.parent)
            how(net, image, path)

        monkeypatch.setattr(runtime, "convert", staticmethod(convert))
    monkeypatch.setattr(fast, "PAYS_S", 0.0)
    monkeypatch.setattr(Fast, "_measure", lambda self, run, load_s: QUICK)
    return made


def tiny(*folders: Path, seed: int = 0, name: str = "digitnet-tiny", runtime: type[Compiled] = OpenVINO) -> Fast:
    torch.manual_seed(seed)
    return Fast(CPU.put_net(build_net("digitnet-tiny", {}).eval()), name, SMALL, CPU, folders, runtime)


def answers_right(of: Fast, count: int = MUCH) -> bool:
    """Whether `of` gives a compiled net, and that is its own."""
    run = of.get(count)
    seen = images(4, SMALL)
    with torch.inference_mode():
        return run is not None and torch.allclose(run(seen), of.net(seen), atol=1e-5)


@by_runtime
def test_a_net_is_converted_once_for_all_that_use_it(runtime: type[Compiled], quick: list[Path], tmp_path: Path):
    assert answers_right(tiny(tmp_path / "a", runtime=runtime))
    assert answers_right(tiny(tmp_path / "a", runtime=runtime))
    assert answers_right(tiny(tmp_path / "a", runtime=runtime), count=2)  # what is there is used for little work, too
    assert quick == [tmp_path / "a"]


def test_it_says_what_it_made(quick: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "gipi")
    run = tiny(tmp_path / "a").get(MUCH)
    assert str(run) == f"OpenVINO {OpenVINO.version()}, 10.0 x as fast as PyTorch"
    assert f"kept in {tmp_path / 'a'}: {run}" in caplog.text
    note = json.loads((tmp_path / "a" / "note.json").read_text())
    assert note["version"] == OpenVINO.version()
    [(way, speed)] = note["speeds"].items()
    assert way.startswith(f"fp32, {torch.get_num_threads()} threads, ")
    assert speed["pytorch"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("change", ["weights", "net", "version"])
def test_it_is_made_anew_when_it_is_of_something_else(
    change: str, quick: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert answers_right(tiny(tmp_path / "a"))
    if change == "version":
        monkeypatch.setattr(OpenVINO, "version", lambda: "2099.1")
    again = tiny(tmp_path / "a", seed=int(change == "weights"), name="another" if change == "net" else "digitnet-tiny")
    assert answers_right(again)
    assert len(quick) == 2
    assert len(list((tmp_path / "a").glob("*.bin"))) == 1  # the old one is gone
    assert answers_right(again)
    assert len(quick) == 2


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("note.json", "cut"),
        ("*.xml", "missing"),
        ("*.xml", "changed"),
        ("*.bin", "empty"),
        ("*.bin", "cut"),
        ("*.bin", "changed"),
    ],
)
def test_broken_files_are_made_anew(file: str, damage: str, quick: list[Path], tmp_path: Path):
    assert answers_right(tiny(tmp_path / "a"))
    [path] = (tmp_path / "a").glob(file)
    whole = path.read_bytes()
    half = len(whole) // 2
    if damage == "missing":
        path.unlink()
    else:
        changed = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        path.write_bytes({"empty": b"", "cut": whole[:half], "changed": changed}[damage])
    assert answers_right(tiny(tmp_path / "a"))
    assert len(quick) == 2


@pytest.mark.parametrize("note", ["[]", "{}", "nonsense", "[" * 100_000, '{"net": 1}', '{"speeds": {"x": {}}}'])
def test_a_strange_note_is_as_none(note: str, quick: list[Path], tmp_path: Path):
    (tmp_path / "note.json").write_text(note)
    assert answers_right(tiny(tmp_path))


def test_speeds_of_another_machine_stay_beside_those_of_this_one(quick: list[Path], tmp_path: Path):
    tiny(tmp_path).get(MUCH)
    note = kept.read_note(tmp_path, "digitnet-tiny", OpenVINO)
    assert note is not None
    kept.write_note(tmp_path, replace(note, speeds={"bf16, 64 threads, AVX512": QUICK}))
    assert answers_right(tiny(tmp_path))
    note = kept.read_note(tmp_path, "digitnet-tiny", OpenVINO)
    assert note is not None
    assert len(note.speeds) == 2


def test_where_nothing_can_be_written_the_next_folder_is_taken(quick: list[Path], tmp_path: Path):
    (tmp_path / "file").touch()
    assert answers_right(tiny(tmp_path / "file", tmp_path / "b"))
    assert answers_right(tiny(tmp_path / "file", tmp_path / "b"))
    assert quick == [tmp_path / "b"]
    assert tiny(tmp_path / "file", tmp_path / "file" / "below").get(MUCH) is None


def test_what_another_process_is_at_is_left_to_it(quick: list[Path], tmp_path: Path):
    with claim(tmp_path / "a") as mine:
        assert mine
        assert tiny(tmp_path / "a", tmp_path / "b").get(MUCH) is None
    assert not quick
    assert answers_right(tiny(tmp_path / "a"))


TWICE = """
import sys, torch
from pathlib import Path
from gipi.engine import fast
from gipi.engine.compiled import OpenVINO
from gipi.engine.place import decide_place
from gipi.models.kinds import build_net
torch.set_num_threads(1)
torch.manual_seed(0)
fast.PAYS_S = 0.0
net, seen = build_net("digitnet-tiny", {}).eval(), torch.rand(40, 1, 28, 28)
for _ in range(3):
    place = decide_place(device="cpu", precision="fp32")
    run = fast.Fast(net, "digitnet-tiny", (1, 28, 28), place, [Path(sys.argv[1])], OpenVINO).get(10**9)
    assert run is None or torch.allclose(run(seen), net(seen), atol=1e-5)
"""


def test_openvino_cannot_report_its_use():
    OpenVINO.package()
    assert sys.modules["openvino_telemetry"] is None


@needs_onnx
def test_onnx_runtime_cannot_report_its_use(quick: list[Path], tmp_path: Path):
    """Where it may, it writes the number by which its makers know a machine, and a file of what is to be sent."""
    code = (
        "import sys; from pathlib import Path; from gipi.engine.compiled import *; ONNXRuntime(Path(sys.argv[1]), torch.float32)"
    )
    assert answers_right(tiny(tmp_path / "a", runtime=ONNXRuntime))
    [path] = (tmp_path / "a").glob("*.onnx")
    home = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", code, str(path)], env={**home, "HOME": str(tmp_path / "home")}, check=True)
    assert not [file for file in (tmp_path / "home").rglob("*") if file.is_file()]


@pytest.mark.slow
def test_two_processes_at_once_leave_one_whole_folder_and_report_to_nobody(tmp_path: Path, quick: list[Path]):
    home = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    both = [subprocess.Popen([sys.executable, "-c", TWICE, str(tmp_path / "a")], env=home) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    note = kept.read_note(tmp_path / "a", "digitnet-tiny", OpenVINO)
    assert note is not None
    assert kept.load(tiny().net, tmp_path / "a", note, torch.float32, OpenVINO) is not None
    assert {path.name for path in (tmp_path / "a").iterdir()} == {".lock", "note.json", *note.files}
    assert not (tmp_path / "intel").exists()  # where OpenVINO's telemetry has its number


# --- when


def test_few_images_little_work_and_other_devices_are_pytorchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    of = tiny(tmp_path / "a")
    assert of.get(MUCH) is None  # a moment's work
    monkeypatch.setattr(fast, "PAYS_S", 0.0)
    assert of.get(fast.FEW - 1) is None
    assert replace(of, place=replace(CPU, device=torch.device("meta"))).get(MUCH) is None
    assert not (tmp_path / "a").exists()


def test_what_was_measured_to_save_nothing_is_not_used(quick: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Fast, "_measure", lambda self, run, load_s: Speed((1.0, 0.4, 0.4), (0.1, 0.5, 0.5), 0.0))
    of = tiny(tmp_path)
    assert of.get(MUCH) is None
    assert of.get(MUCH) is None
    assert len(quick) == 1
    assert answers_right(of, count=1)  # one image it answers faster


def test_it_pays_when_more_time_is_saved_than_loading_takes():
    speed = Speed((0.5, 0.3, 0.1), (0.2, 0.2, 0.2), 1.0)
    assert [speed.pays(count) for count in (1, 2, 9, 11, 63)] == [False, False, False, True, True]
    assert replace(speed, load_s=0.2).pays(1)
    assert not speed.pays(64)  # so many at once PyTorch answers faster
    assert not speed.pays(10**9)
    assert [speed.gain(count) for count in (1, 2, 63, 64)] == pytest.approx([2.5, 1.5, 1.5, 0.5])


def test_speeds_are_measured_and_no_random_number_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fast, "PAYS_S", 0.0)
    of = tiny(tmp_path)
    before = torch.get_rng_state()
    of.get(MUCH)
    assert torch.equal(torch.get_rng_state(), before)
    note = kept.read_note(tmp_path, of.name, OpenVINO)
    assert note is not None
    [speed] = note.speeds.values()
    assert len(speed.pytorch) == len(speed.runtime) == len(kept.SIZES)
    assert min(*speed.pytorch, *speed.runtime, speed.load_s) > 0


def test_without_openvino_pytorch_answers_and_nothing_is_said(quick: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert answers_right(tiny(tmp_path))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tiny(tmp_path).get(MUCH) is None


def test_a_net_that_openvino_cannot_take_over_is_pytorchs_with_a_warning(
    quick: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(OpenVINO, "convert", fails)
    with pytest.warns(GipiWarning, match="OpenVINO cannot take over this net: no such operation"):
        assert tiny(tmp_path).get(MUCH) is None


def test_a_note_reads_back_as_written(tmp_path: Path):
    note = Note("net", "abc", OpenVINO.version(), {"net-abc.xml": "1"}, {"fp32": QUICK})
    kept.write_note(tmp_path, note)
    assert kept.read_note(tmp_path, "net", OpenVINO) == note
