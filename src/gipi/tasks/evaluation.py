"""The score of a model of any kind on a data set, or in an environment, by its name."""

from __future__ import annotations

from gipi.errors import ConfigError
from gipi.tasks.act_score import EPISODES, EPSILON, ActEvaluation, score_play
from gipi.tasks.boxes import load_boxes
from gipi.tasks.captioner import Captioner, CaptionEvaluation
from gipi.tasks.captions import load_captions
from gipi.tasks.classifier import Classifier, Evaluation
from gipi.tasks.committee import Committee
from gipi.tasks.detector import DetectEvaluation, Detector
from gipi.tasks.generator import Generator
from gipi.tasks.generator_score import GenerateEvaluation, score_on
from gipi.tasks.images import load_images
from gipi.tasks.masks import load_masks
from gipi.tasks.player import Player
from gipi.tasks.segmenter import Segmenter, SegmentEvaluation

Loaded = Captioner | Classifier | Detector | Generator | Player | Segmenter
Evaluations = Evaluation | DetectEvaluation | SegmentEvaluation | CaptionEvaluation | GenerateEvaluation | ActEvaluation


def score_model(
    loaded: Loaded | Committee, data: str, split: str, *, judge: str | None, episodes: int | None, epsilon: float | None
) -> Evaluations:
    """judge: of generators.  episodes, epsilon: of players.  Raises ConfigError where they are given for another kind."""
    does = loaded.KIND if not isinstance(loaded, Committee) else "classify"
    for flag, value, kind, whose in (
        ("judge", judge, "generate", "generators"),
        ("episodes", episodes, "act", "players"),
        ("epsilon", epsilon, "act", "players"),
    ):
        if value is not None and does != kind:
            raise ConfigError(f"--{flag} {value} is for {whose}, and this model does {does}: leave it out")
    if isinstance(loaded, Player):
        if split != "test":
            raise ConfigError(f"--split {split} is for data sets; a player plays the episodes of the test: leave it out")
        played = EPISODES if episodes is None else episodes
        return score_play(loaded, data, episodes=played, epsilon=EPSILON if epsilon is None else epsilon)
    if isinstance(loaded, Generator):
        return score_on(loaded, data, split, judge or "auto")
    if isinstance(loaded, Segmenter):
        return loaded.evaluate(load_masks(data, split))
    if isinstance(loaded, Detector):
        return loaded.evaluate(load_boxes(data, split))
    if isinstance(loaded, Captioner):
        return loaded.evaluate(load_captions(data, split, side=loaded.card.image[1:]))
    return loaded.evaluate(load_images(data, split, short=loaded.short))
