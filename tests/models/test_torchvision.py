"""Our nets are torchvision's: names and shapes of every weight, outputs where it is installed, and answers with real weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from gipi.models import alexnet, googlenet, mobilenetv2, resnet, squeezenet, vgg
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD

KEYS: dict[str, str] = json.loads((Path(__file__).parents[1] / "oracle" / "torchvision_keys.json").read_text())
del KEYS["about"]
MODULES = {
    "alexnet": alexnet,
    "vgg": vgg,
    "googlenet": googlenet,
    "resnet": resnet,
    "squeezenet": squeezenet,
    "mobilenet": mobilenetv2,
}
REAL = Path(os.environ.get("GIPI_DATA", "")) / "imagenet_weights"


def ours(title: str) -> nn.Module:
    """The net of a title such as "mobilenet_v2 width=1.4"."""
    name, *words = title.split()
    [module] = [module for family, module in MODULES.items() if name.startswith(family)]
    args: dict[str, Any] = {key: json.loads(value.lower()) for key, value in (word.split("=") for word in words)}
    return getattr(module, name)(**args)


def shapes(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """The keys and shapes of a state dict, from a line of the file of keys."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for entry in text.split(", "):
        module, kind, size = entry.split()
        shape = tuple(map(int, size.split("x")))
        found.append((f"{module}.weight", shape))
        if kind in ("biased", "norm"):
            found.append((f"{module}.bias", shape[:1]))
        if kind == "norm":
            found += [(f"{module}.running_mean", shape), (f"{module}.running_var", shape), (f"{module}.num_batches_tracked", ())]
    return found


@pytest.mark.parametrize("title", KEYS)
def test_names_and_shapes_of_all_weights(title: str):
    with torch.device("meta"):
        net = ours(title)
    assert [(key, tuple(value.shape)) for key, value in net.state_dict().items()] == shapes(KEYS[title])


def theirs(title: str) -> nn.Module:
    """The same net of torchvision, or a skipped test."""
    try:
        from torchvision import models  # pyright: ignore[reportMissingImports]
    except Exception as error:  # whatever an installation for another torch fails with
        pytest.skip(f"torchvision cannot be imported: {error}")
    name, *words = title.split()
    if name == "googlenet":
        return models.GoogLeNet(aux_logits=bool(words), init_weights=False)
    return getattr(models, name)(weights=None, **({"width_mult": float(words[0].split("=")[1])} if words else {}))


@torch.no_grad()
@pytest.mark.parametrize("title", [title for title in KEYS if not title.startswith("vgg") or title in ("vgg11_bn", "vgg16")])
def test_outputs_are_those_of_torchvision(title: str):
    other = theirs(title).eval()
    torch.manual_seed(0)
    net = ours(title).eval()
    for key, value in net.state_dict().items():  # batch norm that does something
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
    other.load_state_dict(net.state_dict())
    images = torch.randn(2, 3, 96, 96)
    want = other(images)
    torch.testing.assert_close(net(images), want, rtol=0, atol=1e-6 * want.abs().max().item())


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "net", "mean", "std", "top_1", "top_5"),
    [
        ("squeezenet1_0", squeezenet.squeezenet1_0, IMAGENET_MEAN, IMAGENET_STD, 32, 41),
        ("mobilenet_v2", lambda: mobilenetv2.mobilenet_v2(padding="same"), (0.5,) * 3, (0.5,) * 3, 40, 47),
    ],
    ids=["squeezenet1_0", "mobilenet_v2"],
)
def test_published_weights_name_as_many_images_right_as_stated(name: str, net: Any, mean: Any, std: Any, top_1: int, top_5: int):
    """50 images of ImageNet, shorter side 256, their middle of 224x224."""
    path = REAL / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip("no imagenet_weights in $GIPI_DATA")
    net = net().eval()
    net.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()})
    files = sorted((REAL / "check").glob("*.jpg"))
    labels = torch.tensor([int(file.name.split("_")[0]) for file in files])
    images = torch.stack([middle(file) for file in files])
    images = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = torch.cat([net(part) for part in images.split(10)]).topk(5).indices == labels[:, None]
    assert len(files) == 50
    assert (found[:, 0].sum().item(), found.any(1).sum().item()) == (top_1, top_5)


def middle(file: Path) -> Tensor:
    """(3, 224, 224), 0 to 255."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    scale = 256 / min(image.size)
    width, height = (round(scale * side) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    return torch.from_numpy(np.array(image.crop((left, top, left + 224, top + 224)))).permute(2, 0, 1).float()
