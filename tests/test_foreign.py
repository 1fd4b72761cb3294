"""Pickles of arrays: honest ones read exactly, every other one is a WeightsError and nothing in it runs."""

from __future__ import annotations

import ast
import pickle
import pickletools
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gipi import foreign
from gipi.errors import WeightsError
from gipi.foreign import read_numpy_pickle

PROTOCOLS = range(6)
CODES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path: Path):
    """Bytes -> what `read_numpy_pickle` makes of a file of them."""
    path = tmp_path / "weights.pkl"

    def read(data: bytes) -> dict[str, np.ndarray]:
        path.write_bytes(data)
        return read_numpy_pickle(path)

    return read


def book(protocol: int) -> bytes:
    mixed = np.random.default_rng(0)
    arrays = {"W1": mixed.normal(size=(3, 2, 3, 3)), "W8": mixed.normal(size=(4, 5)).T, "b1": np.zeros(3)}
    return pickle.dumps(arrays, protocol)


# --- honest files


@st.composite
def arrays(draw) -> np.ndarray:
    """Arrays of every allowed type and byte order, of 0 to 4 dimensions, in C, Fortran, mixed or strided order."""
    code, order = draw(st.sampled_from(CODES)), draw(st.sampled_from("<>"))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    mixed = np.random.default_rng(draw(st.integers(0, 99)))
    values = mixed.integers(0, 2 if code == "b1" else 100, size=shape)
    array = np.asarray(values).astype(order + code)
    layout = draw(st.sampled_from(["C", "F", "mixed", "strided"]))
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "mixed":
        return array.transpose(draw(st.permutations(range(array.ndim))))
    if layout == "strided" and array.ndim:
        return array[::-1]
    return array


@few
@given(written=st.dictionaries(st.text(max_size=5), arrays(), max_size=4), protocol=st.sampled_from(PROTOCOLS))
def test_reads_back_what_numpy_wrote(read, written, protocol):
    got = read(pickle.dumps(written, protocol))
    assert list(got) == list(written)
    for name, array in written.items():
        assert got[name].dtype == array.dtype.newbyteorder("=")
        assert got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array)
        assert got[name].flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_standard_librarys_python_pickler_is_read_too(read, protocol):
    array = np.arange(6.0).reshape(2, 3)
    got = read(pickle._dumps({"W": array, "same": array}, protocol))
    np.testing.assert_array_equal(got["W"], array)
    np.testing.assert_array_equal(got["same"], array)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_names_of_numpy_1_and_2_mean_the_same(read, protocol):
    data = book(protocol)
    old, new = data.replace(b"numpy._core.", b"numpy.core."), data.replace(b"numpy.core.", b"numpy._core.")
    assert old != new
    for name, array in read(old).items():
        np.testing.assert_array_equal(array, read(new)[name])


@pytest.mark.parametrize("protocol", [4, 5])
def test_names_of_numpy_1_and_2_mean_the_same_in_frames(read, protocol):
    """These protocols count the bytes of a name, and frames count the bytes of everything."""
    data, expected = book(protocol), pickle.loads(book(protocol))
    for part in ("multiarray", "numeric"):
        for spelling in (f"numpy.core.{part}", f"numpy._core.{part}"):
            other = spelling.replace("core", "_core") if "_core" not in spelling else spelling.replace("_core", "core")
            swapped = data.replace(bytes([len(spelling)]) + spelling.encode(), bytes([len(other)]) + other.encode())
            for name, array in read(swapped).items():
                np.testing.assert_array_equal(array, expected[name])


