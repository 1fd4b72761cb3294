"""A classifier of gipi behind LitServe, with its batching: litserve_server.py --port P [settings]. Run by bench/serving.py.

The model is loaded, made ready, fed and asked by the functions that gipi's own service calls; what differs is the server.
"""

import argparse
from typing import Annotated

import litserve
from fastapi import Body

from gipi import api
from gipi.engine.place import decide_place


class Reader(litserve.LitAPI):
    """A body of the bytes of a picture -> what `gipi predict --json` says of it."""

    def __init__(self, model, threads, **settings):
        self.name, self.threads = model, threads
        super().__init__(**settings)

    def setup(self, device):
        self.model = api.load(self.name, place=decide_place(device="cpu", threads=self.threads))
        self.model.expect(10**9)

    def decode_request(self, request: Annotated[bytes, Body()]):
        return self.model.frame(request)

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return self.model.answer(inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output.json()


class Single(Reader):
    """Without batching: LitServe gives the model one picture at a time."""

    def predict(self, inputs):
        return self.model.answer([inputs])[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deepconvnet-mnist")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1, help="of a worker's model")
    parser.add_argument("--max-batch", type=int, default=64)
    parser.add_argument("--wait-ms", type=float, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes with the model")
    parser.add_argument("--servers", type=int, default=1, help="processes that speak HTTP")
    parser.add_argument("--fast-queue", action="store_true")
    asked = parser.parse_args()
    kind = Reader if asked.max_batch > 1 else Single
    model = kind(asked.model, asked.threads, max_batch_size=asked.max_batch, batch_timeout=asked.wait_ms / 1000)
    server = litserve.LitServer(
        model, accelerator="cpu", devices=1, workers_per_device=asked.workers, fast_queue=asked.fast_queue
    )
    server.run(
        host="127.0.0.1",
        port=asked.port,
        num_api_servers=asked.servers,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
