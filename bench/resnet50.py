"""ResNet-50 at 224x224: inference images/s against plain eager float32, and the memory of training, each in its own process.

Random weights and images. Peak memory is that of the whole process, so it holds PyTorch itself (about 0.3 GiB), too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from common import ROOT, row, write

REPEATS = 5


def inference(way: str, batch: int) -> list[float]:
    """Images/s of each repeat. way: plain (PyTorch as it comes, float32), fp32 or bf16 (as gipi's models are used)."""
    import torch

    from gipi.engine.place import decide_place
    from gipi.models.resnet import resnet50

    net, images = resnet50().eval(), torch.rand(batch, 3, 224, 224)
    place = None if way == "plain" else decide_place(device="cpu", precision=way)
    if place:
        net, images = place.put_net(net), place.put_images(images)
    speeds, turns = [], max(1, 32 // batch)
    with torch.inference_mode():
        for repeat in range(REPEATS + 1):
            start = time.perf_counter()
            for _ in range(turns):
                if place:
                    with place.autocast():
                        net(images)
                else:
                    net(images)
            if repeat:
                speeds.append(turns * batch / (time.perf_counter() - start))
    return speeds


def memory(precision: str, batch: int) -> list[float]:
    """Peak resident GiB of two training steps of the engine: the second has the momentum beside all else."""
    import resource

    import torch

    from gipi.config import OptimConfig
    from gipi.engine.optim import Optim
    from gipi.engine.place import decide_place
    from gipi.models.resnet import resnet50

    place = decide_place(device="cpu", precision=precision)
    net = place.put_net(resnet50().train())
    optim = Optim(net, OptimConfig("momentum", lr=0.1), place, 2)
    images, labels = place.put_images(torch.rand(batch, 3, 224, 224)), torch.randint(0, 1000, (batch,))
    for _ in range(2):
        optim.minimize(lambda x: (torch.nn.functional.cross_entropy(net(x).float(), labels), batch, {}), images)
    return [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]


def apart(*words: str) -> list[float]:
    """What this script, called with `words`, prints as its last line."""
    done = subprocess.run([sys.executable, __file__, *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if len(sys.argv) > 1:
        what, way, batch = sys.argv[1:]
        print(json.dumps({"inference": inference, "memory": memory}[what](way, int(batch))))
        return
    from gipi.engine.place import DTYPES, decide_place

    # bf16 only where the machine is fast at it: elsewhere a training step takes minutes
    formats = [name for name, dtype in DTYPES.items() if name == "fp32" or dtype == decide_place(device="cpu").dtype]
    rows = [row(f"training memory, batch 32, {formats[-1]}", apart("memory", formats[-1], "32"), "GiB")]
    for batch in (1, 32):
        speeds = {way: apart("inference", way, str(batch)) for way in ("plain", *formats)}
        rows += [row(f"inference, batch {batch}, {way}", values, "images/s") for way, values in speeds.items()]
        best = max(formats, key=lambda way: sorted(speeds[way])[REPEATS // 2])
        ratio = sorted(speeds[best])[REPEATS // 2] / sorted(speeds["plain"])[REPEATS // 2]
        rows.append(row(f"inference, batch {batch}, over plain", [ratio], "x", note=f"the faster format here: {best}"))
    write("resnet50", rows)


if __name__ == "__main__":
    main()