# What Python 2.7 with NumPy 1.16 writes for {"W1": np.array([1.5, -2.0])}.
PYTHON_2 = {
    "cPickle, protocol 0": b"(dp1\nS'W1'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntS'b'\ntRp5\n"
    b"(I1\n(I2\ntcnumpy\ndtype\np6\n(S'f8'\nI0\nI1\ntRp7\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0'\ntbs.",
    "pickle, protocol 0": b"(dp0\nS'W1'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
    b"tp6\nRp7\n(I1\n(L2L\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\n"
    b'tp14\nbI00\nS"\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0"\np15\ntp16\nbs.',
    "cPickle, protocol 1": b"}q\x01U\x02W1q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03(cnumpy\nndarray\nq\x04(K\x00tU\x01bt"
    b"Rq\x05(K\x01(K\x02tcnumpy\ndtype\nq\x06(U\x02f8K\x00K\x01tRq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    b"tbI00\nT\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf8?\x00\x00\x00\x00\x00\x00\x00\xc0tbs.",
    "cPickle, protocol 2": b"\x80\x02}q\x01U\x02W1q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
    b"\x85U\x01b\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02f8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ"
    b"\xff\xff\xff\xffK\x00tb\x89U\x10\x00\x00\x00\x00\x00\x00\xf8?\x00\x00\x00\x00\x00\x00\x00\xc0tbs.",
}


@pytest.mark.parametrize("data", PYTHON_2.values(), ids=PYTHON_2)
def test_reads_what_python_2_wrote(read, data):
    got = read(data)
    assert list(got) == ["W1"]
    assert got["W1"].dtype == np.float64
    np.testing.assert_array_equal(got["W1"], [1.5, -2.0])


def test_reads_every_byte_that_python_2_wrote_as_text(read):
    """All 256 bytes, as Python 2 shows them."""
    shown = repr(bytes(range(256)))[1:].encode()
    assert ast.literal_eval("b" + shown.decode()) == bytes(range(256))
    data = PYTHON_2["cPickle, protocol 0"]
    payload = data[data.rindex(b"S'") + 1 : data.rindex(b"\ntbs.")]
    data = data.replace(payload, shown).replace(b"(I2\n", b"(I256\n").replace(b"S'f8'", b"S'u1'").replace(b"S'<'", b"S'|'")
    np.testing.assert_array_equal(read(data)["W1"], np.arange(256))


# --- hostile files: programs written by hand; CANARY is where a payload would leave its trace


class Payload:
    def __init__(self, call: object, *arguments: object) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def dict_of(value: bytes) -> bytes:
    return b"\x80\x02}" + text("W1") + value + b"s."


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
FLOAT64 = b"cnumpy\ndtype\n(" + text("f8") + b"K\x00K\x01tR(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
OBJECT = b"cnumpy\ndtype\n(" + text("O8") + b"K\x00K\x01tR(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"


def array_of(shape: bytes, dtype: bytes, data: bytes) -> bytes:
    return RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


GOOD = dict_of(array_of(b"K\x01\x85", FLOAT64, b"C\x08" + bytes(8)))

