"""The tree of errors, grouped by what the reader of the message can do about it.

GipiError
    ConfigError    you asked wrongly: a name, a value or a combination that is not allowed
    DataError      a data set or an input file is missing, broken or of the wrong kind
    WeightsError   a file of weights is missing, broken, hostile or does not fit the net
    RunError       a training cannot start, go on or be read back
    DeviceError    this machine cannot compute what was asked
GipiWarning        what was asked can be done but is hardly what is wanted

A message says what is wrong, what was got, what is allowed and what mends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 30  # names that a message lists


class GipiError(Exception):
    """Any error that is not a bug of ours."""


class ConfigError(GipiError):
    """You asked for something that does not exist or does not fit together."""


class DataError(GipiError):
    """A data set or an input file is missing, broken or of the wrong kind."""


class WeightsError(GipiError):
    """A file of weights is missing, broken, hostile or does not fit the net."""


class RunError(GipiError):
    """A training cannot start, go on or be read back."""


class DeviceError(GipiError):
    """This machine cannot compute what was asked."""


class GipiWarning(UserWarning):
    """What was asked can be done but is hardly what is wanted."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the closest allowed one, and all of them, or the first of very many."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = [*names[:MOST], "..."] if len(names) > MOST else names
    return f"{hint} (allowed: {', '.join(shown)})"
