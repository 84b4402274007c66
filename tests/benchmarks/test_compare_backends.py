"""The comparison of NumPy with CuPy: every figure can be measured, on a stand-in for CuPy too, and without a GPU it says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

import minigrad
from benchmarks import compare_backends
from benchmarks.compare_backends import NETWORKS, OPERATIONS
from tests.fake_cupy import FakeCupy, FakeGPU, fake_cupy

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["matmul-16", *OPERATIONS, *NETWORKS]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.compare_backends", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def figures(names, ms: float) -> dict[str, float]:
    return {name: ms for name in names}


@pytest.fixture
def fake():
    with fake_cupy() as module:
        module.cuda.runtime.getDeviceProperties = lambda index: {"name": f"GPU {index}".encode()}
        yield module


@pytest.mark.parametrize("name", NAMES)
def test_everything_runs_on_the_cpu(name):
    compare_backends.build("cpu", name, 1)()


@pytest.mark.parametrize("name", NAMES)
def test_everything_runs_on_a_gpu(name, fake):
    compare_backends.finished("cuda", compare_backends.build("cuda", name, 1))()
    assert FakeGPU.waited_for == [0]


def test_the_clock_is_read_when_the_gpu_is_done(fake):
    done = []
    with patch.object(FakeGPU, "synchronize", lambda gpu: done.append("waited")):
        compare_backends.finished("cuda", lambda: done.append("asked"))()
        compare_backends.finished("cpu", lambda: done.append("asked"))()
    assert done == ["asked", "waited", "asked"]


def test_why_there_is_no_gpu(fake):
    assert compare_backends.why_no_gpu() == ""
    with fake_cupy(FakeCupy(gpus=0)):
        assert "finds no usable GPU" in compare_backends.why_no_gpu()


def test_table_and_plot_of_both_devices(fake, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    asked = []

    def in_turn(module, devices, turns, threads, options):
        asked.append((devices, options[options.index("--sizes") :]))
        names = (["matmul-16", "matmul-32"], ["add"], ["mlp"])[len(asked) - 1]
        return {"cpu": figures(names, 6.0), "cuda": figures(names, 1.5)}

    chosen = ["--sizes", "16", "32", "--operations", "add", "--networks", "mlp"]
    with patch.object(compare_backends, "in_turn", in_turn):
        compare_backends.main([*chosen, "--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")])
    assert asked[0] == (["cpu", "cuda"], ["--sizes", "16", "32", "--operations", "--networks"])
    assert asked[2] == (["cpu", "cuda"], ["--sizes", "--operations", "--networks", "mlp"])
    lines = capsys.readouterr().out.splitlines()
    assert "GPU 0" in lines[0]
    assert lines[1].split() == ["NumPy", "ms", "CuPy", "ms", "times"]
    assert [line.split()[-3:] for line in lines[2:]] == [["6.000", "1.500", "4.0"]] * 4
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["gpu"] == "GPU 0"
    assert found["ms"]["cuda"] == figures(["matmul-16", "matmul-32", "add", "mlp"], 1.5)
    assert (tmp_path / "found.png").stat().st_size > 1000


def test_runs_from_the_command_line(tmp_path):
    if minigrad.cuda.is_available():
        pytest.skip("there is a GPU")
    settings = ("--turns", "1", "--seconds", "0.01", "--threads", "1", "--json", str(tmp_path / "found.json"))
    done = run("--sizes", "16", "32", "--operations", "softmax", "--networks", "mlp", *settings)
    assert done.returncode == 0, done.stderr
    assert "There is no GPU here, so the CPU is measured alone: device 'cuda': CuPy" in done.stdout
    assert "OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["gpu"] is None
    assert set(found["ms"]) == {"cpu"}
    assert set(found["ms"]["cpu"]) == {"matmul-16", "matmul-32", "softmax", "mlp"}
    assert min(found["ms"]["cpu"].values()) > 0


def test_a_plot_of_the_cpu_alone(tmp_path):
    pytest.importorskip("matplotlib")
    for names in (["matmul-16", "add"], ["matmul-16"], ["add"]):
        compare_backends.draw({"cpu": figures(names, 2.0)}, tmp_path / "found.png", "a machine")
        assert (tmp_path / "found.png").stat().st_size > 1000


def test_nothing_to_measure():
    done = run("--sizes", "--operations", "--networks")
    assert done.returncode == 2
    assert "expected something to measure" in done.stderr


def test_unknown_network():
    done = run("--networks", "transformer")
    assert done.returncode == 2
    assert "invalid choice: 'transformer'" in done.stderr
