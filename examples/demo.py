"""`make demo`: train on handwritten digits, show the accuracy beside the textbook's, draw the mistakes, say what to try next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gipi

TEXTBOOK = 0.9938  # Saito, Deep Learning from Scratch, chapter 8: the figure in the text


def choose() -> tuple[str, str]:
    """(recipe, data set): MNIST where it can be had, else the digits that come with the package."""
    try:
        gipi.load_images("mnist", "test")
    except gipi.GipiError as error:
        print(f"{error}\n\nMNIST cannot be had here: going on with the 1,797 embedded digits.\n")
        return "deepconvnet-digits", "digits"
    return "deepconvnet-mnist", "mnist"


def run(*words: str) -> None:
    """One gipi command, shown as a user would type it; a failure ends the demo with the same exit code."""
    print(f"$ gipi {' '.join(words)}", flush=True)
    if code := subprocess.run([sys.executable, "-m", "gipi", *words], check=False).returncode:
        sys.exit(code)


def main() -> None:
    recipe, data = choose()
    folder = Path("runs") / f"demo-{data}"
    if not (folder / "config.json").exists():
        run("train", recipe, "--out", str(folder))
    elif not (folder / "report.html").exists():
        run("train", "--resume", str(folder))
    else:
        print(f"{folder} is trained already; remove it to train again")
    run("inspect", str(folder), "--mistakes", data, "--out", str(folder / "mistakes.png"))
    accuracy = gipi.load(folder).card.metrics["accuracy"]
    print(f"\ntest accuracy on {data}   {accuracy:.2%}")
    if data == "mnist":
        print(f"the textbook's            {TEXTBOOK:.2%}")
    else:
        print(f"(the textbook's {TEXTBOOK:.2%} is on MNIST: other digits, other difficulty)")
    print(f"""
open      {folder / "report.html"}
          {folder / "mistakes.png"}
try next  .venv/bin/gipi inspect {folder}
          .venv/bin/gipi predict {folder} a-photo-of-your-digit.jpg
          .venv/bin/gipi serve {folder}           and draw one
          .venv/bin/gipi train deepconvnet-book
          .venv/bin/gipi list""")


if __name__ == "__main__":
    main()