TOUCH = "open('CANARY', 'w').close()"
SYSTEM = call("posix", "system", text("touch CANARY"))
HOSTILE = {
    "os.system": dict_of(call("os", "system", text("touch CANARY"))),
    "posix.system, protocol 0": b"cposix\nsystem\n(S'touch CANARY'\ntR.",
    "posix.system, then a good dict": SYSTEM + b"0" + book(2),
    "nt.system": dict_of(call("nt", "system", text("touch CANARY"))),
    "subprocess": dict_of(call("subprocess", "check_call", b"(" + text("touch") + text("CANARY") + b"l")),
    "builtins.eval": dict_of(call("builtins", "eval", text(TOUCH))),
    "__builtin__.eval": dict_of(call("__builtin__", "eval", text(TOUCH))),
    "builtins.exec": dict_of(call("builtins", "exec", text(TOUCH))),
    "builtins.open": dict_of(call("builtins", "open", text("CANARY"), text("w"))),
    "os.mkdir by stack": dict_of(text("os") + text("mkdir") + b"\x93(" + text("CANARY") + b"tR"),
    "runstring": dict_of(call("numpy.testing._private.utils", "runstring", text(TOUCH), b"}")),
    "numpy.f2py": dict_of(call("numpy.f2py.diagnose", "run_command", text("touch CANARY"))),
    "numpy load": dict_of(call("numpy", "load", text("CANARY"), b"N\x88")),
    "numpy memmap": dict_of(call("numpy", "memmap", text("CANARY"), text("u1"), text("w+"), b"K\x00K\x01\x85")),
    "numpy fromfile": dict_of(call("numpy.core.records", "fromfile", text("CANARY"))),
    "numpy scalar": pickle.dumps({"W1": np.float64(1)}),
    "_codecs.lookup": dict_of(call("_codecs", "lookup", text("rot13"))),
    "_codecs.encode, other codec": dict_of(call("_codecs", "encode", text("abc"), text("rot13"))),
    "data by another codec": dict_of(array_of(b"K\x01\x85", FLOAT64, call("_codecs", "encode", text("abcdefgh"), text("utf-8")))),
    "_codecs.encode, error handler": dict_of(call("_codecs", "encode", text("abc"), text("latin1"), text("evil"))),
    "_codecs.decode": dict_of(call("_codecs", "decode", b"C\x03abc", text("zip"))),
    "getattr chain": dict_of(
        call("builtins", "getattr", call("importlib", "import_module", text("os")), text("system"))
        + b"("
        + text("touch CANARY")
        + b"tR"
    ),
    "dotted name": b"\x80\x04" + dict_of(text("numpy") + text("ndarray.__class__.__base__") + b"\x93")[2:],
    "name through an allowed module": dict_of(b"cnumpy.core.multiarray\nos.system\n(" + text("touch CANARY") + b"tR"),
    "name with an escape": dict_of(b"cnumpy\n\\x64type\n" + b"(" + text("f8") + b"K\x00K\x01tR"),
    "name that is a tuple": b"\x80\x04" + dict_of(text("numpy") + text("dtype") + b"\x85\x93")[2:],
    "INST": b"(S'touch CANARY'\niposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\n" + text("touch CANARY") + b"o.",
    "NEWOBJ": dict_of(b"cnumpy\nndarray\nK\x01\x85\x81"),
    "NEWOBJ_EX": dict_of(b"cnumpy\nndarray\n)}\x92"),
    "EXT1": b"\x80\x02\x82\x01.",
    "persistent id": b"Pevil\n.",
    "binary persistent id": dict_of(text("evil") + b"Q"),
    "out-of-band buffer": b"\x80\x05" + dict_of(b"\x97")[2:],
    "payload class": pickle.dumps({"W1": Payload(eval, TOUCH)}),
    "payload as top": pickle.dumps(Payload(exec, TOUCH)),
    "payload in a list": pickle.dumps({"W1": [Payload(exec, TOUCH)]}),
    "payload as key": pickle.dumps([Payload(exec, TOUCH)]),
    "payload in an object array": pickle.dumps({"W1": np.array([Payload(exec, TOUCH)], dtype=object)}),
    "object array over raw bytes": dict_of(array_of(b"K\x01\x85", OBJECT, b"C\x08" + bytes(8))),
    "object dtype by buffer": dict_of(
        call("numpy.core.numeric", "_frombuffer", b"C\x08" + bytes(8), OBJECT, b"K\x01\x85", text("C"))
    ),
    "subclass in reconstruct": GOOD.replace(b"ndarray", b"matrix"),
    "dtype in reconstruct": GOOD.replace(b"ndarray", b"dtype"),
    "reconstruct with a shape": GOOD.replace(b"K\x00\x85C", b"K\x08\x85C"),
    "array without a state": dict_of(RECONSTRUCT),
    "two states": dict_of(
        array_of(b"K\x01\x85", FLOAT64, b"C\x08" + bytes(8)) + b"(K\x01K\x01\x85" + FLOAT64 + b"\x89C\x08" + bytes(8) + b"tb"
    ),
    "dtype without byte order": dict_of(array_of(b"K\x01\x85", FLOAT64[: FLOAT64.index(b"(K\x03")], b"C\x08" + bytes(8))),
    "unknown byte order": GOOD.replace(b"<", b"="),
    "byte order of single bytes": GOOD.replace(b"<", b"|"),
    "dtype with fields": dict_of(array_of(b"K\x01\x85", FLOAT64.replace(b"NNN", text("a") + b"NN", 1), b"C\x08" + bytes(8))),
    "state as a dict": dict_of(RECONSTRUCT + b"}" + text("__class__") + b"K\x01sb"),
    "state of a dict": b"\x80\x02}}" + text("__class__") + b"K\x01sb.",
    "state of a function": dict_of(b"cnumpy\ndtype\n}b"),
    "state pair of slots": dict_of(RECONSTRUCT + b"N}" + text("values") + b"K\x01s\x86b"),
    "call of a str": dict_of(text("numpy.dtype") + b"(" + text("f8") + b"K\x00K\x01tR"),
    "call with a str": dict_of(b"cnumpy\ndtype\n" + text("f8") + b"R"),
    "call of the enum by name": dict_of(text("DTYPE") + b")R"),
    "function as value": dict_of(b"cnumpy\ndtype\n"),
    "dtype as value": dict_of(FLOAT64),
    "int as value": pickle.dumps({"W1": 1}),
    "float as value": pickle.dumps({"W1": 1.0}),
    "dict as value": pickle.dumps({"W1": {"W": np.zeros(2)}}),
    "list as value": pickle.dumps({"W1": [np.zeros(2)]}),
    "tuple as value": pickle.dumps({"W1": (np.zeros(2),)}),
    "set as value": pickle.dumps({"W1": {1}}),
    "OrderedDict": pickle.dumps(OrderedDict(W1=np.zeros(2))),
    "structured": pickle.dumps({"W1": np.zeros(2, dtype=[("a", "f4")])}),
    "complex": pickle.dumps({"W1": np.zeros(2, dtype=complex)}),
    "str array": pickle.dumps({"W1": np.array(["a"])}),
    "bytes array": pickle.dumps({"W1": np.array([b"a"])}),
    "void array": pickle.dumps({"W1": np.zeros(2, dtype="V8")}),
    "dates": pickle.dumps({"W1": np.zeros(2, dtype="M8[s]")}),
    "long double": pickle.dumps({"W1": np.zeros(2, dtype=np.longdouble)}),
    "matrix": pickle.dumps({"W1": np.zeros((2, 2)).view(np.recarray)}),
    "masked": pickle.dumps({"W1": np.ma.zeros(2)}),
    "NaN": pickle.dumps({"W1": np.array([0, np.nan])}),
    "infinity": pickle.dumps({"W1": np.array([0, -np.inf], dtype=np.float16)}),
    "booleans of 2": dict_of(array_of(b"K\x01\x85", FLOAT64.replace(b"f8", b"b1").replace(b"<", b"|"), b"C\x01\x02")),
    "array as top": pickle.dumps(np.zeros(2)),
    "list as top": pickle.dumps([np.zeros(2)]),
    "None as top": pickle.dumps(None),
    "int keys": pickle.dumps({1: np.zeros(2)}),
    "bytes keys": pickle.dumps({b"W1": np.zeros(2)}),
    "key twice": b"\x80\x02}" + 2 * (text("W1") + array_of(b"K\x01\x85", FLOAT64, b"C\x08" + bytes(8)) + b"s") + b".",
    "odd items": b"\x80\x02}(" + text("W1") + b"u.",
    "dict in itself": b"\x80\x02}q\x00" + text("W1") + b"h\x00s.",
    "more behind": book(2) + b"}.",
    "more below": b"\x80\x02N" + book(2)[2:],
    "half a pair": b"\x80\x02K\x01\x86.",
    "open mark": b"\x80\x02(" + book(2)[2:],
    "too little data": dict_of(array_of(b"K\x02\x85", FLOAT64, b"C\x08" + bytes(8))),
    "too much data": dict_of(array_of(b"K\x01\x85", FLOAT64, b"C\x10" + bytes(16))),
    "negative size": dict_of(array_of(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", FLOAT64, b"C\x08" + bytes(8))),
    "size is a bool": dict_of(array_of(b"\x88\x85", FLOAT64, b"C\x08" + bytes(8))),
    "size is a str": dict_of(array_of(text("1") + b"\x85", FLOAT64, b"C\x08" + bytes(8))),
    "huge empty array": dict_of(array_of(b"K\x00\x8a\x09" + bytes(8) + b"\x01\x86", FLOAT64, b"C\x00")),
    "33 dimensions": dict_of(array_of(b"(" + 33 * b"K\x01" + b"t", FLOAT64, b"C\x08" + bytes(8))),
    "data beyond latin-1": dict_of(array_of(b"K\x01\x85", FLOAT64, text("\u0101\u0101\u0101\u0101"))),
    "axes that do not fit": dict_of(
        call(
            "numpy.core.numeric",
            "_frombuffer",
            b"C\x08" + bytes(8),
            FLOAT64,
            b"K\x01\x85",
            text("K"),
            b"K\x00K\x01\x86",
        )
    ),
    "axes that are no numbers": dict_of(
        call("numpy.core.numeric", "_frombuffer", b"C\x08" + bytes(8), FLOAT64, b"K\x01\x85", text("K"), b"N\x85")
    ),
    "empty file": b"",
    "only stop": b".",
    "no stop": book(2)[:-1],
    "zip": b"PK\x03\x04" + bytes(30),
    "torch.load's magic": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + book(2),
    "torch's tensor": dict_of(call("torch._utils", "_rebuild_tensor_v2", b"N")),
    "endless number": b"I" + 10**6 * b"9" + b"\n.",
    "endless memo key": b"Np" + 10**6 * b"9" + b"\n.",
}


def test_the_pieces_of_the_hostile_files_are_good(read):
    """Each of those is refused for what is wrong with it, not for how it was put together."""
    encoded = call("_codecs", "encode", text(8 * "\0"), text("latin1"))
    buffer = call("numpy.core.numeric", "_frombuffer", b"C\x08" + bytes(8), FLOAT64, b"K\x01\x85", text("K"), b"K\x00\x85")
    for data in (GOOD, dict_of(array_of(b"K\x01\x85", FLOAT64, encoded)), dict_of(buffer)):
        np.testing.assert_array_equal(read(data)["W1"], [0.0])


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_refuses(read, tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="was refused"):
        read(data)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pkl"]


def test_the_payloads_would_work(tmp_path, monkeypatch):
    """The canary can die: with the standard library's machine, the same bytes do run."""
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "CANARY"
    for name in (
        "os.system",
        "posix.system, protocol 0",
        "builtins.eval",
        "runstring",
        "INST",
        "OBJ",
        "payload class",
        "getattr chain",
    ):
        assert not canary.exists()
        pickle.loads(HOSTILE[name])
        assert canary.exists(), name
        canary.unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("os.system", r"asks for 'os\.system'"),
        ("object array over raw bytes", "type 'O8', which are no plain numbers"),
        ("NEWOBJ", r"instruction b'\\x81'"),
        ("list as top", r"instruction b'\]'"),
        ("array as top", "what it holds is not a dict"),
        ("int as value", "'W1' is not an array"),
        ("NaN", "'W1' holds NaN"),
        ("int keys", "key of type int"),
        ("array without a state", "'W1' is not an array"),
        ("dtype without byte order", "dtype without a byte order"),
        ("negative size", "array whose shape is not at most 32 sizes"),
        ("endless number", "number of too many digits"),
        ("half a pair", "instructions do not fit together"),
        ("too little data", r"8 bytes for an array of float64 of the shape \(2,\)"),
    ],
)
def test_says_what_was_met_and_what_is_allowed(read, name, reason):
    with pytest.raises(WeightsError, match=rf"weights\.pkl was refused: .*({reason}).*Allowed is a pickled dict"):
        read(HOSTILE[name])


