"""Small copies: the same as made one by one, kept whole or not at all, made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections import namedtuple
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from gipi.data import pictures
from gipi.data.entry import Entry, listed
from gipi.data.pictures import copies
from gipi.data.threads import in_threads
from gipi.errors import DataError
from gipi.ops.image import open_image, shrink
from oracle.photos import photo

SHORT = 8


def entry(path: Path, offset: int = 0, size: int = 0) -> Entry:
    return Entry(path, 0, "", path.name, offset, size)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    suffixes = [".png", ".jpg", ".webp", ".bmp", ".gif", ".tif"]
    return [entry(photo(tmp_path / "in" / f"{n}{suffixes[n % 6]}", seed=n, size=(10 + n, 20))) for n in range(30)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "pictures"


def one_by_one(entries: list[Entry]) -> Tensor:
    return torch.stack([shrink(open_image(e.path, least=SHORT), SHORT) for e in entries])


def kept(out: Path) -> list[str]:
    return sorted(path.suffix for path in out.iterdir())


# What copies are


def test_copies_are_those_made_one_by_one_in_their_order(entries: list[Entry], out: Path) -> None:
    images, broken = copies(entries, short=SHORT, folder=out)
    assert broken == {}
    assert images.dtype == torch.uint8
    assert torch.equal(images, one_by_one(entries))
    again, _ = copies(entries[::-1], short=SHORT, folder=out)
    assert torch.equal(again, images.flip(0))


def test_broken_pictures_are_told_by_number_and_have_no_copy(entries: list[Entry], out: Path) -> None:
    good = one_by_one(entries)
    entries[0].path.write_bytes(b"")
    entries[3].path.write_text("no picture")
    entries[7].path.write_bytes(entries[7].path.read_bytes()[:-40])
    entries[29].path.unlink()
    for _ in ("cold", "warm"):
        images, broken = copies(entries, short=SHORT, folder=out)
        assert sorted(broken) == [0, 3, 7, 29]
        assert broken[0].startswith("is empty (0 bytes)")
        assert broken[3].startswith("(10 bytes) is not a PNG,")
        assert broken[7].startswith("is broken or cut off")
        assert broken[29] == "cannot be read: No such file or directory"
        assert torch.equal(images, good[[n for n in range(30) if n not in broken]])


def test_all_are_broken(tmp_path: Path, out: Path) -> None:
    for _ in ("cold", "warm"):
        images, broken = copies([entry(tmp_path / "none.png")] * 2, short=SHORT, folder=out)
        assert (images.shape, len(broken)) == ((0, 3, SHORT, SHORT), 2)


def test_parts_of_a_file_are_read_where_they_lie(entries: list[Entry], tmp_path: Path, out: Path) -> None:
    joined, places = tmp_path / "joined", []
    with joined.open("wb") as file:
        file.write(b"head")
        for e in entries:
            data = e.path.read_bytes()
            places.append(entry(joined, file.tell(), len(data)))
            file.write(data)
        places.append(entry(joined, file.tell(), 0))
        file.write(b"tail")
    images, broken = copies(places, short=SHORT, folder=out)
    assert torch.equal(images, one_by_one(entries))
    assert list(broken) == [30], "a part of no bytes is not the whole file"
    assert broken[30].startswith("is empty")


def test_a_large_jpeg_is_decoded_small(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr(pictures, "shrink", lambda image, short: sizes.append(image.size) or shrink(image, short))
    copies([entry(photo(tmp_path / "a.jpg", size=(400, 300)))], short=SHORT, folder=out)
    assert sizes == [(50, 38)]


# How they are kept


def test_the_second_time_nothing_is_decoded(entries: list[Entry], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = copies(entries, short=SHORT, folder=out)
    assert kept(out) == [".json", ".lock", ".uint8"]
    monkeypatch.setattr(pictures, "in_threads", lambda *_: pytest.fail("decoded again"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(copies(entries, short=SHORT, folder=out)[0], images)


def changed(entries: list[Entry], how: str) -> tuple[list[Entry], int]:
    """The pictures and a shorter side, after a change that must be seen."""
    path = entries[2].path
    if how == "content":
        photo(path, seed=99, size=(12, 20))
        os.utime(path, ns=(0, 4711))
    elif how == "time":
        os.utime(path, ns=(0, 4711))
    elif how == "mode":
        path.chmod(0o640)
    elif how == "gone":
        path.unlink()
    return {
        "order": [*entries[1:], entries[0]],
        "fewer": entries[:-1],
        "part": [entries[0]._replace(offset=1, size=5), *entries[1:]],
    }.get(how, entries), SHORT + (how == "short")


@pytest.mark.parametrize("how", ["content", "time", "mode", "gone", "order", "fewer", "part", "short"])
def test_a_change_is_seen(how: str, entries: list[Entry], out: Path) -> None:
    copies(entries, short=SHORT, folder=out)
    now, short = changed(entries, how)
    copies(now, short=short, folder=out)
    assert kept(out).count(".uint8") == 2


def test_files_of_the_same_size_and_time_elsewhere_are_others(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Image.new("RGB", (9, 9), colour).save("1.bmp")
        os.utime("1.bmp", ns=(0, 4711))
        images, _ = copies([entry(Path("1.bmp"))], short=SHORT, folder=out)
        assert images[0, :, 4, 4].tolist() == ([255, 0, 0] if colour == "red" else [0, 0, 255])


def test_labels_and_splits_do_not_matter(entries: list[Entry], out: Path) -> None:
    copies(entries, short=SHORT, folder=out)
    copies([e._replace(label=1, split="train") for e in entries], short=SHORT, folder=out)
    assert kept(out).count(".uint8") == 1


def test_a_change_of_the_tensor_does_not_reach_the_file(entries: list[Entry], out: Path) -> None:
    images, _ = copies(entries, short=SHORT, folder=out)
    before = images.clone()
    images.zero_()
    assert torch.equal(copies(entries, short=SHORT, folder=out)[0], before)


def test_more_than_memory_is_mapped_all_the_same(entries: list[Entry], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memmap = np.memmap

    def scarce(path: Path, dtype: type, mode: str, shape: tuple[int, ...]) -> np.memmap:
        if mode == "c":
            raise OSError(12, "Cannot allocate memory")
        return memmap(path, dtype, mode, shape=shape)

    monkeypatch.setattr(np, "memmap", scarce)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = copies(entries, short=SHORT, folder=out)
    assert torch.equal(images, one_by_one(entries))


@pytest.mark.parametrize("damage", ["no notes", "notes cut", "notes of another kind", "copies cut", "no copies"])
def test_what_is_not_whole_is_made_anew(damage: str, entries: list[Entry], out: Path) -> None:
    expected = copies(entries, short=SHORT, folder=out)[0].clone()
    [path], [notes] = out.glob("*.uint8"), out.glob("*.json")
    if damage == "no notes":
        notes.unlink()
    elif damage == "notes cut":
        notes.write_text("{")
    elif damage == "notes of another kind":
        notes.write_text("5")
    elif damage == "copies cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    images, broken = copies(entries, short=SHORT, folder=out)
    assert torch.equal(images, expected)
    assert broken == {}


CHILD = """
import sys, time
from pathlib import Path
from gipi.data import pictures
from gipi.data.entry import Entry
slow, folder, *paths = sys.argv[1:]
copy = pictures._copy
def slowly(entry, short):
    time.sleep(float(slow))
    return copy(entry, short)
