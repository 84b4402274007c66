"""What the tests of files share: archives made by hand."""

import io
import zipfile

import pytest

from minigrad.io import Limits, torch_zip
from minigrad.io.storage import TensorRecord
from minigrad.io.torch_pickle import encode
from tests.io.records import RecordMaker


@pytest.fixture(scope="session")
def make_archive():
    """A function that makes an archive of a pickle and of other entries (None takes a usual one away)."""

    def make(pickle=None, entries=(), root="archive", compression=zipfile.ZIP_STORED):
        usual = {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"}
        usual.update(entries)
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for name, content in usual.items():
                if content is not None:
                    archive.writestr(f"{root}/{name}" if root else name, content)
        stream.seek(0)
        return stream

    return make


@pytest.fixture(scope="session")
def read_records():
    """A function that reads an archive, its tensors as records."""

    def read(stream, limits=None):
        stream.seek(0)
        return torch_zip.read(stream, RecordMaker(), limits or Limits())

    return read


@pytest.fixture(scope="session")
def write_records():
    """A function that gives an archive of an object with records for tensors."""

    def write(value):
        pickle, storages = encode(value, lambda leaf: leaf if isinstance(leaf, TensorRecord) else None)
        stream = io.BytesIO()
        torch_zip.write(stream, pickle, storages)
        stream.seek(0)
        return stream

    return write