# --- bombs: small files that would take much memory or time

ZEROS = b"B" + (10**5).to_bytes(4, "little") + bytes(10**5)
DOUBLED = b")" + b"".join(b"r" + n.to_bytes(4, "little") + b"j" + n.to_bytes(4, "little") + b"\x86" for n in range(60))
BOMBS = {
    "memo at 2**32 - 1": b"\x80\x02Nr\xff\xff\xff\xff.",
    "bytes of 2**63": b"\x80\x04\x8e" + (2**63).to_bytes(8, "little") + b".",
    "bytearray of 2**50": b"\x80\x05\x96" + (2**50).to_bytes(8, "little") + b".",
    "text of 2**32 - 1": b"\x80\x02X\xff\xff\xff\xff.",
    "frame of 2**63": b"\x80\x04\x95" + (2**63).to_bytes(8, "little") + b".",
    "long of 2**31 - 1": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "hash of a doubled tuple": b"\x80\x02}" + DOUBLED + b"Ns.",
    "doubled tuple as dtype": dict_of(b"cnumpy\ndtype\n(" + DOUBLED + b"K\x00K\x01tR"),
    "doubled tuple as name": dict_of(DOUBLED + text("x") + b"\x93"),
    "doubled tuple as value": dict_of(DOUBLED),
    "nested tuples": b"\x80\x02N" + 50_000 * b"\x85" + b".",
    "nested marks": 50_000 * b"(" + b".",
    "a million instructions": b"\x80\x02" + 10**6 * b"}" + b".",
    "the same text encoded again and again": b"\x80\x02("
    + text(10**6 * "a")
    + b"q\x00"
    + 99 * call("_codecs", "encode", b"h\x00", text("latin1"))
    + b"t.",
    "the same bytes in many arrays": b"\x80\x03}"
    + text("W")
    + array_of(b"M\xd4\x30\x85", FLOAT64, ZEROS + b"q\x00")
    + b"s"
    + b"".join(text(f"W{n}") + array_of(b"M\xd4\x30\x85", FLOAT64, b"h\x00") + b"s" for n in range(999))
    + b".",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_do_not_go_off(read, data):
    """The memory stays small; a bomb of time would show as a test that never ends."""
    tracemalloc.start()
    with pytest.raises(WeightsError):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6, "bytes"


def test_one_array_under_two_names_is_no_bomb(read):
    array = np.zeros(10**5)
    assert list(read(pickle.dumps({str(name): array for name in range(99)}))) == [str(name) for name in range(99)]


def test_too_long_a_file_is_not_read(read, monkeypatch):
    data = book(3)
    monkeypatch.setattr(foreign, "_MAX_BYTES", len(data))
    read(data)
    monkeypatch.setattr(foreign, "_MAX_BYTES", len(data) - 1)
    with pytest.raises(WeightsError, match="at most"):
        read(data)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.pkl", tmp_path):
        with pytest.raises(WeightsError, match="there is no file"):
            read_numpy_pickle(path)


# --- damaged files


def harmless(read, data: bytes) -> None:
    """Either numbers or a WeightsError: anything else, warnings too, fails the test."""
    try:
        arrays = read(data)
    except WeightsError:
        return
    assert all(type(name) is str and type(array) is np.ndarray and array.dtype.kind in "fiub" for name, array in arrays.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_files_are_refused(read, protocol):
    data = book(protocol)
    for length in range(0, len(data), 7):
        with pytest.raises(WeightsError):
            read(data[:length])


@settings(few, max_examples=300)
@given(
    data=st.sampled_from([book(protocol) for protocol in PROTOCOLS] + list(PYTHON_2.values())),
    flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_files_are_harmless(read, data, flips):
    damaged = bytearray(data)
    for place, value in flips:
        damaged[place % len(damaged)] = value
    harmless(read, bytes(damaged))


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
PIECES = [*OPCODES, text("f8"), text("<"), text("latin1"), b"K\x00", b"K\x01", b"h\x00", b"q\x00", RECONSTRUCT, FLOAT64]
PIECES += [
    b"cnumpy\ndtype\n",
    b"c_codecs\nencode\n",
    b"cnumpy.core.numeric\n_frombuffer\n",
    b"C\x08" + bytes(8),
    b"1\n",
    b"'\\d'\n",
]


@settings(few, max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30))
def test_garbage_is_harmless(read, pieces):
    harmless(read, b"\x80\x02" + b"".join(pieces) + b".")


def test_any_byte_of_a_small_file_may_be_wrong(read):
    data = PYTHON_2["cPickle, protocol 0"]
    for place in range(0, len(data), 2):
        for value in b"\x00\\'(.1dR\n\xff":
            harmless(read, data[:place] + bytes([value]) + data[place + 1 :])
