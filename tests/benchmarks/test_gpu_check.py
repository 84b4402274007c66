"""The check on a GPU: without one it says so; its tables of times, its limits of time, and sections that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

pytest.importorskip("resource")  # train_step, whose rows are used, needs it
import minigrad
from benchmarks import gpu_check, gpu_rows, gpu_timings
from benchmarks.gpu_check import Section
from benchmarks.gpu_rows import NETWORKS, OPERATIONS
from benchmarks.gpu_worker import Deadline
from benchmarks.train_step import CHANNELS_LAST

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_gpu_it_says_so(tmp_path):
    if minigrad.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gpu_check: device 'cuda': CuPy ")
    assert list(tmp_path.iterdir()) == []


class Stub:
    """A worker that knows its answers; what it is not told about fails."""

    def __init__(self, library: str, answers):
        self.library, self.answers, self.process, self.asked = library, answers, None, []

    def ask(self, question, seconds):
        self.asked.append((question, seconds))
        return self.answers(question)

    def close(self):
        self.process = "closed"


def limits_of(question, ms):
    return {"copy": {"ms": 1.0}, "product": {"ms": ms[question["precision"]]}}[question["row"]]


def test_table_of_operations(capsys):
    def ours(question):
        if question["row"] in gpu_rows.LIMITS:
            return {"minigrad": limits_of(question, {"fp32": 20.0, "tf32": 9.0})}
        if question["row"] == "sgd":
            return {"process": {"error": "ended with -11"}}
        return {"minigrad": {"ms": 0.5, "host_ms": 0.01}}

    def theirs(question):
        if question["row"] in gpu_rows.LIMITS:
            return {"torch": limits_of(question, {"fp32": 22.0, "tf32": 2.0})}
        found = {"torch": {"ms": 0.4, "host_ms": 0.02}}
        return found if question["row"] == "sgd" else {**found, CHANNELS_LAST: {"ms": 0.25, "host_ms": 0.02}}

    stubs = {"minigrad": Stub("minigrad", ours), "torch": Stub("torch", theirs)}
    rows = {name: OPERATIONS[name] for name in ("matmul-4096x4096x4096", "sgd")}
    found, saved = {}, []
    with patch.object(gpu_timings, "workers", lambda: stubs), patch.object(gpu_timings, "OPERATIONS", rows):
        failures = gpu_timings.time_operations(found, lambda: saved.append(len(found["rows"])), Deadline(60))
    assert failures == ["sgd fp32, minigrad failed: process: ended with -11"]
    assert saved == [1, 2, 3]
    assert found["limits"] == pytest.approx({"copy": 2147.483648, "fp32": 2 * 8.192**3 / 20, "tf32": 2 * 8.192**3 / 2})
    result = found["rows"]["matmul-4096x4096x4096 tf32"]
    assert (result["best"], result["ratio"]) == (CHANNELS_LAST, 2.0)
    assert result["fraction"] == pytest.approx(2 * 4.096**3 / 0.5 / found["limits"]["tf32"])
    assert result["peer_fraction"] == pytest.approx(2 * result["fraction"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["limits:", "copy", "2147.5", "GB/s,"]
    assert lines[3].split()[3:] == ["tf32", "0.5000", "0.2500", "channels", "last", "2.00", "0.50", "1.00", "0.010", "0.020"]
    assert lines[4].split()[8:] == ["fp32", "–", "0.4000", "contiguous", "–", "–", "0.60", "–", "0.020"]
    assert lines[5].strip() == "minigrad failed: process: ended with -11"
    assert [stub.process for stub in stubs.values()] == ["closed", "closed"]
    assert stubs["torch"].asked[0][1] == pytest.approx(60, abs=1)  # 30 s, and time to start; but no more than there is


def test_table_of_networks(capsys):
    def ours(question):
        if "row" in question:
            return {"minigrad": limits_of(question, {"fp32": 20.0, "tf32": 2.0})}
        eager = {"ms": 8.0, "host_ms": 3.0, "reserved_mb": 500.0}
        return {"work": {"gflop": 100.0}, "eager fp32": eager, "captured fp32": {"ms": 5.0}, "eager tf32": {"error": "refused"}}

    stubs = {"minigrad": Stub("minigrad", ours)}
    chosen = {"resnet20": NETWORKS["resnet20"]}
    found = {}
    with patch.object(gpu_timings, "workers", lambda: stubs), patch.object(gpu_timings, "NETWORKS", chosen):
        failures = gpu_timings.time_networks(found, lambda: None, Deadline(600))
    assert failures == ["resnet20, minigrad failed: eager tf32: refused"]
    row = found["rows"]["resnet20 fp32"]
    assert (row["best"], row["images_per_s"]) == ("captured", 25600)
    assert row["fraction"] == pytest.approx(20 / found["limits"]["fp32"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[2:9] == ["128", "fp32", "8.000", "5.000", "–", "–", "–"]
    assert lines[3].split()[3:6] == ["tf32", "–", "–"]
    assert lines[4].split()[3:6] == ["amp", "–", "–"]
    assert lines[5].strip() == "minigrad failed: eager tf32: refused"
    measured = {f"{way} fp32": {"ms": ms} for way, ms in (("eager", 8.0), ("torch", 4.0), (CHANNELS_LAST, 2.0))}
    both = gpu_timings.network_result(NETWORKS["resnet20"], "fp32", measured, {})
    assert (both["ratio"], both["peer_best"], both["peer_images_per_s"]) == (4.0, CHANNELS_LAST, 64000)


def test_what_there_is_no_time_for():
    for section, rows in ((gpu_timings.time_operations, OPERATIONS), (gpu_timings.time_networks, NETWORKS)):
        with patch.object(gpu_timings, "workers", dict):
            failures = section({}, lambda: None, Deadline(0))
        assert set(rows) == {failure.split()[0].rstrip(":") for failure in failures}
        assert all(failure.endswith("no time left") for failure in failures)


def breaks(found, save, deadline):
    found["rows"] = {"a": 1}
    save()
    raise RuntimeError("broken")


def works(found, save, deadline):
    found["left"] = deadline.left()
    return []


def test_sections_and_their_failures(tmp_path, capsys):
    sections = {"one": Section("the first", breaks, 10), "two": Section("the second", works, 20)}
    path = tmp_path / "found.json"
    with (
        patch.object(gpu_check, "SECTIONS", sections),
        patch.object(gpu_check, "why_no_gpu", str),
        patch.object(gpu_check, "gpu_name", lambda: "a GPU"),
    ):
        assert gpu_check.main(["--sections", "one", "two", "--json", str(path)]) == 1
        report = json.loads(path.read_text())
        assert report["gpu"] == "a GPU"
        assert "numpy" in report["packages"]
        assert report["sections"]["one"]["rows"] == {"a": 1}
        assert report["sections"]["one"]["failed"] == ["RuntimeError: broken"]
        assert 19 < report["sections"]["two"]["left"] <= 20
        assert gpu_check.main(["--sections", "two", "--json", str(path)]) == 0
        assert gpu_check.main(["--sections", "two", "--minutes", "0", "--json", str(path)]) == 1
    assert json.loads(path.read_text())["sections"]["two"]["failed"] == ["no time left"]
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
    assert "one: RuntimeError: broken" in capsys.readouterr().out


def test_unknown_section():
    with pytest.raises(SystemExit):
        gpu_check.main(["--sections", "three"])
