"""``python -m minigrad.io inspect``: everything in a file is listed, nothing in it is run, and its names stay text."""

import argparse
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import Tensor
from minigrad.io import inspect as inspect_module
from minigrad.io import save, save_safetensors
from minigrad.io.__main__ import main
from minigrad.io.inspect import inspect_file
from minigrad.nn.parameter import Parameter
from tests.io.old_formats import tar_of_arrays

PROTO, STOP = b"\x80\x02", b"."


def tensor(*shape, dtype=np.float32):
    return Tensor(np.arange(np.prod(shape)).astype(dtype).reshape(shape))


@pytest.fixture
def inspect(capsys):
    """A function that inspects files: the exit code, the lines, and the lines on stderr."""

    def run(*arguments):
        code = main(["inspect", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def write_pickle(make_archive, tmp_path):
    """A function that writes a file of a value, by Python's own pickle, or of opcodes."""

    def write(value, name="file.pt", entries=(), stop=STOP):
        opcodes = PROTO + value + stop if isinstance(value, bytes) else pickle.dumps(value, protocol=2)
        path = tmp_path / name
        path.write_bytes(make_archive(opcodes, entries).getvalue())
        return path

    return write


# What is listed.


def test_state_dict_of_a_module(inspect, tmp_path):
    model = minigrad.nn.Sequential(minigrad.nn.Linear(3, 2), minigrad.nn.BatchNorm1d(2))
    path = tmp_path / "model.pt"
    save(model.state_dict(), path)
    code, lines, errors = inspect(path)
    assert (code, errors) == (0, [])
    assert lines[0] == f"{path}: torch's ZIP format, version 3, byte order little"
    rows = [line.split(maxsplit=1) for line in lines[1:]]
    assert [row[0] for row in rows[: len(model.state_dict())]] == list(model.state_dict())
    assert lines[1].split() == ["0.weight", "float32", "(2,", "3)", "24", "bytes", "data/0"]
    elements = sum(value.numel() for value in model.state_dict().values())
    assert lines[-1].startswith(f"{len(model.state_dict())} tensors of {elements} elements, ")


def test_training_checkpoint(inspect, tmp_path):
    weight = Parameter(tensor(2, 3))
    shared = [tensor(2)]
    checkpoint = {
        "model": OrderedDict({"a.weight": weight, "b.weight": weight.detach(), "row": Tensor(weight.detach().array[1])}),
        "optimizer": {"state": {0: {"step": tensor(), "half": tensor(2, dtype=np.float16)}}, "lr": [0.1, 1e-8]},
        "epoch": 7,
        "note": "x" * 100,
        "nothing": None,
        "bytes": b"abc",
        "dtype": np.dtype("float16"),
        "versions": OrderedDict(a=tensor(1)),
        "first": shared,
        "second": shared,
        3: {1, 2},
    }
    checkpoint["versions"]._metadata = {"": {"version": 2}}
    path = tmp_path / "training.pt"
    save(checkpoint, path)
    code, lines, _ = inspect(path)
    assert code == 0
    text = "\n".join(" ".join(line.split()) for line in lines[1:])
    assert text == "\n".join(
        [
            "['model']['a.weight'] float32 (2, 3) 24 bytes data/0",
            "['model']['b.weight'] float32 (2, 3) 24 bytes data/0",
            "['model']['row'] float32 (3,) 12 bytes data/0",
            "['optimizer']['state'][0]['step'] float32 () 4 bytes data/1",
            "['optimizer']['state'][0]['half'] float16 (2,) 4 bytes data/2",
            "['versions']['a'] float32 (1,) 4 bytes data/3",
            "['first'][0] float32 (2,) 8 bytes data/4",
            "['optimizer']['lr']: list of 2",
            "epoch: 7",
            f"note: '{'x' * 60}…'",
            "nothing: None",
            "bytes: bytes of 3",
            "dtype: dtype('float16')",
            "['versions']._metadata: dict of 1",
            "second: the same as first",
            "[3]: set of 2",
            "7 tensors of 21 elements, 80 bytes in 5 storages of 44 bytes",
            "one storage, data/0: ['model']['a.weight'], ['model']['b.weight'], ['model']['row']",
        ]
    )
    entries = dict(inspect_file(path).tensors)
    assert entries["['model']['a.weight']"].is_parameter
    assert entries["['model']['a.weight']"].requires_grad
    assert not entries["['model']['b.weight']"].requires_grad


@pytest.mark.parametrize("value", [7, "text", [], {}, [[[1]]]])
def test_file_without_tensors(inspect, tmp_path, value):
    save(value, tmp_path / "a.pt")
    code, lines, _ = inspect(tmp_path / "a.pt")
    assert code == 0
    assert lines[1].startswith("  (the object): ")
    assert lines[2] == "0 tensors of 0 elements, 0 bytes"


def test_single_tensor(inspect, tmp_path):
    save(tensor(2, 3), tmp_path / "a.pt")
    assert inspect(tmp_path / "a.pt")[1][1].split() == ["(the", "object)", "float32", "(2,", "3)", "24", "bytes", "data/0"]


def test_safetensors(inspect, tmp_path):
    path = tmp_path / "a.safetensors"
    save_safetensors({"b": tensor(2, 3), "a": tensor(2, dtype=bool)}, path, metadata={"format": "pt"})
    code, lines, _ = inspect(path)
    assert code == 0
    assert lines[0] == f"{path}: safetensors"
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "b float32 (2, 3) 24 bytes",
        "a bool (2,) 2 bytes",
        "2 tensors of 8 elements, 26 bytes",
        "metadata format: pt",
    ]


def test_dtypes_are_those_of_the_file(inspect, torch, tmp_path):
    from safetensors.torch import save_file

    values = {"a": torch.zeros(3, dtype=torch.bfloat16), "b": torch.zeros(2, 2).to(torch.float8_e4m3fn)}
    save_file(values, tmp_path / "a.safetensors")
    entries = dict(inspect_file(tmp_path / "a.safetensors").tensors)
    assert [(entry.dtype, entry.bytes, entry.stride) for entry in entries.values()] == [
        ("bfloat16", 6, (1,)),
        ("F8_E4M3", 4, (2, 1)),
    ]
    assert inspect(tmp_path / "a.safetensors")[1][-2:] == [
        "refused by minigrad.load, unless unknown='placeholder' leaves it out:",
        "  F8_E4M3",
    ]
    torch.save({"a": values["a"][1:]}, tmp_path / "a.pt")
    (entry,) = dict(inspect_file(tmp_path / "a.pt").tensors).values()
    assert (entry.dtype, entry.bytes, entry.storage_bytes) == ("bfloat16", 4, 6)


def test_legacy_stream(inspect, torch, tmp_path):
    path = tmp_path / "legacy.pt"
    weight = torch.zeros(2, 3)
    torch.save({"a": weight, "t": weight.T, "n": argparse.Namespace()}, path, _use_new_zipfile_serialization=False)
    code, lines, _ = inspect(path)
    assert code == 0
    assert lines[0] == f"{path}: torch's stream format of 0.1.9 to 1.5, version 1001"
    report = inspect_file(path)
    assert [(name, entry.shape, entry.stride) for name, entry in report.tensors] == [
        ("a", (2, 3), (3, 1)),
        ("t", (3, 2), (1, 3)),
    ]
    assert list(report.storages.values()) == [["a", "t"]]
    assert report.values == [("n", "refused: argparse.Namespace")]
    assert report.refused == ["argparse.Namespace"]


def test_legacy_tar(inspect, tmp_path):
    path = tmp_path / "legacy.tar"
    base = np.arange(6, dtype=np.float32).reshape(2, 3)
    path.write_bytes(tar_of_arrays({"a": base, "t": base.T}, lambda tensors: {**tensors, "epoch": 7}))
    code, lines, _ = inspect(path)
    assert code == 0
    assert lines[0] == f"{path}: torch's tar format of before 0.1.9"
    report = inspect_file(path)
    assert [(name, entry.shape, entry.dtype) for name, entry in report.tensors] == [
        ("a", (2, 3), "float32"),
        ("t", (3, 2), "float32"),
    ]
    assert report.values == [("epoch", "7")]


def test_json(inspect, tmp_path):
    weight = tensor(2, 3)
    save({"a": weight, "b": weight, "epoch": 7}, tmp_path / "a.pt")
    save_safetensors({"c": tensor(2)}, tmp_path / "b.safetensors", metadata={"ü": "é\n"})
    code, lines, _ = inspect("--json", tmp_path / "a.pt", tmp_path / "b.safetensors")
    assert code == 0
    first, second = map(json.loads, lines)
    assert first["file"] == str(tmp_path / "a.pt")
    assert (first["format"], first["version"], first["byte_order"]) == ("torch's ZIP format", 3, "little")
    assert first["tensors"][0] == {
        "name": "a",
        "shape": [2, 3],
        "stride": [3, 1],
        "dtype": "float32",
        "bytes": 24,
        "storage": "data/0",
        "storage_bytes": 24,
        "requires_grad": False,
        "is_parameter": False,
    }
    assert first["shared"] == {"data/0": ["a", "b"]}
    assert first["values"] == [{"name": "epoch", "value": "7"}]
    assert (first["refused"], first["loose"], first["metadata"]) == ([], {}, {})
    assert second["metadata"] == {"ü": "é\n"}


def test_elements_are_not_read(inspect, tmp_path):
    """A file with a hole of 64 GiB, which takes no room on most file systems, is inspected like any other."""
    size = 2**36
    header = json.dumps({"a": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "large.safetensors"
    with open(path, "wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        try:
            stream.truncate(8 + len(header) + size)
        except OSError:
            pytest.skip("this file system has no files of 64 GiB")
    code, lines, _ = inspect(path)
    assert code == 0
    assert lines[1].split() == ["a", "bfloat16", f"({size // 2},)", f"{size:,}", "bytes"]


# What is refused.


class Command:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_unknown_names_are_listed_and_not_run(inspect, write_pickle, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    value = {"a": Command(os.system, f"rm {canary}"), "args": argparse.Namespace(lr=1), "loss": np.float64(0.5), "epoch": 7}
    path = write_pickle(value, entries={"data/0": bytes(40), "data/1": bytes(2)})
    code, lines, errors = inspect(path)
    assert (code, errors) == (0, [])
    assert canary.exists()
    assert lines[1:5] == [
        f"  a: refused: {os.system.__module__}.system",
        "  args: refused: argparse.Namespace",
        f"  loss: refused: {np.float64(0).__reduce__()[0].__module__}.scalar",
        "  epoch: 7",
    ]
    assert lines[6:9] == [
        "in none of these tensors: 2 storages of 42 bytes",
        "refused by minigrad.load, unless unknown='placeholder' leaves it out:",
        f"  {os.system.__module__}.system",
    ]
    assert "  argparse.Namespace" in lines[9:]


def test_unreadable_files(inspect, write_pickle, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "image").write_bytes(b"GIF89a\x1b[31m")
    (tmp_path / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    hostile = write_pickle(b"cos\nsystem\ncantigravity\nfly\n\x93", "hostile.pt")
    save({"a": tensor(2)}, tmp_path / "good.pt")
    good = (tmp_path / "good.pt").read_bytes()
    (tmp_path / "part.pt").write_bytes(good[:-30])
    names = ["empty", "good.pt", "image", "half.safetensors", "hostile.pt", "part.pt", "missing.pt", "."]
    code, lines, errors = inspect(*(tmp_path / name for name in names))
    assert code == 1
    assert len(lines) == 3
    assert lines[0].startswith(f"{tmp_path / 'good.pt'}: ")
    assert [error.split(": ", 2)[:2] for error in errors] == [
        ["inspect", str(tmp_path / name)] for name in names if name != "good.pt"
    ]
    problems = [error.split(": ", 2)[2] for error in errors]
    assert problems[0].startswith("expected a checkpoint or a safetensors file, got an empty file")
    assert problems[1] == "expected a checkpoint or a safetensors file, got a file that begins with b'GIF89a\\x1b['"
    assert problems[2] == "expected a header of 16 bytes, got 1 (truncated)"
    assert "expected an opcode that data needs" in problems[3]
    assert problems[3].endswith("(it also asks for the unknown names os.system, antigravity.fly)")
    assert "antigravity" not in sys.modules
    assert "expected a whole ZIP archive" in problems[4]
    assert problems[5:] == ["No such file or directory", "Is a directory"]
    assert hostile.exists()


def test_names_do_not_steer_the_terminal(inspect, tmp_path):
    evil = "\x1b]0;title\x07\r\n\u202e\ud800"
    save({evil: tensor(2), "b": {evil: tensor(1)}, "c": evil, "d": [evil]}, tmp_path / "a.pt")
    save_safetensors({evil[:-1]: tensor(2), "ü": tensor(1)}, tmp_path / "a.safetensors", metadata={evil[:-1]: evil[:-1]})
    code, lines, _ = inspect(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert code == 0
    assert all(line.isprintable() for line in lines)
    assert any(line.startswith("  \\x1b]0;title\\x07\\r\\n\\u202e\\ud800  ") for line in lines)
    assert any(line.startswith("  ü  ") for line in lines)


def test_long_names_are_cut_in_text_and_whole_in_json(inspect, tmp_path):
    save({"x" * 10_000: tensor(2)}, tmp_path / "a.pt")
    assert max(map(len, inspect(tmp_path / "a.pt")[1])) < 300
    assert json.loads(inspect("--json", tmp_path / "a.pt")[1][0])["tensors"][0]["name"] == "x" * 10_000


def test_small_file_makes_a_short_report(inspect, write_pickle):
    """Each level names the one below twice: written out, these would be a million lines."""
    opcodes = b"]q\x00cos\nsystem\na"
    for level in range(20):
        opcodes += b"]q" + bytes([level + 1]) + b"(h" + bytes([level]) + b"h" + bytes([level]) + b"e"
    opcodes += b"h\x14\x85"
    path = write_pickle(b"(" + opcodes + b"t")
    code, lines, _ = inspect(path)
    assert code == 0
    assert len(lines) < 60
    assert sum("the same as" in line for line in lines) > 10


def test_every_truncation_of_a_pickle(inspect, write_pickle):
    whole = pickle.dumps({"args": argparse.Namespace(lr=1), "b": [1, 2.5, "x"]}, protocol=2)[2:-1]
    assert inspect(write_pickle(whole))[0] == 0
    for length in range(len(whole)):
        assert inspect(write_pickle(whole[:length], stop=b""))[0] == 1


# The command.


def run_module(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(minigrad.__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "minigrad.io", *map(str, arguments)]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=120, **options)


def test_command(tmp_path):
    save({"ü": tensor(2)}, tmp_path / "a.pt")
    result = run_module("inspect", tmp_path / "a.pt", stdout=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].split() == ["\\xfc", "float32", "(2,)", "8", "bytes", "data/0"]
    result = run_module("inspect", tmp_path / "missing.pt", stdout=subprocess.PIPE)
    assert (result.returncode, result.stdout) == (1, "")
    assert "No such file" in result.stderr
    assert run_module(stdout=subprocess.PIPE).returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_reader_that_has_seen_enough(tmp_path):
    save({f"name{number}": tensor(1) for number in range(2000)}, tmp_path / "a.pt")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run_module("inspect", tmp_path / "a.pt", stdout=writing)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


def test_wrong_use(capsys):
    for arguments in ([], ["inspect"], ["show", "a.pt"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage: python -m minigrad.io" in capsys.readouterr().err


# What only large reports show.


def test_places_are_short_and_not_without_end(inspect, write_pickle, monkeypatch):
    """A key of a few thousand characters, and a tensor that stands under it many times."""
    monkeypatch.setattr(inspect_module, "MOST_PLACES", 50)
    key = b"a" * 10_000
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    one = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89NtR"
    path = write_pickle(
        b"}X" + len(key).to_bytes(4, "little") + key + b"](" + one + b"q\x00" + b"h\x00" * 99 + b"es",
        entries={"data/0": bytes(4)},
    )
    report = inspect_file(path)
    assert (len(report.tensors), report.unlisted) == (50, 50)
    assert max(len(name) for name, _ in report.tensors) < 250
    assert report.loose == []
    code, lines, _ = inspect(path)
    assert code == 0
    assert "and 50 more places, which are counted neither here nor below" in lines


def test_file_that_load_and_inspect_could_take_for_another(inspect, make_archive, tmp_path):
    """An archive whose first header has the flags, the method and the time of a safetensors file."""
    content = bytearray(make_archive(PROTO + b"K\x07.").getvalue())
    content[6:9] = b"\0\0{"
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    code, lines, _ = inspect(path)
    assert (code, minigrad.load(path)) == (0, 7)
    assert "torch's ZIP format" in lines[0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_integers_with_a_gradient_are_refused_as_load_refuses_them(inspect, write_pickle, wrapped):
    storage = b"(X\x07\x00\x00\x00storagectorch\nIntStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    flag = b"\x89" if wrapped else b"\x88"
    opcodes = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85" + flag + b"NtR"
    if wrapped:
        opcodes = b"ctorch._utils\n_rebuild_parameter\n" + opcodes + b"\x88N\x87R"
    code, _, errors = inspect(write_pickle(opcodes, entries={"data/0": bytes(4)}))
    assert code == 1
    assert "expected a floating tensor where requires_grad is True, got int32" in errors[0]
