"""Training checkpoints with what minigrad does not know: refused by default, or read around it, and never run."""

import argparse
import enum
import io
import os
import pathlib
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from minigrad import Tensor
from minigrad.io import CheckpointError, Limits, Placeholder, load, save

PROTO, STOP = b"\x80\x02", b"."


class Color(enum.Enum):
    RED = 1
    BLUE = 2


def names_in(value):
    """Placeholders as their names, in lists and dictionaries."""
    if isinstance(value, dict):
        return {names_in(key): names_in(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [names_in(part) for part in value]
    return f"<{value.name}>" if isinstance(value, Placeholder) else value


@pytest.fixture
def load_pickled(make_archive):
    """A function that loads a value from Python's own pickle of it, or from opcodes."""

    def load_value(value, **options):
        opcodes = PROTO + value + STOP if isinstance(value, bytes) else pickle.dumps(value, protocol=2)
        return load(make_archive(opcodes), **options)

    return load_value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (argparse.Namespace(lr=0.1, layers=[1, 2]), r"argparse\.Namespace"),
        (np.float64(0.5), r"numpy\._?core\.multiarray\.scalar"),
        (np.arange(3), r"numpy\._?core\.multiarray\._reconstruct"),
        (np.dtype("float32"), r"numpy\.dtype"),
        (defaultdict(list, a=[1]), r"collections\.defaultdict"),
        (pathlib.PurePosixPath("a/b"), r"pathlib\S*\.PurePosixPath"),
        (Color.RED, r"\S*test_placeholder\.Color"),
        (complex(1, 2), r"__builtin__\.complex"),
        (print, r"__builtin__\.print"),
        (range(3), r"__builtin__\.xrange"),
        (ValueError("a"), r"exceptions\.ValueError"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_extras_of_training_checkpoints(load_pickled, value, name):
    checkpoint = {"epoch": 7, "extra": value, "more": [value, "text"]}
    with pytest.raises(CheckpointError, match=rf"got {name} \(unknown='placeholder' loads what is around it\)"):
        load_pickled(checkpoint)
    result = load_pickled(checkpoint, unknown="placeholder")
    assert (result["epoch"], result["more"][1]) == (7, "text")
    for extra in (result["extra"], result["more"][0]):
        assert type(extra) is Placeholder
        assert extra.name.startswith(
            ("argparse", "numpy", "collections", "pathlib", "__builtin__", "exceptions", Color.__module__)
        )


def test_tensors_beside_them(torch):
    stream = io.BytesIO()
    weight = torch.arange(6.0).reshape(2, 3)
    checkpoint = {
        "state_dict": OrderedDict(weight=weight, tied=weight, complex=torch.zeros(2, dtype=torch.complex64)),
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(0.9),
        "float8": torch.zeros(2).to(torch.float8_e4m3fn),
        "module": torch.nn.Linear(2, 2),
    }
    torch.save(checkpoint, stream)
    stream.seek(0)
    result = load(stream, unknown="placeholder")
    assert result["state_dict"]["weight"].tolist() == weight.tolist()
    assert result["state_dict"]["tied"] is result["state_dict"]["weight"]
    assert result["state_dict"]["complex"].name == "torch.ComplexFloatStorage"
    assert result["args"].name == "argparse.Namespace"
    assert result["module"].name == "torch.nn.modules.linear.Linear"
    assert type(result["float8"]) is Placeholder
    stream = io.BytesIO()
    torch.save([weight, checkpoint["args"]], stream, _use_new_zipfile_serialization=False)
    stream.seek(0)
    legacy = load(stream, unknown="placeholder")
    assert legacy[0].tolist() == weight.tolist()
    assert legacy[1].name == "argparse.Namespace"


def test_placeholders_as_keys_stay_apart(load_pickled):
    result = load_pickled({Color.RED: 1, Color.BLUE: 2, "a": 3, (Color.RED, 1): 4}, unknown="placeholder")
    assert sorted(result.values()) == [1, 2, 3, 4]
    assert len(load_pickled({Color.RED, Color.BLUE, 1}, unknown="placeholder")) == 3


class Command:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, exec, os.remove, getattr, __import__, pickle.loads, io.open])
def test_no_function_is_called(load_pickled, tmp_path, function):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    result = load_pickled({"a": Command(function, f"rm {canary}"), "b": [1]}, unknown="placeholder")
    assert result["a"].name.endswith(function.__name__)
    assert result["b"] == [1]
    assert canary.exists()


@pytest.mark.parametrize(
    ("opcodes", "expected"),
    [
        (b"cos\nsystem\n", "<os.system>"),
        (b"cos\nsystem\n)R", "<os.system>"),
        (b"cos\nsystem\n)R)R)R", "<os.system>"),
        (b"cos\nsystem\n)\x81", "<os.system>"),
        (b"cos\nsystem\n)\x81}X\x04\x00\x00\x00nameK\x01sb", "<os.system>"),
        (b"cos\nsystem\n}X\x04\x00\x00\x00nameK\x01sb", "<os.system>"),
        (b"cos\nsystem\n(K\x01K\x02e", "<os.system>"),
        (b"cos\nsystem\nK\x01K\x02s", "<os.system>"),
        (b"cos\nsystem\nQ", None),
        (b"(cos\nsystem\nK\x01tQ", "<os.system>"),
        (b"ccollections\nOrderedDict\ncos\nsystem\n\x85R", "<os.system>"),
        (b"]cos\nsystem\nq\x00ah\x00)R\x86", [["<os.system>"], "<os.system>"]),
        (b"]}X\x04\x00\x00\x00nameK\x01sb", None),
        (b"K\x01)\x81", None),
        (b"ccollections\nOrderedDict\n)\x81", None),
        (b"cos\nsystem\n\x81", None),
        (b"cos\nsystem\nR", None),
        (b"]cos\nsystem\nR", None),
    ],
)
def test_what_a_pickle_does_with_a_placeholder_has_no_effect(load_pickled, opcodes, expected):
    if expected is None:
        with pytest.raises(CheckpointError):
            load_pickled(opcodes, unknown="placeholder")
    else:
        assert names_in(load_pickled(opcodes, unknown="placeholder")) == expected
    with pytest.raises(CheckpointError):
        load_pickled(opcodes)


def test_placeholders_are_paid_for_and_cannot_be_changed(load_pickled):
    opcodes = b"](cos\nsystem\nq\x00" + b"h\x00)R" * 100 + b"e"
    assert len(load_pickled(opcodes, unknown="placeholder")) == 101
    with pytest.raises(CheckpointError, match=r"Limits\.objects"):
        load_pickled(opcodes, unknown="placeholder", limits=Limits(objects=300))
    placeholder = Placeholder("a.b")
    assert repr(placeholder) == "<placeholder for a.b>"
    assert placeholder != Placeholder("a.b")
    with pytest.raises(AttributeError):
        placeholder.name = "c"


def test_placeholders_cannot_be_saved():
    with pytest.raises(
        TypeError, match=r"checkpoint\['args'\]: expected tensors, .* got a minigrad\.io\.placeholder\.Placeholder"
    ):
        save({"a": Tensor(np.zeros(1)), "args": Placeholder("argparse.Namespace")}, io.BytesIO())


def test_unknown_is_one_of_two():
    with pytest.raises(ValueError, match="load: expected unknown to be 'refuse' or 'placeholder', got 'ignore'"):
        load(io.BytesIO(), unknown="ignore")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_elements_of_quantized_tensors_are_gone_past(torch):
    """torch's older format keeps all storages one after another, so that each must be gone past by its size."""
    quantized = [torch.quantize_per_tensor(torch.ones(3), 1.0, 0, dtype) for dtype in (torch.quint8, torch.qint8, torch.qint32)]
    stream = io.BytesIO()
    torch.save([*quantized, torch.ones(2)], stream, _use_new_zipfile_serialization=False)
    stream.seek(0)
    result = load(stream, unknown="placeholder")
    assert [value.name for value in result[:3]] == ["torch._utils._rebuild_qtensor"] * 3
    assert result[3].tolist() == [1, 1]
