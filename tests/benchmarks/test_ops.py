"""The benchmark of single kernels: every row runs, in both libraries alike, and the arithmetic of its table is right."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

pytest.importorskip("resource")  # train_step, whose comparison is used here, needs it
import minigrad
from benchmarks import ops
from benchmarks.ops import CHANNELS_LAST, ORDERS, ROWS

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "rows": 3,
    "inner": 4,
    "columns": 5,
    "size": 8,
    "batch": 2,
    "tensors": 3,
    "numbers": 10,
    "classes": 7,
}
WORK = {
    "matmul-512": 2 * 512**3,
    "matmul-64x1000x100": 12_800_000,
    "conv-64-64-3x3-56-forward": 2 * (4 * 64 * 56 * 56) * (64 * 9),
    "conv-64-64-3x3-56-input": 924_844_032,
    "conv-64-64-3x3-56-weight": 924_844_032,
    "conv-3-64-7x7-224-stride2-forward": 2 * (4 * 64 * 112 * 112) * (3 * 49),
    "conv-1024-256-1x1-14-forward": 2 * (4 * 256 * 14 * 14) * 1024,
    "conv-128-128-3x3-56-groups32-forward": 2 * (4 * 128 * 56 * 56) * (4 * 9),
    "conv-128-128-3x3-56-stride2-forward": 2 * (4 * 128 * 28 * 28) * (128 * 9),
    "norm-128x16x32-forward": 2 * 8_388_608,
    "norm-128x16x32-backward": 3 * 8_388_608,
    "norm-relu-128x16x32": 5 * 8_388_608,
    "relu-128x16x32-forward": 2 * 8_388_608,
    "relu-128x16x32-backward": 3 * 8_388_608,
    "pool-3x3-forward": 4 * (4 * 64) * (112 * 112 + 56 * 56),
    "pool-2x2-backward": 4 * (4 * 64) * (224 * 224 + 112 * 112),
    "cat-28": 4 * (4 * 28 * 28) * (256 + 256),
    "cross-entropy": 4 * 3 * 256_000 + 8 * 2 * 256,
    "sgd": 200_000_000,
    "adam": 280_000_000,
    "add-16M": 3 * 67_108_864,
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.ops", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def shrunken(case: ops.Case) -> ops.Case:
    """The case with small sizes, and as many channels as its groups and its kind need."""
    names = {field.name for field in dataclasses.fields(case)}
    changes = {name: value for name, value in SMALL.items() if name in names}
    if isinstance(case, ops.Convolution):
        changes |= {"in_channels": 3 if case.in_channels == 3 else 2 * case.groups, "out_channels": 2 * case.groups}
    elif isinstance(case, ops.Cat):
        changes["channels"] = tuple(C // 16 for C in case.channels)
    elif "channels" in names:
        changes["channels"] = 4
    return dataclasses.replace(case, **changes)


def build(name: str, lib, library: str):
    for room in ("nn", "optim"):
        importlib.import_module(f"{lib.__name__}.{room}")
    return shrunken(ROWS[name].case).build(lib, ORDERS[library], ROWS[name].what)


def shapes(result) -> list[tuple[int, ...]]:
    if result is None:
        return []
    return [tuple(tensor.shape) for tensor in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_runs(name):
    function = build(name, minigrad, "minigrad")
    assert shapes(function()) == shapes(function())
    assert ROWS[name].case.work(ROWS[name].what) > 0


@pytest.mark.parametrize("name", ROWS)
def test_torch_computes_as_much(name, torch):
    expected = shapes(build(name, minigrad, "minigrad")())
    assert shapes(build(name, torch, "torch")()) == expected
    if ROWS[name].case.has_images:
        assert shapes(build(name, torch, CHANNELS_LAST)()) == expected


@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_only_the_wanted_gradient_is_computed(direction):
    case = ops.Convolution(2, 4, 3, 8, batch=3)
    expected = {"forward": (3, 4, 8, 8), "input": (3, 2, 8, 8), "weight": (4, 2, 3, 3)}[direction]
    assert shapes(case.build(minigrad, ORDERS["minigrad"], direction)()) == [expected]


def test_batch_norm_is_computed_and_not_put_off():
    function = ops.BatchNorm(2, 3, 4).build(minigrad, ORDERS["minigrad"], "forward")
    assert function()._deferred is None


@pytest.mark.parametrize("name", WORK)
def test_work(name):
    assert ROWS[name].case.work(ROWS[name].what) == WORK[name]


def test_the_families_cover_the_rows():
    assert ops.chosen(ops.FAMILIES) == list(ROWS)
    assert ops.chosen(["add-16M", "loss", "matmul-256"]) == ["matmul-256", "cross-entropy", "add-16M"]
    assert len(ops.chosen(["conv-forward"])) == len(ops.chosen(["conv-input"])) == len(ops.chosen(["conv-weight"])) == 14


def test_order_in_memory(torch):
    assert ops.images(minigrad, (2, 3, 4, 5), True).stride() == (60, 1, 15, 3)
    assert ops.images(minigrad, (2, 3, 4, 5), False).stride() == (60, 20, 5, 1)
    last = ops.images(torch, (2, 3, 4, 5), True)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    assert ops.images(torch, (2, 3, 4, 5), False).is_contiguous()


def test_limits():
    assert ops.product_rate(0.001, size=8) > 0
    assert ops.copy_rate(3, 0.001, numbers=1001) > 0
    with patch.object(ops, "product_rate", lambda seconds: 2e9), patch.object(ops, "copy_rate", lambda threads, seconds: 3e9):
        assert ops.measure_limits(["matmul-256", "add-16M"], 0.0, 1) == {"copy": pytest.approx(3), "sgemm": pytest.approx(2)}
        assert ops.measure_limits(["add-16M"], 0.0, 1) == {"copy": pytest.approx(3)}


def test_fractions_and_the_faster_layout():
    limits = {"sgemm": 100.0, "copy": 10.0}
    row = ROWS["conv-1024-256-1x1-14-weight"]  # 0.411 GFLOP
    result = ops.result_of(row, {"minigrad": 8.0, "torch": 5.0, CHANNELS_LAST: 4.0}, limits)
    assert (result["best"], result["ratio"], result["limit"]) == (CHANNELS_LAST, 2.0, "sgemm")
    assert result["fraction"] == pytest.approx(0.411041792 / 0.008 / 100)
    assert result["peer_fraction"] == pytest.approx(0.411041792 / 0.004 / 100)
    assert "channels last" in ops.line(row, result)
    assert ops.result_of(row, {"minigrad": 8.0, "torch": 4.0, CHANNELS_LAST: 5.0}, limits)["best"] == "torch"
    alone = ops.result_of(ROWS["sgd"], {"minigrad": 40.0}, limits)
    assert alone == {"minigrad": {"ms": 40.0}, "limit": "copy", "fraction": pytest.approx(0.2 / 0.04 / 10)}
    assert "0.50" in ops.line(ROWS["sgd"], alone)


def test_geometric_mean_by_family():
    results = {"sgd": {"ratio": 0.5}, "adam": {"ratio": 2.0}, "add-16M": {"ratio": 3.0}, "cat-28": {}}
    assert ops.family_ratios(results) == {"optim": pytest.approx(1.0), "add": pytest.approx(3.0)}


def test_channels_last_is_for_images_alone(torch):
    assert ops.measure(CHANNELS_LAST, ["matmul-64x1000x100"], 0.0, 1) == {}


def test_runs_from_the_command_line(tmp_path):
    settings = ("--turns", "1", "--seconds", "0.01", "--threads", "1", "--json", str(tmp_path / "found.json"))
    done = run("--rows", "matmul-64x1000x100", "loss", *settings)
    assert done.returncode == 0, done.stderr
    assert "OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset" in done.stdout
    assert "matmul, limits: sgemm" in done.stdout
    assert "loss, limits: copy" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {"machine", "limits", "rows", "ratios"}
    assert set(found["rows"]) == {"matmul-64x1000x100", "cross-entropy"}
    for name, result in found["rows"].items():
        rate = WORK[name] / (1e6 * result["minigrad"]["ms"])
        assert result["fraction"] == pytest.approx(rate / found["limits"][ROWS[name].family][result["limit"]])


def test_unknown_row():
    done = run("--rows", "matmul-17")
    assert done.returncode == 2
    assert "invalid choice: 'matmul-17'" in done.stderr
