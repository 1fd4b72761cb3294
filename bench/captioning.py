"""Scores of a captioning recipe on its test set: python bench/captioning.py RECIPE [--seeds N] [--runs DIR...].

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. With --runs
nothing is trained: the scores are those of these finished runs of the recipe. The test set is looked at once in each run, after
its last step; the first run's model answers it again, to hold our BLEU against sacrebleu's and to count its copies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU

import gipi
from common import Row, card_scores, over_seeds, row, write
from gipi.config import Config
from gipi.engine.place import decide_place
from gipi.ops.nearest import copied
from gipi.ops.text import scored
from gipi.runs import Run
from gipi.tasks.captioner import Captioner
from gipi.tasks.captions import load_captions, training_sentences

SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "exact")


def cider(recipe: str, runs: list[Run]) -> Row:
    """CIDEr-D on the runs' cards: no share, it goes from 0 to 10."""
    values, split = [gipi.load(run.path).card.metrics["cider"] for run in runs], f"{runs[0].config()['data']['name']} test"
    return row(f"{recipe}: cider", values, "of 10", split=split, mean=True)


def again(recipe: str, run: Run) -> list[Row]:
    """Of the answers to the whole test set: how far our BLEU-4 is off sacrebleu's, how many there are, how many are copies."""
    data = Config.from_json(run.config()).data
    model = Captioner.load(run.model_path, decide_place(device="cpu", precision="fp32"))
    test = load_captions(data.name, "test", side=data.size)
    result = model.evaluate(test)
    said = [" ".join(scored(answer)) for answer in result.answers]
    most = max(map(len, test.captions))
    references = [[" ".join(scored(each[n])) if n < len(each) else None for each in test.captions] for n in range(most)]
    theirs = BLEU(tokenize="none", smooth_method="none").corpus_score(said, references).score
    split, note, off = f"{data.name} test", f"{len(test):,} images", abs(100 * result.metrics["bleu4"].value - theirs)
    return [
        row(f"{recipe}: BLEU-4 off sacrebleu's", [off], "points", split=split, note=note),
        row(f"{recipe}: perplexity", [result.metrics["perplexity"].value], "", split=split, note=note),
        row(f"{recipe}: different sentences", [100 * len(set(said)) / len(said)], "% of all", split=split, note=note),
        row(
            f"{recipe}: copies of a training caption",
            [100 * copied(result.answers, training_sentences(data.name))],
            "% of all",
            split=split,
            note=note,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=[name for name, recipe in gipi.RECIPES.items() if recipe.config.kind == "caption"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    runs = [Run.open(path) for path in asked.runs] or over_seeds(asked.recipe, asked.seeds)
    if not runs:
        raise SystemExit(f"{asked.recipe}: another process is at the other seeds")
    rows = [*card_scores(asked.recipe, runs, SCORES), cider(asked.recipe, runs), *again(asked.recipe, runs[0])]
    write("captioning", rows, keep=True)


if __name__ == "__main__":
    main()
