"""Complete named configurations. `gipi train NAME` runs one; flags replace single values."""

from __future__ import annotations

from gipi import catalog
from gipi.recipes.act import ACT
from gipi.recipes.caption import CAPTION
from gipi.recipes.classify import CLASSIFY
from gipi.recipes.detect import DETECT
from gipi.recipes.generate import GENERATE
from gipi.recipes.recipe import Recipe
from gipi.recipes.segment import SEGMENT

RECIPES: dict[str, Recipe] = {**CLASSIFY, **SEGMENT, **DETECT, **CAPTION, **GENERATE, **ACT}

DEFAULT = "deepconvnet-mnist"
OFFLINE = "deepconvnet-digits"


def overview() -> dict[str, dict[str, str]]:
    """What there is, each with a line about it: recipes, shipped models, nets, data sets, games."""
    return {
        "recipes": {name: f"{recipe.about}; {recipe.cost}" for name, recipe in RECIPES.items()},
        "models": {name: model.about for name, model in catalog.SHIPPED.items()},
        "nets": {name: f"{net.title}, {net.year}, {net.parameters:,} parameters" for name, net in catalog.NETS.items()},
        "data": {name: f"{data.about}; {data.train:,} + {data.test:,} images" for name, data in catalog.DATASETS.items()},
        "games": {name: game.about for name, game in catalog.GAMES.items()},
    }
