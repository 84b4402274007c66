"""``python -m minigrad.doctor``: with and without CuPy, and where parts of CUDA are missing or broken."""

import configparser
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from minigrad import doctor
from minigrad.backends.cuda import PIP_LINES, diagnosis, pip_line
from tests.fake_cupy import FakeCupy, fake_cupy


def run(capsys, *arguments):
    """The exit status, and what was printed, by subject."""
    status = doctor.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split(None, 1)[1] for line in lines if line.startswith("  ") and "->" not in line}
    return status, found, [line.partition("-> ")[2] for line in lines if "->" in line]


@pytest.fixture
def machine(monkeypatch):
    """A machine on which all works."""
    module = FakeCupy(gpus=1)
    module.cuda.runtime.runtimeGetVersion = lambda: 13020
    module.cuda.nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
    module.RawModule = lambda code, options: SimpleNamespace(compile=lambda: None)
    monkeypatch.setattr(diagnosis, "driver_version", lambda: 13000)
    monkeypatch.setattr(diagnosis, "load_library", lambda: SimpleNamespace(cublasGetProperty=lambda part, value: 0))
    with fake_cupy(module):
        yield module


def test_everything_works(machine, capsys):
    status, found, advice = run(capsys, "--cuda")
    assert status == 0 and advice == []
    assert found["driver"] == "for CUDA up to 13.0" and found["CuPy"] == "14.2.0, made for CUDA 13.2"
    assert (found["NVRTC"], found["cuBLAS"]) == ("13.0", "0.0.0")
    assert found["cuda:0"] == "fake, 80.0 GiB, compute capability 9.0"
    assert found["kernels"].endswith("texts compile")
    assert found["Python"].startswith(sys.version.split()[0])
    assert {"minigrad", "numpy", "scipy", "threadpoolctl", "model", "threads"} <= found.keys()


def test_without_cupy_all_is_well_unless_cuda_is_asked_for(machine, capsys):
    with patch.dict(sys.modules, {"cupy": None}):
        status, found, advice = run(capsys)
        assert (status, found["CuPy"], advice) == (0, "not installed", ['pip install "cupy-cuda13x[ctk]"'])
        with patch.object(diagnosis, "driver_version", lambda: 12040):
            assert run(capsys, "--cuda")[::2] == (1, ['pip install "cupy-cuda12x[ctk]"'])
        with patch.object(diagnosis, "driver_version", lambda: 0):
            status, found, advice = run(capsys, "--cuda")
            assert status == 1 and found["driver"] == "not found"
            assert "NVIDIA GPU and its driver" in advice[0] and advice[1] == PIP_LINES


def test_cupy_cannot_be_imported(machine, capsys, tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ValueError('numpy.dtype size changed\\nmore')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with patch.dict(sys.modules):
        del sys.modules["cupy"]
        status, found, advice = run(capsys, "--cuda")
    assert (status, found["CuPy"]) == (1, "cannot be imported: numpy.dtype size changed")
    assert advice == ['pip install "cupy-cuda13x[ctk]"']


def test_libraries_are_missing(machine, capsys, monkeypatch):
    def fail(*args):
        raise RuntimeError("libnvrtc.so.13: cannot open shared object file\nand more")

    machine.cuda.nvrtc.getVersion = fail
    monkeypatch.setattr(diagnosis, "load_library", fail)
    status, found, advice = run(capsys, "--cuda")
    assert status == 1 and advice == ['pip install "cupy-cuda13x[ctk]"'] * 3  # the kernels are not compiled without NVRTC
    assert found["NVRTC"] == found["cuBLAS"] == "fails: libnvrtc.so.13: cannot open shared object file"


def test_a_kernel_does_not_compile(machine, capsys):
    def fail():
        raise ValueError("expected a ;")

    machine.RawModule = lambda code, options: SimpleNamespace(compile=fail)
    status, found, advice = run(capsys, "--cuda")
    assert status == 1 and found["kernels"].endswith(".cu for float16: expected a ;") and len(advice) == 1
    assert run(capsys)[0] == 0


def test_no_gpu(machine, capsys):
    machine.cuda.is_available = lambda: False
    status, found, advice = run(capsys, "--cuda")
    assert (status, found["GPU"]) == (1, "none that CuPy can use") and "nvidia-smi" in advice[0]
    assert "kernels" not in found


@pytest.mark.parametrize("major", [12, 13])
def test_the_extras_install_what_the_doctor_advises(major):
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[1] / "setup.cfg", encoding="utf-8")
    (requirement,) = config["options.extras_require"][f"cuda{major}"].split()
    assert pip_line(major) == f'pip install "{requirement}"'
    assert pip_line(major) in PIP_LINES


def test_the_driver_is_asked_without_raising():
    assert diagnosis.driver_version() >= 0


def test_as_a_program():
    done = subprocess.run([sys.executable, "-m", "minigrad.doctor"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(title in done.stdout for title in ("Python\n", "CPU\n", "CUDA\n"))
