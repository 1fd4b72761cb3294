"""The command line: reads the arguments, calls the Python API, prints, exits. Nothing here that Python cannot do.

Results go to stdout (JSON with --json), progress to stderr.
Exit 0 done, 1 it failed, 2 asked wrongly, 130 or 143 stopped and saved.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable

from gipi import __version__, catalog
from gipi.cli.bench import bench
from gipi.cli.check import check
from gipi.cli.export import export
from gipi.cli.look import inspect, list_all
from gipi.cli.plan import plan
from gipi.cli.predict import predict
from gipi.cli.serve import serve
from gipi.cli.study import study
from gipi.cli.train import train
from gipi.cli.use import evaluate, import_weights
from gipi.errors import ConfigError, GipiError, GipiWarning
from gipi.recipes import DEFAULT

VERBS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "train": (train, "train a net by a recipe"),
    "eval": (evaluate, "score a model on a data set"),
    "predict": (
        predict,
        "read pictures; say what they show, name every pixel, or find things, in them or in a video; or make pictures of noise",
    ),
    "check": (check, "look through pictures of your own before training: counts, duplicates, broken files"),
    "inspect": (inspect, "look inside: layers, mistakes, receptive fields, augmentation, what excites a channel, why an answer"),
    "study": (study, "check a claim of the textbook by a grid of small trainings"),
    "plan": (plan, "before renting GPUs: memory, time of a step, scaling, time and cost of a training"),
    "bench": (bench, "measure speed on this machine: the ladder of ways to train, a step, data, prediction, processes"),
    "export": (export, "write a model for other programs: ONNX, torch.export"),
    "serve": (serve, "answer over HTTP: a service for other programs, and a page to play with models"),
    "import": (import_weights, "make a model of published weights, or of the textbook's own"),
    "list": (list_all, "recipes, shipped models, nets, data sets"),
}

USAGE = f"""gipi {__version__}: the landmark deep-vision systems, to run and to look inside

usage: gipi VERB ...     gipi VERB --help     gipi --version

{chr(10).join(f"  {verb:8} {about}" for verb, (_, about) in VERBS.items())}

start with: gipi train {DEFAULT}
--traceback after any verb shows where an error comes from
"""


def main() -> None:
    """Entry point of the command `gipi`."""
    argv = [word for word in sys.argv[1:] if word != "--traceback"]
    warnings.formatwarning = _say
    handler = _log_to_stderr()
    try:
        sys.exit(_run(argv))
    except GipiError as error:
        if "--traceback" in sys.argv:
            raise
        rank = os.environ.get("RANK")
        print(f"gipi: {f'process {rank}: ' if rank else ''}{error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        logging.getLogger("gipi").removeHandler(handler)  # the next call in this process may have another stderr


def _log_to_stderr() -> logging.Handler:
    """What the package has to say, such as where it computes; of several processes the first one says it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("gipi: %(message)s"))
    logging.getLogger("gipi").addHandler(handler)
    logging.getLogger("gipi").setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    return handler


_format_warning = warnings.formatwarning


def _say(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning of ours as one plain line, any other one as Python writes it."""
    if issubclass(category, GipiWarning):
        return f"gipi: warning: {message}\n"
    return _format_warning(message, category, filename, lineno, line)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"gipi {__version__}")
        return 0
    return catalog.entry(VERBS, argv[0], "verb")[0](argv[1:])
