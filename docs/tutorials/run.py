"""Executes the tutorials and writes their outputs into them: python docs/tutorials/run.py [NAME...], all of them without a name.

Each runs in an empty folder of its own, without a network's data. Times, counters and this machine's paths are not kept.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
SOURCE = f"{HERE.parents[1]}/src/"  # warnings name the file that they are from
COLOURS = 256  # of a picture, which makes it a third as large


def execute(path: Path) -> None:
    """Run a notebook and write it back. Raises CellExecutionError if a cell fails; the notebook is then as it was."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GIPI_DATA"] = os.environ["GIPI_CACHE"] = folder
        NotebookClient(notebook, timeout=600, record_timing=False, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = output.text.replace(SOURCE, "")
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = few_colours(output.data["image/png"])
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


def few_colours(data: str) -> str:
    """A PNG in base64, with a palette if that makes it smaller."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return min(data, base64.b64encode(buffer.getvalue()).decode(), key=len)


if __name__ == "__main__":
    for path in sorted(HERE.glob("*.ipynb")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            execute(path)
            print(f"{path.name}: {path.stat().st_size / 1000:,.0f} kB")
