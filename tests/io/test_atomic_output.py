"""Files are written whole or not at all, and streams of every kind will do."""

import io
import os
import stat
import threading

import numpy as np
import pytest

from minigrad import Tensor
from minigrad.io import load, save, save_safetensors


def test_names_and_streams(tmp_path):
    for name in (tmp_path / "a.pt", str(tmp_path / "b.pt")):
        save({"weight": Tensor(np.arange(2.0))}, name)
        assert load(name)["weight"].tolist() == [0, 1]
    with open(tmp_path / "c.pt", "wb") as stream:
        save(7, stream)
        assert not stream.closed
    with open(tmp_path / "c.pt", "rb", buffering=0) as stream:
        assert load(stream) == 7
        assert not stream.closed
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "b.pt", "c.pt"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.pt"
    save("old", path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        save("new", path)
    assert load(path) == "old"
    assert os.listdir(tmp_path) == ["file.pt"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "file.pt"
    save([0] * 1000, path)
    seen = []

    def read():
        for _ in range(50):
            seen.append(load(path))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        save([number] * 1000, path)
    reader.join()
    assert len(seen) == 50
    assert all(len(set(value)) == 1 for value in seen)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links(tmp_path):
    path, link = tmp_path / "file.pt", tmp_path / "link.pt"
    save(1, path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o600)
    link.symlink_to(path)
    save(2, link)
    assert link.is_symlink()
    assert load(path) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    save(3, os.devnull)
    assert not os.path.isfile(os.devnull)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="the system has no names for open files")
def test_pipe_by_its_name():
    source, sink = os.pipe()
    with open(source, "rb") as reader:
        with open(sink, "wb"):
            save({"epoch": 3}, f"/dev/fd/{sink}")
        assert load(io.BytesIO(reader.read())) == {"epoch": 3}


class Trickle:
    """A stream that takes a hundred bytes at a time, as a pipe or a socket may, and can do nothing else."""

    def __init__(self):
        self.content = b""

    def write(self, content):
        self.content += bytes(content[:100])
        return len(content[:100])


class ReadOnly:
    """A stream without ``readinto``."""

    def __init__(self, content):
        inner = io.BytesIO(content)
        self.read, self.seek, self.tell = inner.read, inner.seek, inner.tell


def test_streams_that_do_little():
    value, whole, trickle = {"weight": Tensor(np.arange(1000.0)), "epoch": 3}, io.BytesIO(), Trickle()
    save(value, whole)
    save(value, trickle)
    assert trickle.content == whole.getvalue()
    result = load(ReadOnly(trickle.content))
    assert result["weight"].tolist() == list(range(1000))
    assert result["epoch"] == 3


def test_missing_folder_is_told_by_the_name_that_was_given(tmp_path):
    for name in ("missing/a.pt", "missing/a.safetensors"):
        with pytest.raises(FileNotFoundError) as caught:
            save({"weight": Tensor(np.zeros(2))}, tmp_path / name)
        assert caught.value.filename == os.path.realpath(tmp_path / name)
    assert not os.listdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        save(1, "")


class Full(io.RawIOBase):
    """A stream that takes only so much, and then answers as a full pipe does that must not block, or a sloppy one."""

    def __init__(self, answer):
        self.left, self.answer = 200, answer

    def writable(self):
        return True

    def write(self, content):
        if not self.left:
            return self.answer
        self.left -= (taken := min(self.left, len(content)))
        return taken


@pytest.mark.parametrize("answer", [None, 0])
@pytest.mark.parametrize("save_to", [save, save_safetensors])
def test_stream_that_takes_no_more(save_to, answer):
    stream = Full(answer)
    with pytest.raises(BlockingIOError, match=r"expected the stream to take .* got none taken"):
        save_to({"weight": Tensor(np.arange(1000.0))}, stream)
    stream.close()
