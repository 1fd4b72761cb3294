"""What `gipi eval` calls each score, and how it writes it."""

from __future__ import annotations

from collections.abc import Mapping

WORDS = {
    "accuracy": "accuracy",
    "top5": "among the best five",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "class_accuracy": "class accuracy",
    "boundary_f1": "boundary F1",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ar100": "AR100",
    "voc_ap": "VOC AP",
    "voc_ap11": "VOC AP of 11 points",
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "exact": "exact",
    "precision": "precision",
    "recall": "recall",
    "confidence": "confidence",
    "least_class": "rarest class",
    "most_class": "commonest class",
    "as_asked": "as asked for",
}  # of metrics that are shares
PLAIN = {
    "loss": ("loss", ".4f"),
    "cider": ("CIDEr-D", ".4f"),
    "perplexity": ("perplexity", ".4f"),
    "frechet": ("Fréchet distance", ".4f"),
    "diversity": ("diversity", ".4f"),
    "return": ("return", ",.2f"),
    "length": ("length", ",.0f"),
    "clipped": ("return of clipped rewards", ",.2f"),
    "predicted": ("Q", ".3f"),
    "realised": ("what came true of it", ".3f"),
    "drift": ("drift of Q", "+.3f"),
}  # of those that are not


def scores(result: Mapping[str, float], judge: str = "") -> str:
    """All of them in a line; a spread stands behind the return that it is of."""
    plain = {**PLAIN, "frechet": ("FID", ".4f")} if judge == "Inception" else PLAIN
    texts = list[str]()
    for name, value in result.items():
        if name == "spread":
            texts[-1] += f" ± {value:,.2f}"
        elif name in plain:
            words, decimals = plain[name]
            texts.append(f"{words} {value:{decimals}}")
        else:
            texts.append(f"{WORDS[name]} {value:.2%}")
    return ", ".join(texts)
