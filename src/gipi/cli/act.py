"""gipi predict with a player: a film of a game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from gipi.cli.common import print_json
from gipi.errors import ConfigError

if TYPE_CHECKING:
    from gipi.cli.predict import PredictArgs


@dataclass(frozen=True, kw_only=True)
class ActArgs:
    """Flags of `gipi predict` for players."""

    epsilon: Annotated[
        float | None, arg(help="of a player: share of moves at random, 0 to 1; 0 if not given: none", metavar="SHARE")
    ] = None
    steps: Annotated[
        int | None, arg(help="of a player: at most so many decisions of the game; 3,000 if not given", metavar="N")
    ] = None


def act(args: PredictArgs, files: Sequence[Path]) -> int:
    """Write the film of one game."""
    if files:
        raise ConfigError(f"{args.model} plays a game and reads no pictures: leave {files[0]} out")
    from gipi import looks

    most = {} if args.steps is None else {"most": args.steps}
    reel = looks.watch(args.model, seed=args.seed or 0, epsilon=args.epsilon or 0.0, **most)
    out = args.out or Path(Path(args.model).resolve().name.removesuffix(".safetensors") + reel.SUFFIX)
    reel.save(out)
    print_json({"model": args.model, "out": str(out), **reel.json()}) if args.json else print(f"{out}: {reel}")
    return 0
