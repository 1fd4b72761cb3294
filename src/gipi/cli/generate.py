"""gipi predict with a generator: pictures and films of what it makes of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, cast

from tyro.conf import arg

from gipi.cli.common import print_json
from gipi.errors import ConfigError

if TYPE_CHECKING:
    from gipi.api import Generator
    from gipi.cli.predict import PredictArgs

FILMS = (".gif", ".mp4", ".mov", ".mkv")


class Made(Protocol):
    """A Generation, a Sum or a Reel. SUFFIX: of its file if none is named."""

    SUFFIX: ClassVar[str]

    def save(self, out: Path) -> None: ...
    def json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class GenerateArgs:
    """Flags of `gipi predict` for generators. Each image has a seed."""

    seed: Annotated[
        int | None,
        arg(
            help="0 if not given: of a generator's first image, the next one has the next; of a player's game; "
            "with --temperature, of chance",
            metavar="N",
        ),
    ] = None
    count: Annotated[
        int | None,
        arg(help="of a generator: how many images, 64 if not given; walkers, 16; rows between two seeds, 1", metavar="N"),
    ] = None
    class_: Annotated[str | None, arg(name="class", help="of a conditional generator: make this class alone", metavar="NAME")] = (
        None
    )
    walk: Annotated[
        tuple[int, ...] | None,
        arg(help="of a generator: a film from seed to seed and back to the first; -o film.gif or film.mp4", metavar="SEED..."),
    ] = None
    between: Annotated[
        tuple[int, int] | None,
        arg(help="of a generator: ten images from one seed's to the other's; -o film.gif there and back", metavar="SEED SEED"),
    ] = None
    arithmetic: Annotated[
        str | None,
        arg(help="of a generator: add and take away seeds, or means of some, as in 1,2,3-4,5,6+7,8,9", metavar="SUM"),
    ] = None
    epochs: Annotated[
        bool, arg(help="of a generator's run folder: a film of what the same noise gave after each epoch; -o film.gif")
    ] = False


def generate(args: PredictArgs, files: Sequence[Path]) -> int:
    """Write one picture or film, or a folder of single images."""
    if files:
        raise ConfigError(f"{args.model} makes images of noise and reads none: leave {files[0]} out")
    _check(args)
    made = _made(args)
    out = args.out or Path(Path(args.model).resolve().name.removesuffix(".safetensors") + made.SUFFIX)
    made.save(out)
    print_json({"model": args.model, "out": str(out), **made.json()}) if args.json else print(f"{out}: {made}")
    return 0


def _check(args: PredictArgs) -> None:
    """Raises ConfigError for flags that do not go together."""
    ways = [flag for flag in ("walk", "between", "arithmetic", "epochs") if getattr(args, flag) not in (None, False)]
    if len(ways) > 1:
        raise ConfigError(f"--{ways[0]} and --{ways[1]} are two pictures: ask for one at a time")
    for way in ways:
        if args.seed is not None:
            raise ConfigError(f"--seed {args.seed} and --{way}, whose noise is given: leave --seed out")
        if args.count is not None and way in ("arithmetic", "epochs"):
            raise ConfigError(f"--count {args.count} and --{way}, which is of a size of its own: leave --count out")
        if args.class_ is not None and way == "epochs":
            raise ConfigError(f"--class {args.class_} and --epochs, which shows what training has drawn: leave --class out")


def _made(args: PredictArgs) -> Made:
    from gipi import api, looks

    if args.epochs:
        return looks.epochs(args.model)
    model = cast("Generator", api.load(args.model))
    count = {} if args.count is None else {"count": args.count}
    if args.walk is not None:
        return model.walk(args.walk, label=args.class_, **count)
    if args.between and args.out and args.out.suffix.lower() in FILMS:
        return model.walk(args.between, label=args.class_, **{"count": 1, **count})
    if args.between:
        return model.between(*args.between, label=args.class_, **count)
    if args.arithmetic is not None:
        return model.arithmetic(args.arithmetic, label=args.class_)
    return model.make(seed=args.seed or 0, label=args.class_, **count)
