"""Every public operation against its oracles: runs the checks on the cases of the table."""

import importlib
import inspect
import os
from pathlib import Path

import pytest

import minigrad
from minigrad import Tensor
from tests.floats import REDUCED
from tests.ops import checks
from tests.ops.table import CHECKS, FEATURES

HERE = Path(__file__).parent
CASES = [case for path in sorted(HERE.glob("cases_*.py")) for case in importlib.import_module(f"tests.ops.{path.stem}").CASES]
# What says something about the tape is tested in tests/autograd, dtypes are tested in test_promotion.py.
NOT_OPERATIONS = {"Tensor.requires_grad_", "Tensor.detach_", "ops.conversion.result_type"}
in_reduced_precision = pytest.mark.parametrize("dtype", REDUCED)


def cases(excuse="", **wanted):
    """A parametrization by the cases that have the wanted attributes and no excuse."""
    chosen = [
        case
        for case in CASES
        if excuse not in case.without and all(bool(getattr(case, name)) == value for name, value in wanted.items())
    ]
    return pytest.mark.parametrize("case", chosen, ids=str)


@pytest.fixture(scope="module")
def torch():
    """PyTorch; where the variable demands it, its absence is a failure."""
    try:
        module = importlib.import_module("torch")
    except ImportError:
        if os.environ.get("MINIGRAD_REQUIRE_TORCH") == "1":
            pytest.fail("torch is missing, and MINIGRAD_REQUIRE_TORCH=1")
        pytest.skip("torch is not installed")
    module.set_num_threads(1)
    return module


@cases()
def test_features(case):
    checks.check_features(case)


@cases(reference=True)
def test_values(case):
    checks.check_values(case, "float64")


@cases(random=True)
def test_random_result(case):
    checks.check_values(case, "float64")


@cases()
def test_float32(case):
    checks.check_values(case, "float32")


@in_reduced_precision
@cases("reduced")
def test_reduced_precision(case, dtype):
    checks.check_values(case, dtype)


@cases(differentiable=True)
def test_gradients_in_float32(case):
    checks.check_gradient_dtypes(case, "float32")


@in_reduced_precision
@cases("reduced", differentiable=True)
def test_gradients_in_reduced_precision(case, dtype):
    checks.check_gradient_dtypes(case, dtype)


@cases(torch=True, random=False)
def test_torch_agrees(case, torch):
    checks.check_against_torch(case, torch)


@cases(differentiable=True)
def test_first_derivatives(case):
    checks.check_derivatives(case, 1)


@cases(differentiable=True)
def test_second_derivatives(case):
    checks.check_derivatives(case, 2)


@pytest.mark.parametrize("layout", checks.LAYOUTS)
@cases("layouts")
def test_layouts(case, layout):
    if case.random and not case.differentiable:
        pytest.skip("a draw")
    checks.check_layouts(case, layout)


@pytest.fixture
def small_parts(monkeypatch):
    """The CPU's kernels cut even tiny arrays into parts, as they do large ones."""
    limits = {
        "elementwise": {"LARGE": 1, "BLOCK": 8, "SUMMED": 1, "WIDTH": 4, "LONG": 8},
        "special": {"LARGE": 1},
        "pooling": {"LARGE": 1, "BLOCK": 64, "TOGETHER": 64},
        "normalization": {"BLOCK": 16},
        "windows": {"BLOCK": 64},
        "linear": {"TINY": 16, "PART": 16},
        "indexing": {"_CHUNK": 8},
        **{name: {"PART": 64} for name in ("columns", "groups", "kernel_rows", "flat_weights", "banded")},
    }
    for name, numbers in limits.items():
        module = importlib.import_module(f"minigrad.backends.cpu.{name}")
        for limit, number in numbers.items():
            assert hasattr(module, limit)
            monkeypatch.setattr(module, limit, number)


@pytest.mark.parametrize("layout", checks.LAYOUTS)
@cases("layouts", reference=True)
def test_layouts_in_small_parts(case, layout, small_parts):
    checks.check_layouts(case, layout)


@cases("reduced", reference=True)
def test_values_in_small_parts(case, small_parts):
    checks.check_values(case, "float64")
    checks.check_values(case, "float16")


@cases(differentiable=True)
def test_first_derivatives_in_small_parts(case, small_parts):
    checks.check_derivatives(case, 1)


@cases()
def test_inputs_unchanged(case):
    checks.check_inputs_unchanged(case)


@cases("strict")
def test_strict_backend(case):
    checks.check_strict_backend(case)


BAD = [(case, *bad) for case in CASES for bad in case.bad]


@pytest.mark.parametrize(("case", "call", "exception", "pattern"), BAD, ids=[str(bad[0]) for bad in BAD])
def test_bad_input(case, call, exception, pattern):
    checks.check_bad_input(call, exception, pattern)


# --- the table itself --------------------------------------------------------------------------------------------------


@cases()
def test_case_is_well_formed(case):
    assert checks.resolve(case.operation) is not None, f"there is no minigrad.{case.operation}"
    assert set(case.without) <= {*FEATURES, *CHECKS}
    assert case.random == (case.reference is None), "random, or with a reference"
    assert case.bad or "bad" in case.without, "neither bad input nor an excuse in `without`"


def public_operations():
    """(name, function) of all that ops and nn.functional offer, and of what Tensors do in place."""
    modules = [
        importlib.import_module(f"minigrad.ops.{path.stem}")
        for path in sorted(Path(minigrad.ops.__file__).parent.glob("*.py"))
        if path.stem != "__init__"
    ]
    try:
        modules.append(importlib.import_module("minigrad.nn.functional"))
    except ModuleNotFoundError as missing:
        assert missing.name in ("minigrad.nn", "minigrad.nn.functional")
    for module in modules:
        for name in getattr(module, "__all__", ()):
            if not inspect.isclass(getattr(module, name)) and callable(getattr(module, name)):
                yield f"{module.__name__.removeprefix('minigrad.')}.{name}", getattr(module, name)
    for name, method in vars(Tensor).items():
        if name.endswith("_") and not name.endswith("__"):
            yield f"Tensor.{name}", method


def test_completeness():
    covered = [checks.resolve(case.operation) for case in CASES]
    missing = [
        name
        for name, function in public_operations()
        if name not in NOT_OPERATIONS and not any(function is found for found in covered)
    ]
    assert missing == [], "public operations without a case in the table"


def test_operations_are_exported():
    """What an ops module calls public is found where users look: below minigrad, or in nn.functional."""
    hidden = [
        name
        for name, function in public_operations()
        if name.startswith("ops.") and getattr(minigrad.ops, name.rpartition(".")[2], None) is not function
    ]
    assert hidden == []
