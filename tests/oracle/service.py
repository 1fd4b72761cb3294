"""A service in a thread of this process, on a free port."""

import threading
import time
from contextlib import contextmanager
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image


class Service:
    def __init__(self, app, port):
        self.app, self.port, self.url = app, port, f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def predict(self, name, body, kind="image/png", **query):
        return self.client.post(f"/v1/models/{name}/predict", content=body, headers={"content-type": kind}, params=query)

    def json(self, name, value):
        return self.client.post(f"/v1/models/{name}/predict", json=value)


@contextmanager
def service(**settings):
    """In float32 by PyTorch alone, so that answers are the same wherever the tests run."""
    from uvicorn import Server

    from gipi.web import app, running
    from gipi.web.server import listening
    from gipi.web.settings import Settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gipi.engine.place.fast_bf16", lambda device: False)
        for kind in ("classifier:Classifier", "segmenter:Segmenter"):
            patch.setattr(f"gipi.tasks.{kind.replace(':', '.')}.expect", lambda model, count: None)
        asked = Settings(port=0, **settings)
        made, listener = app.create(asked), listening(asked)
        server = Server(running.config(asked, made))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            found = Service(made, listener.getsockname()[1])
            yield found
            found.client.close()
        finally:
            server.should_exit = True
            thread.join()


def png(pixels):
    """The file of an array of 8 bits."""
    file = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()
