"""Foreign weights: pickled NumPy arrays of other programs, read without running anything.

A pickle is a program for a small stack machine, and the standard library's machine imports and calls what it names.
Ours knows only the instructions that write a dict of NumPy arrays of numbers, and to it a function's name is only a
name: nothing is imported, called or given attributes, so a hostile file has nothing to work with.

Sources: the opcodes in CPython's Lib/pickletools.py; `__reduce_ex__` of numpy.ndarray and numpy.dtype.
"""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gipi.errors import WeightsError

_MAX_BYTES = 256 * 2**20
_MAX_OPCODES = 100_000  # about 80 for an array
_MAX_DIMS = 32
_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


class _Name(Enum):
    """What a pickle of arrays may name; the values are how NumPy 1, NumPy 2, Python 2 and Python 3 spell it."""

    NDARRAY = ("numpy.ndarray",)
    DTYPE = ("numpy.dtype",)
    RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    FROMBUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
    ENCODE = ("_codecs.encode",)
    BYTES = ("__builtin__.bytes", "builtins.bytes")


_NAMES = {spelling: name for name in _Name for spelling in name.value}


@dataclass(eq=False)
class _Dtype:
    """A dtype as the file tells it; the byte order arrives after the object."""

    code: str
    order: str | None = None


@dataclass(eq=False)
class _Array:
    """An array as the file tells it; the values arrive after the object."""

    values: np.ndarray | None = None


