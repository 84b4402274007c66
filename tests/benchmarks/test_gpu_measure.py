"""What is timed on a GPU: every operation runs in both libraries, and the measuring processes answer as they should."""

from __future__ import annotations

from unittest.mock import patch

import pytest

pytest.importorskip("resource")  # train_step, whose rows are used, needs it
import minigrad
from benchmarks import gpu_measure, gpu_rows
from benchmarks.gpu_rows import NETWORKS, OPERATIONS, OnGPU
from benchmarks.ops import ORDERS
from benchmarks.train_step import CHANNELS_LAST, ROWS
from tests.benchmarks.gpu_stand_in import prepared, stand_in
from tests.benchmarks.test_ops import shrunken


@pytest.fixture
def gpu():
    with stand_in() as gpu:
        yield gpu


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_runs_in_both_libraries(name, torch):
    row = OPERATIONS[name]
    assert row.case.work(row.what) > 0
    for lib in (minigrad, torch):
        shrunken(row.case).build(prepared(lib), ORDERS[lib.__name__], row.what)()


def test_the_operations_are_those_of_a_gpus_batch():
    assert sum(row.family.startswith("conv-") for row in OPERATIONS.values()) == 3 * 9
    assert all(row.case.batch == 64 for row in OPERATIONS.values() if row.family.startswith("conv-"))
    assert gpu_rows.precisions(OPERATIONS["matmul-512x512x512"]) == ("fp32", "tf32")
    assert gpu_rows.precisions(OPERATIONS["sgd"]) == ("fp32",)
    assert gpu_rows.LIMITS["copy"].case.work("forward") == 2 * 2**30
    assert OPERATIONS["pool-global-forward"].case.work("forward") == 4 * 64 * 2048 * 50


def test_random_numbers_are_repeated():
    lib = OnGPU(minigrad, "cpu")
    x = lib.randn(3, 2**20)
    assert x.shape == (3, 2**20)
    assert x[0].tolist() == x[2].tolist() == lib.numbers.tolist()
    assert lib.randint(0, 10, (5,)).shape == lib.zeros(5).shape == lib.ones(5).shape


def test_networks():
    kinds = {name: (kind.title, kind.batch, kind.classes) for name, kind in NETWORKS.items()}
    assert kinds["vgg16"] == ("VGG-16", 32, 1000)
    assert kinds["cifar_resnet18"] == ("ResNet-18, 32×32", 128, 10)
    training = gpu_measure.Training(prepared(minigrad), "resnet20", NETWORKS["resnet20"]._replace(batch=2))
    assert training.gflop() == pytest.approx(
        2 * (6 * 0.04055 - 2 * 27 * 16 * 1024e-9), rel=1e-3
    )  # 40.55 million, says the paper


def test_answers_on_an_operation(gpu, torch):
    lib = prepared(minigrad)
    rows = {name: row._replace(case=shrunken(row.case)) for name, row in OPERATIONS.items()}
    with patch.object(gpu_measure, "OPERATIONS", rows):
        for name, find in gpu_measure.operation_answers(lib, gpu, "conv-64-64-3x3-56-input", "tf32"):
            assert name == "minigrad"
            assert min(find().values()) > 0
        names = [
            [name for name, _ in gpu_measure.operation_answers(prepared(torch), gpu, row, "fp32")] for row in ("sgd", "cat-56")
        ]
        assert names == [["torch"], ["torch", CHANNELS_LAST]]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_answers_on_a_network(gpu, torch):
    small = {"lenet5": ROWS["lenet5"]._replace(batch=2)}
    with patch.object(gpu_measure, "NETWORKS", small), patch.object(gpu_measure.CuPyGPU, "reserved", lambda gpu: 10**9):
        found = {name: find() for name, find in gpu_measure.network_answers(prepared(minigrad), gpu, "lenet5")}
        theirs = [name for name, _ in gpu_measure.network_answers(prepared(torch), gpu, "lenet5")]
    ways = [f"{way} {precision}" for precision in ("fp32", "tf32", "amp") for way in ("eager", "captured")]
    assert list(found) == ["work", *ways]
    assert set(found["captured tf32"]) == {"ms", "warm_s", "wall_ms", "host_ms", "reserved_mb"}
    assert found["eager fp32"]["reserved_mb"] == 1000
    torchs = ["torch fp32", "torch amp", f"{CHANNELS_LAST} amp", f"{CHANNELS_LAST} tf32"]
    assert theirs == ["work", *torchs]


def test_questions_of_the_check(gpu, torch):
    with patch.object(gpu_measure, "prepare", lambda library: (prepared({"minigrad": minigrad, "torch": torch}[library]), gpu)):
        name, find = next(gpu_measure.answers("torch", {"row": "matmul-512x512x512", "precision": "tf32"}))
        assert (name, find().keys()) == ("torch", {"ms", "host_ms"})
        name, find = next(gpu_measure.answers("minigrad", {"network": "resnet20"}))
        assert (name, find().keys()) == ("work", {"gflop"})
