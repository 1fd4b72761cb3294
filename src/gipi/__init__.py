"""gipi (깊이, "depth"): the landmark deep-vision systems as one piece of working software.

    import gipi
    run = gipi.train(gipi.RECIPES["deepconvnet-mnist"].config)
    gipi.load(run.model_path).predict("three.png").label

torch is imported on the first use of a name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gipi.api import (
        check,
        evaluate,
        export,
        import_weights,
        load,
        load_boxes,
        load_captions,
        load_images,
        load_masks,
        predict,
        recipe_for,
        resume,
        train,
    )
    from gipi.config import Config
    from gipi.errors import GipiError
    from gipi.lab import study
    from gipi.looks import (
        augmented,
        dense,
        epochs,
        exciting,
        features,
        fields,
        layers,
        mistakes,
        pixels,
        regions,
        watch,
        why,
        words,
    )
    from gipi.recipes import RECIPES
    from gipi.web.server import serve

__version__ = "0.1.0"

_VERBS = (
    "train",
    "resume",
    "load",
    "load_boxes",
    "load_captions",
    "load_images",
    "load_masks",
    "evaluate",
    "export",
    "predict",
    "check",
    "recipe_for",
    "import_weights",
)
_LOOKS = (
    "layers",
    "mistakes",
    "features",
    "fields",
    "exciting",
    "augmented",
    "why",
    "dense",
    "regions",
    "words",
    "epochs",
    "watch",
    "pixels",
)
_HOME = {
    **dict.fromkeys(_VERBS, "gipi.api"),
    **dict.fromkeys(_LOOKS, "gipi.looks"),
    "Config": "gipi.config",
    "GipiError": "gipi.errors",
    "study": "gipi.lab",
    "RECIPES": "gipi.recipes",
    "serve": "gipi.web.server",
}

__all__ = [
    "RECIPES",
    "Config",
    "GipiError",
    "augmented",
    "check",
    "dense",
    "epochs",
    "evaluate",
    "exciting",
    "export",
    "features",
    "fields",
    "import_weights",
    "layers",
    "load",
    "load_boxes",
    "load_captions",
    "load_images",
    "load_masks",
    "mistakes",
    "pixels",
    "predict",
    "recipe_for",
    "regions",
    "resume",
    "serve",
    "study",
    "train",
    "watch",
    "why",
    "words",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gipi' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
