"""Inference on the CPU: images/s of the path that gipi takes by default, of PyTorch, OpenVINO and ONNX Runtime, and how equal
their answers are. `pip install -r bench/peers/inference.txt` first.

Every contender runs in its own process on the same model file and the same photographs, all with as many threads. The speeds are
of the net alone, from scaled float32 images; "from pixels" is all that gipi does with a decoded picture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import ROOT, row, write

REPEATS = 5
COUNT = 1000  # photographs whose answers are compared
PLAIN, OURS, ONNX = "PyTorch", "gipi", "ONNX Runtime, fp32"
NETS = ("resnet18", "resnet50")
PUBLISHED = ("mobilenet-v2", "squeezenet1-0")  # whose weights come with the data: their answers are compared, too
Run = Callable[[Tensor], Tensor]


def photographs() -> Tensor:
    """uint8 (COUNT, 3, 224, 224): ants and bees, the corners of each picture."""
    import gipi

    whole = torch.cat([gipi.load_images("hymenoptera", split).images for split in ("train", "test")])
    return torch.cat([whole[..., top : top + 224, left : left + 224] for top in (0, 32) for left in (0, 32)])[:COUNT]


def model_file(net: str, folder: Path) -> str:
    """Write a model file; what its weights are. Random ones get batch norm and a head by which photographs differ."""
    from gipi import GipiError
    from gipi.model import Card, save_model
    from gipi.models.kinds import build_net
    from gipi.preprocess import Preprocess
    from gipi.tasks.pretrained import pretrained

    path = folder / f"{net}.safetensors"
    try:
        save_model(path, *pretrained("imagenet", net))
        return "published weights"
    except GipiError:
        torch.manual_seed(0)
    fresh = build_net(net, {})
    card = Card("classify", net, {}, tuple(map(str, range(1000))), Preprocess((3, 224, 224), "crop", 256))
    save_model(path, fresh.state_dict(), card)
    images = scaled(photographs()[::20], path)
    for layer in fresh.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        fresh(images)
        logits = fresh.eval()(images)
        fresh.head.weight /= logits.std(0)[:, None]
        fresh.head.bias.copy_(-logits.mean(0) / logits.std(0))
    save_model(path, fresh.state_dict(), card)
    return "random weights"


def contender(name: str, path: Path) -> Run:
    """scaled float32 images (n, 3, 224, 224) -> logits; "from pixels" takes uint8."""
    from gipi.engine.compiled import ONNXRuntime, OpenVINO
    from gipi.engine.place import decide_place
    from gipi.tasks.classifier import Classifier

    if name.startswith(OURS):
        model = Classifier.load(path, decide_place(device="cpu"))
        model.expect(1_000_000)
        if "pixels" in name:
            return model.logits
        return model._compiled or (lambda images: model._run(model.net, model.place.put_images(images)))
    if name == PLAIN:  # nothing of ours: not even `decide_place`, which sets the allocator
        return plain_net(path)
    if name.startswith("PyTorch, channels_last"):
        place = decide_place(device="cpu", precision="fp32")
        net = place.put_net(plain_net(path))
        return lambda images: net(place.put_images(images))
    if name.startswith("OpenVINO"):
        ov = OpenVINO.package()
        model = ov.convert_model(plain_net(path), example_input=torch.zeros(2, 3, 224, 224))
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads()})
        return lambda images: torch.from_numpy(compiled(images.numpy())[0])
    onnxruntime = ONNXRuntime.package()

    file = str(path.with_suffix(".onnx"))
    shape = ({0: torch.export.Dim("n", min=1, max=4096)},)
    torch.onnx.export(
        plain_net(path), (torch.zeros(2, 3, 224, 224),), file, dynamo=True, dynamic_shapes=shape, external_data=False
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    [wanted] = session.get_inputs()
    return lambda images: torch.from_numpy(session.run(None, {wanted.name: images.numpy()})[0])


def scaled(pixels: Tensor, path: Path) -> Tensor:
    """As the model wants its input."""
    from gipi.model import load_model

    how = load_model(path)[1].preprocess
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (how.mean, how.std))
    return (pixels.float() / 255 - mean) / std


def plain_net(path: Path) -> torch.nn.Module:
    """The net of a model file, contiguous, as PyTorch makes it."""
    from gipi.model import fit_weights, load_model
    from gipi.models.kinds import build_net

    weights, card = load_model(path)
    net = build_net(card.net, card.args)
    fit_weights(net, weights, str(path))
    return net.eval()


@torch.inference_mode()
def speed(name: str, path: Path, batch: int) -> list[float]:
    """Images/s of each repeat."""
    run, turns = contender(name, path), max(1, 32 // batch)
    images = photographs()[:batch]
    images = images if "pixels" in name else scaled(images, path)
    speeds = []
    for repeat in range(REPEATS + 1):
        start = time.perf_counter()
        for _ in range(turns):
            run(images)
        if repeat:
            speeds.append(turns * batch / (time.perf_counter() - start))
    return speeds


@torch.inference_mode()
def answers(name: str, path: Path) -> str:
    """The file of the logits of all photographs."""
    run, file = contender(name, path), path.with_name(f"{path.stem} {name}.pt")
    torch.save(torch.cat([run(scaled(part, path)) for part in photographs().split(20)]), file)
    return str(file)


def apart(what: str, *words: object) -> Any:
    """What this script, called with these words, prints as its last line."""
    command = [sys.executable, __file__, what, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if len(sys.argv) > 1:
        what, name, path, *batch = sys.argv[1:]
        path = Path(path)
        if what == "file":
            print(json.dumps(model_file(name, path)))
        else:
            print(json.dumps(speed(name, path, int(batch[0])) if batch else answers(name, path)))
        return
    ways = (PLAIN, "PyTorch, channels_last, allocator", "OpenVINO, as it comes", ONNX, OURS, f"{OURS}, from pixels")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for net in (*NETS, *PUBLISHED):
            path, weights = Path(folder) / f"{net}.safetensors", apart("file", net, folder)
            wanted, ours, onnx = (torch.load(apart("answers", way, path)) for way in (PLAIN, OURS, ONNX))
            for way, got in ((OURS, ours), (ONNX, onnx)):
                off = ((got - wanted).abs().max() / (wanted.max() - wanted.min())).item()
                same = (got.argmax(1) == wanted.argmax(1)).float().mean().item()
                note = f"{weights}, {COUNT} photographs, {len(wanted.argmax(1).unique())} answers"
                rows.append(row(f"{net}, {way}: logits off PyTorch's", [100 * off], "% of range", note=note))
                rows.append(row(f"{net}, {way}: same answer as PyTorch", [100 * same], "%", note=note))
            for batch in (1, 32) if net in NETS else ():
                speeds = {way: apart("speed", way, path, batch) for way in ways}
                rows += [row(f"{net}, batch {batch}, {way}", values, "images/s") for way, values in speeds.items()]
                middle = {way: sorted(values)[REPEATS // 2] for way, values in speeds.items()}
                for peer in (ONNX, PLAIN):
                    rows.append(row(f"{net}, batch {batch}, gipi over {peer}", [middle[OURS] / middle[peer]], "x"))
    write("inference", rows)


if __name__ == "__main__":
    main()
