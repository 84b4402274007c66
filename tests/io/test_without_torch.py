"""Files of each format, loaded by an interpreter in which torch cannot be imported: all is equal to what was saved."""

import json
import subprocess
import sys

import numpy as np
import pytest

from minigrad.io.storage import STORAGE_TYPE_OF
from tests.io.old_formats import tar_of_arrays
from tests.io.records import as_array

# Runs in the other interpreter: ``load`` a file, compare with the arrays, strides and ties that were saved beside it.
COMPARE = """
import json, sys
sys.modules["torch"] = None
try:
    import torch
except ImportError:
    pass
else:
    raise SystemExit("torch can be imported")
import numpy as np
import minigrad

with open(sys.argv[1]) as stream:
    cases = json.load(stream)
for case in cases:
    expected = np.load(case["arrays"])
    loaded = minigrad.load(case["file"])
    assert list(loaded) == ["model", "nested", "epoch", "names"], list(loaded)
    model = loaded["model"]
    assert list(model) == list(case["strides"]), list(model)
    for name, tensor in model.items():
        where = (case["file"], name)
        assert type(tensor) is (minigrad.nn.Parameter if name in case["parameters"] else minigrad.Tensor), where
        assert str(tensor.dtype) == case["dtypes"][name], where
        assert tensor.shape == expected[name].shape, where
        assert np.array_equal(tensor.numpy(force=True).view(expected[name].dtype), expected[name]), where
        if expected[name].size:
            assert list(tensor.stride()) == case["strides"][name], where
    for first, second in case["ties"]:
        assert np.shares_memory(model[first].array, model[second].array), (case["file"], first, second)
    assert not np.shares_memory(model["base"].array, model["float32"].array)
    first, (second, third) = loaded["nested"]
    assert first["deep"][0] is model["base"] and second is model["transposed"] and third is None
    assert (loaded["epoch"], loaded["names"]) == (3, ("a", "\\u00fc", 0.5, True))
    print(case["file"])
assert not [name for name, module in sys.modules.items() if name.startswith("torch") and module is not None]
"""


def tensors_of(torch):
    """Tensors of every layout and dtype, by names."""
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "base": base,
        "tied": base,
        "transposed": base.T,
        "slice": base[1:3, 1::2],
        "row": base[3],
        "channels_last": torch.arange(120.0).reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "scalar": torch.tensor(7.5),
        "integer_scalar": torch.tensor(7),
        "empty": torch.zeros(0),
        "empty_3d": torch.zeros(3, 0, 2, dtype=torch.float64),
    }
    for dtype in sorted(dtype.name for dtype in STORAGE_TYPE_OF):
        tensors[dtype] = torch.arange(-3, 5).to(getattr(torch, dtype)).reshape(2, 4)
        tensors[f"{dtype}_slice"] = torch.arange(12).to(getattr(torch, dtype)).reshape(3, 4)[1:, ::2].T
    return tensors


def value_of(tensors):
    """A checkpoint of tensors, or of what stands for them."""
    nested = [{"deep": [tensors["base"]]}, (tensors["transposed"], None)]
    return {"model": dict(tensors), "nested": nested, "epoch": 3, "names": ("a", "ü", 0.5, True)}


def plain_array(tensor):
    """A torch tensor's elements, in a dtype that files of NumPy's can have: uint16 for bfloat16."""
    array = as_array(tensor)
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def as_saved(torch, tensors):
    """Tensors as arrays over one array for each storage; bfloat16 as uint16."""
    storages, arrays = {}, {}
    for name, tensor in tensors.items():
        flat = plain_array(torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage()))
        storage = storages.setdefault(tensor.untyped_storage().data_ptr() or name, flat.copy())
        strides = [stride * storage.itemsize for stride in tensor.stride()]
        offset = tensor.storage_offset() * storage.itemsize
        arrays[name] = np.ndarray(tuple(tensor.shape), storage.dtype, storage, offset, strides)
    return arrays


@pytest.fixture
def written(torch, tmp_path):
    """The files of the three formats, and what is in them, as the other interpreter gets it."""
    cases = []
    for name in ("zip", "stream", "tar"):
        tensors = tensors_of(torch)
        path, arrays_path = tmp_path / f"{name}.pt", tmp_path / f"{name}.npz"
        if name == "tar":
            path.write_bytes(tar_of_arrays(as_saved(torch, tensors), value_of))
        else:
            tensors["parameter"] = torch.nn.Parameter(torch.ones(2, 3))
            torch.save(value_of(tensors), path, _use_new_zipfile_serialization=name == "zip")
        np.savez(arrays_path, **{key: plain_array(tensor) for key, tensor in tensors.items()})
        cases.append(
            {
                "file": str(path),
                "arrays": str(arrays_path),
                "dtypes": {key: as_array(tensor).dtype.name for key, tensor in tensors.items()},
                "strides": {key: tensor.stride() for key, tensor in tensors.items()},
                "parameters": ["parameter"],
                "ties": [("base", other) for other in ("tied", "transposed", "slice", "row")],
            }
        )
    return cases


def test_files_are_read_where_torch_cannot_be_imported(written, tmp_path):
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps(written))
    ran = subprocess.run([sys.executable, "-c", COMPARE, str(cases)], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [case["file"] for case in written]


def test_torch_reads_the_archive_that_was_made_by_hand(torch, written):
    tensors = tensors_of(torch)
    loaded = torch.load(written[2]["file"], weights_only=False)
    assert list(loaded["model"]) == list(tensors)
    for name, tensor in tensors.items():
        assert loaded["model"][name].dtype == tensor.dtype
        assert torch.equal(loaded["model"][name], tensor)
        assert tensor.numel() == 0 or loaded["model"][name].stride() == tensor.stride()
