"""CIFAR-10 in both its forms, made by the test: pixels and labels come back; what is broken says how."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from gipi.data import cifar, fetch
from gipi.data.cifar import cifar10
from gipi.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 7).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")
    (tmp_path / "cifar10").mkdir()
    return tmp_path / "cifar10"


def archive(path, parts):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in parts.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def records(pixels, labels):
    return np.concatenate([labels[:, None], pixels.reshape(len(pixels), -1)], 1).tobytes()


def jpegs(path, pixels, labels, size=(32, 32)):
    parts = []
    for picture in pixels:
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).resize(size).save(file, "JPEG", quality=75)
        parts.append(file.getvalue())
    offset = np.cumsum([0, *map(len, parts)])
    np.savez(path, jpeg=np.frombuffer(b"".join(parts), np.uint8), offset=offset, label=labels)


def test_the_archive_gives_its_pixels(folder):
    parts = {f"data_batch_{n + 1}.bin": records(PIXELS[n : n + 1], LABELS[n : n + 1]) for n in range(5)}
    archive(folder / "cifar-10-binary.tar.gz", {**parts, "test_batch.bin": records(PIXELS[5:], LABELS[5:])})
    train, test = cifar10("train"), cifar10("test")
    assert np.array_equal(train.images.numpy(), PIXELS[:5])
    assert np.array_equal(test.images.numpy(), PIXELS[5:])
    assert [*train.labels, *test.labels] == LABELS.tolist()
    assert (train.name, train.classes[0], len(train.classes)) == ("cifar10", "airplane", 10)


def test_the_jpeg_copy_is_decoded_and_named_as_such(folder):
    jpegs(folder / "cifar10_test_jpeg.npz", PIXELS, LABELS)
    test = cifar10("test")
    with np.load(folder / "cifar10_test_jpeg.npz") as file:
        first = file["jpeg"][: file["offset"][1]].tobytes()
    assert np.array_equal(test.images[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(io.BytesIO(first))))
    assert test.name == "cifar10-jpeg"
    assert test.labels.tolist() == LABELS.tolist()


def test_the_canonical_form_comes_first(folder):
    jpegs(folder / "cifar10_test_jpeg.npz", PIXELS, LABELS)
    archive(folder / "cifar-10-binary.tar.gz", {"test_batch.bin": records(PIXELS, LABELS)})
    assert cifar10("test").name == "cifar10"


@pytest.mark.parametrize("fault", ["short", "no part", "no tar", "empty"])
def test_a_broken_archive_is_named(folder, fault):
    path = folder / "cifar-10-binary.tar.gz"
    if fault == "no tar":
        path.write_bytes(b"x" * 1000)
    else:
        data = {"short": records(PIXELS, LABELS)[:-1], "no part": b"", "empty": b""}[fault]
        archive(path, {"other.bin" if fault == "no part" else "test_batch.bin": data})
    with pytest.raises(DataError, match=r"(?s)cifar-10-binary.tar.gz: expected .*; delete it or replace it"):
        cifar10("test")


def test_a_broken_copy_is_named(folder):
    path = folder / "cifar10_test_jpeg.npz"
    for broken in (b"", b"x" * 100):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"cifar10_test_jpeg.npz: expected 32x32 JPEGs"):
            cifar10("test")
    jpegs(path, PIXELS, LABELS, size=(31, 32))
    with pytest.raises(DataError, match="an image of 31x32"):
        cifar10("test")
    np.savez(path, jpeg=np.zeros(10, np.uint8), offset=np.array([0, 10]), label=LABELS[:1])
    with pytest.raises(DataError, match="expected 32x32 JPEGs"):
        cifar10("test")


@pytest.mark.slow
def test_the_mean_and_deviation_are_those_of_the_training_pixels(monkeypatch):
    def no_download(*_):
        raise DataError("no download in a test")

    monkeypatch.setattr(fetch, "download", no_download)
    try:
        train = cifar10("train")
    except DataError:
        pytest.skip("CIFAR-10 is not on this machine")
    assert train.labels.bincount().tolist() == [5000] * 10
    images = train.images.float() / 255
    assert images.mean((0, 2, 3)).tolist() == pytest.approx(cifar.MEAN, abs=1e-3)
    assert images.std((0, 2, 3)).tolist() == pytest.approx(cifar.STD, abs=3e-3)


def test_another_split_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        cifar10("trian")