pictures._copy = slowly
images, broken = pictures.copies([Entry(Path(p), 0, "", p) for p in paths], short=8, folder=Path(folder))
print(int(images.sum()), flush=True)
"""


def another_process(entries: list[Entry], out: Path, slow: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHILD, str(slow), str(out), *(str(e.path) for e in entries)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX kill and flock")
def test_a_killed_process_leaves_nothing_that_counts_and_two_share_the_work(entries, out, monkeypatch) -> None:
    victim = another_process(entries, out, slow=5)
    wait(lambda: list(out.glob("*.part")))
    victim.kill()
    victim.communicate(timeout=20)
    assert kept(out) == [".lock", ".part"]
    [leftover] = out.glob("*.part")
    other = another_process(entries, out, slow=0.1)
    wait(lambda: set(out.glob("*.part")) - {leftover})
    expected = one_by_one(entries)
    monkeypatch.setattr(pictures, "in_threads", lambda *_: pytest.fail("decoded here, too"))
    images, _ = copies(entries, short=SHORT, folder=out)  # waits for the other
    assert torch.equal(images, expected)
    assert other.communicate(timeout=60)[0] == f"{int(expected.sum())}\n"
    assert kept(out) == [".json", ".lock", ".uint8"], "the leftover is swept"


def test_ctrl_c_leaves_nothing(entries: list[Entry], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert kept(out) == [".lock", ".part"]
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "in_threads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        copies(entries, short=SHORT, folder=out)
    assert kept(out) == [".lock"]


def test_too_little_room_is_said_before_any_work(entries: list[Entry], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = round(1.05 * 30 * 3 * SHORT * SHORT)
    room = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room(0, 0, need - 1))
    with pytest.raises(DataError, match=r"30 pictures need 0\.00 GB, but the disk of .* has 0\.00 GB left; set GIPI_CACHE"):
        copies(entries, short=SHORT, folder=out)
    assert kept(out) == [".lock"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room(0, 0, need))
    copies(entries, short=SHORT, folder=out)


def test_a_folder_that_cannot_be_made_or_written(entries: list[Entry], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be kept in .*set GIPI_CACHE to a folder that can be written"):
        copies(entries, short=SHORT, folder=out)
    out.parent.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "in_threads", full)
    with pytest.raises(DataError, match=r"No space left on device"):
        copies(entries, short=SHORT, folder=out)
    assert kept(out) == [".lock"]


# Threads


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=60))
def test_work_is_taken_in_order_whatever_ends_first(delays: list[int]) -> None:
    taken: list[tuple[int, int]] = []

    def work(delay: int) -> int:
        time.sleep(delay / 5000)
        return 10 * delay

    in_threads(work, delays, lambda number, result: taken.append((number, result)), "")
    assert taken == [(number, 10 * delay) for number, delay in enumerate(delays)]


def test_work_is_done_by_several_threads_and_not_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    together, begun = threading.Barrier(3, timeout=20), []

    def work(number: int) -> None:
        begun.append(number)
        if number < 3:
            together.wait()  # until three are at work

    in_threads(work, range(100), lambda number, _: begun and (max(begun) <= number + 8 * 3 or pytest.fail("far ahead")), "")
    assert sorted(begun) == list(range(100))


def test_an_error_of_the_work_or_the_taking_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 // n, [1, 0, 1], lambda *_: None, "")
    with pytest.raises(KeyError):
        in_threads(lambda n: n, [1], lambda *_: {}[0], "")


def test_pillow_is_silent_in_threads_and_warnings_are_as_before(tmp_path: Path, out: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    data = BytesIO()
    image.save(data, "PNG", transparency=b"\xff\x00")
    (tmp_path / "p.png").write_bytes(data.getvalue())
    before = list(warnings.filters)
    copies([entry(tmp_path / "p.png")] * 40, short=SHORT, folder=out)
    assert warnings.filters == before


class Terminal(BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("count", "terminal", "shown"), [(501, True, True), (500, True, False), (501, False, False)])
def test_a_bar_for_many_pictures_on_a_terminal(count: int, terminal: bool, shown: bool, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    in_threads(lambda n: n, range(count), lambda *_: None, "reading pictures")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("reading pictures" in captured.err) == shown


def test_lists_in_messages() -> None:
    assert listed([]) == ""
    assert listed([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert listed([str(n) for n in range(1511)], "|").endswith("|9|and 1,501 more")
