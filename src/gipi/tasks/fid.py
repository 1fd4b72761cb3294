"""The net behind FID with its published weights: found or downloaded, and checked."""

from __future__ import annotations

import torch

from gipi.data.fetch import RemoteFile, data_folders, download
from gipi.engine.place import Place
from gipi.errors import DataError, WeightsError
from gipi.model import fit_weights
from gipi.models.inception import FidInception
from gipi.tasks.imagenet import FOLDER, sha256_of
from gipi.tasks.state_dict import read_state_dict

# The same file twice: pytorch-fid brought it over from TensorFlow (Apache-2.0), torch-fidelity keeps a copy.
FILE = RemoteFile(
    name="pt_inception-2015-12-05-6726825d.pth",
    urls=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    limit=92 << 20,
    as_is=True,
)
CLASSIFIER = ("fc.weight", "fc.bias")  # of 1008 classes, behind the features


def load_inception(place: Place) -> FidInception:
    """The net on the place's device, in eval mode and without gradients: images as bytes there -> features (n, 2048).

    The file is looked for in the data folders `imagenet_weights`, and else downloaded into the last of them.
    Raises DataError if it cannot be had, WeightsError if a file of its name has another content or cannot be kept.
    """
    folders = data_folders(FOLDER)
    path = next((folder / FILE.name for folder in folders if (folder / FILE.name).is_file()), None)
    try:
        path = path or download(FILE, folders[-1])
    except DataError as failure:
        raise DataError(
            f"FID needs {FILE.name}: not found in {', '.join(map(str, folders))}, and the download failed:\n{failure}\n"
            f"Fetch it elsewhere and put it, under that name, into {folders[0]}, or work without it: --gan.judge auto"
        ) from failure
    except OSError as error:
        raise WeightsError(
            f"{FILE.name} cannot be kept in {folders[-1]}: {error.strerror}; set GIPI_CACHE to a folder that can be written"
        ) from error
    if not (sha256 := sha256_of(path)).startswith(FILE.sha256):
        raise WeightsError(
            f"{path} is cut off or another file: its content has SHA-256 {sha256}, expected {FILE.sha256}; fetch it anew from "
            f"{FILE.urls[0]}, or take it away and it is downloaded"
        )
    with torch.device("meta"):  # no random numbers are drawn for weights that are overwritten
        net = FidInception()
    net.to_empty(device="cpu")
    fit_weights(net, {key: value for key, value in read_state_dict(path).items() if key not in CLASSIFIER}, str(path))
    return place.put_net(net.requires_grad_(False).eval())