def read_numpy_pickle(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled dict of name -> NumPy array of finite numbers, as `deepconvnet_params.pkl` of the book.

    Reads protocols 0 to 5, written by Python 2 or 3 and NumPy 1 or 2. The arrays are writable and in native byte order.
    Raises WeightsError if the file is missing, longer than 256 MiB, broken, or holds or asks for anything else.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise WeightsError(f"{path} has {size:,} bytes; of a foreign file at most {_MAX_BYTES:,} are read")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _checked(_Machine(data).run())
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = str(error) or type(error).__name__
    except LookupError:
        reason = "its instructions do not fit together"
    raise WeightsError(f"{path} was refused: {reason}. Allowed is a pickled dict of name -> NumPy array of finite numbers")


def _checked(top: object) -> dict[str, np.ndarray]:
    if not isinstance(top, dict):
        raise ValueError("what it holds is not a dict")
    arrays: dict[str, np.ndarray] = {}
    for key, value in top.items():
        if not isinstance(value, _Array) or value.values is None:
            raise ValueError(f"{key[:80]!r} is not an array")
        if not np.isfinite(value.values).all():
            raise ValueError(f"{key[:80]!r} holds NaN or infinite values")
        arrays[key] = value.values
    return arrays


class _Reader:
    """Takes the file apart. Raises ValueError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.stream = BytesIO(data)

    def take(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) != count:
            raise ValueError("it ends too early")
        return data

    def byte(self) -> int:
        return self.take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def sized(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "little"))

    def line(self) -> bytes:
        line = self.stream.readline()
        if not line.endswith(b"\n"):
            raise ValueError("it ends too early")
        return line[:-1]

    def number(self) -> int:
        line = self.line()
        if len(line) > 21:  # 64 bits and a sign; time grows with the square of the length
            raise ValueError("it has a number of too many digits")
        return int(line.removesuffix(b"L"))

    def quoted(self) -> str:
        """A string as Python 2 shows it, one character a byte."""
        line = self.line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise ValueError("it has a string without quotes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unknown escape, which stands for itself
            return line[1:-1].decode("unicode_escape")


_LITERALS: dict[bytes, Callable[[_Reader], object]] = {
    pickle.NONE: lambda file: None,
    pickle.NEWTRUE: lambda file: True,
    pickle.NEWFALSE: lambda file: False,
    pickle.EMPTY_TUPLE: lambda file: (),
    pickle.EMPTY_DICT: lambda file: {},
    pickle.INT: _Reader.number,  # 00 and 01 are False and True: the same numbers
    pickle.LONG: _Reader.number,
    pickle.LONG1: lambda file: int.from_bytes(file.sized(1), "little", signed=True),
    pickle.BININT: lambda file: int.from_bytes(file.take(4), "little", signed=True),
    pickle.BININT1: _Reader.byte,
    pickle.BININT2: lambda file: int.from_bytes(file.take(2), "little"),
    pickle.STRING: _Reader.quoted,
    pickle.SHORT_BINSTRING: lambda file: str(file.sized(1), "latin-1"),
    pickle.BINSTRING: lambda file: str(file.sized(4), "latin-1"),
    pickle.UNICODE: lambda file: str(file.line(), "raw-unicode-escape"),
    pickle.SHORT_BINUNICODE: lambda file: str(file.sized(1), "utf-8"),
    pickle.BINUNICODE: lambda file: str(file.sized(4), "utf-8"),
    pickle.BINUNICODE8: lambda file: str(file.sized(8), "utf-8"),
    pickle.SHORT_BINBYTES: lambda file: file.sized(1),
    pickle.BINBYTES: lambda file: file.sized(4),
    pickle.BINBYTES8: lambda file: file.sized(8),
    pickle.BYTEARRAY8: lambda file: file.sized(8),
    pickle.GLOBAL: lambda file: _named(str(file.line(), "utf-8"), str(file.line(), "utf-8")),
}
_PUTS = {pickle.PUT: _Reader.number, pickle.BINPUT: _Reader.byte, pickle.LONG_BINPUT: _Reader.word}
_GETS = {pickle.GET: _Reader.number, pickle.BINGET: _Reader.byte, pickle.LONG_BINGET: _Reader.word}
_HEADERS = {pickle.PROTO: 1, pickle.FRAME: 8}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}


def _named(module: object, name: object) -> _Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("it names a function by what is no str")
    spelling = f"{module}.{name}"
    if spelling not in _NAMES:
        raise ValueError(f"it asks for {spelling[:80]!r}, which no dict of arrays needs")
    return _NAMES[spelling]


class _Machine:
    """Runs a pickle whose values are None, bool, int, str, bytes, tuple, dict, _Name, _Dtype and _Array.

    Raises ValueError for what it refuses, and also TypeError, LookupError, OverflowError or MemoryError for garbage.
    """

    def __init__(self, data: bytes) -> None:
        self.file = _Reader(data)
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below the open marks
        self.memo: dict[int, Any] = {}
        self.spare = 2 * len(data)  # an honest file encodes and copies each of its bytes once

    def run(self) -> object:
        for _ in range(_MAX_OPCODES):
            opcode = self.file.take(1)
            if opcode == pickle.STOP:
                break
            self._obey(opcode)
        else:
            raise ValueError(f"it has more than {_MAX_OPCODES:,} instructions")
        if self.outer or len(self.stack) != 1 or self.file.stream.read(1):
            raise ValueError("something is left over behind its dict")
        return self.stack[0]

    def _obey(self, opcode: bytes) -> None:
        if opcode in _LITERALS:
            self.stack.append(_LITERALS[opcode](self.file))
        elif opcode in _GETS:
            self.stack.append(self.memo[_GETS[opcode](self.file)])
        elif opcode in _PUTS:
            self.memo[_PUTS[opcode](self.file)] = self.stack[-1]
        elif opcode == pickle.MEMOIZE:
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in _HEADERS:
            self.file.take(_HEADERS[opcode])
        elif opcode in _TUPLES:
            self.stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode == pickle.MARK:
            self.outer.append(self.stack)
            self.stack = []
        elif opcode == pickle.TUPLE:
            items = self._pop_mark()
            self.stack.append(tuple(items))
        elif opcode == pickle.DICT:
            items = self._pop_mark()
            self.stack.append({})
            self._fill(items)
        elif opcode == pickle.SETITEMS:
            self._fill(self._pop_mark())
        elif opcode == pickle.SETITEM:
            self._fill(self._pop(2))
        elif opcode == pickle.STACK_GLOBAL:
            self.stack.append(_named(*self._pop(2)))
        elif opcode == pickle.REDUCE:
            self.stack.append(self._call(*self._pop(2)))
        elif opcode == pickle.BUILD:
            target, state = self._pop(2)
            self._build(target, state)
            self.stack.append(target)
        else:
            raise ValueError(f"it has the instruction {opcode!r}, which no dict of arrays needs")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise LookupError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError("it sets items of what is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # before it is hashed: the hash of a nested tuple may take forever
                raise ValueError(f"it has a key of type {type(key).__name__}")
            if key in target:
                raise ValueError(f"it has the key {key[:80]!r} twice")
            target[key] = value

    def _call(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Name.BYTES, ():
                return b""
            case _Name.ENCODE, (str(text), "latin1"):
                self._spend(len(text))
                return text.encode("latin-1")
            case _Name.DTYPE, (str(code), 0, 1):
                if code not in _NUMBERS:
                    raise ValueError(f"it has elements of type {code[:80]!r}, which are no plain numbers")
                return _Dtype(code)
            case _Name.RECONSTRUCT, (_Name.NDARRAY, (0,), b"b" | "b"):
                return _Array()
            case _Name.FROMBUFFER, (bytes(data), _Dtype() as dtype, tuple(shape), "C" | "F" as order):
                return _Array(self._values(data, dtype, shape, order))
            case _Name.FROMBUFFER, (bytes(data), _Dtype() as dtype, tuple(shape), "K", tuple(axes)):
                return _Array(self._values(data, dtype, shape, "C").transpose(axes))
        raise ValueError("it makes a call that no dict of arrays needs")

    def _build(self, target: object, state: object) -> None:
        match target, state:
            case _Dtype(code, None), (3, "<" | ">" | "|" as order, None, None, None, -1, -1, 0):
                if (order == "|") != code.endswith("1"):
                    raise ValueError(f"the byte order {order!r} does not suit {code!r}")
                target.order = order
            case _Array(None), (1, tuple(shape), _Dtype() as dtype, 0 | 1 as fortran, bytes() | str() as data):
                payload = data.encode("latin-1") if isinstance(data, str) else data  # Python 2 has no bytes
                target.values = self._values(payload, dtype, shape, "F" if fortran else "C")
            case _:
                raise ValueError("it gives an object a state that no dict of arrays needs")

    def _values(self, data: bytes, dtype: _Dtype, shape: tuple[Any, ...], order: Literal["C", "F"]) -> np.ndarray:
        if dtype.order is None:
            raise ValueError("it has a dtype without a byte order")
        if len(shape) > _MAX_DIMS or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"it has an array whose shape is not at most {_MAX_DIMS} sizes")
        kind = np.dtype(dtype.order + dtype.code)
        if math.prod(shape) * kind.itemsize != len(data):
            raise ValueError(f"it has {len(data):,} bytes for an array of {kind} of the shape {shape}")
        if dtype.code == "b1" and data.strip(b"\0\1"):
            raise ValueError("it has booleans that are neither 0 nor 1")
        self._spend(len(data))
        return np.frombuffer(data, kind).reshape(shape, order=order).astype(kind.newbyteorder("="))

    def _spend(self, count: int) -> None:
        self.spare -= count
        if self.spare < 0:
            raise ValueError("it unfolds into more than it holds")
