"""The training benchmark: it runs from the command line, and its table counts what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")  # what the page faults are read from
import minigrad
from benchmarks import networks, train_step
from benchmarks.measure import in_short_turns

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = {
    "mlp": 101_110,
    "lenet5": 61_706,
    "resnet20": 269_722,
    "cifar_resnet18": 11_173_962,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "wide_resnet50_2": 68_883_240,
    "resnext50_32x4d": 25_028_904,
    "densenet121": 7_978_856,
    "vgg16": 138_357_544,
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.train_step", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if PARAMETERS[name] < 3e7])
def test_networks_have_the_published_number_of_parameters(name):
    model = getattr(networks, name)(minigrad)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_every_row_has_its_network():
    assert {row.network for row in train_step.ROWS.values()} == set(PARAMETERS)


def test_same_output_as_torch(torch):
    for name, shape in (("lenet5", (2, 1, 28, 28)), ("resnet20", (2, 3, 32, 32)), ("densenet121", (2, 3, 32, 32))):
        ours, theirs = getattr(networks, name)(minigrad).eval(), getattr(networks, name)(torch).eval()
        ours.load_state_dict({key: minigrad.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()})
        x = torch.randn(*shape)
        expected = theirs(x).detach()
        actual = ours(minigrad.from_numpy(x.numpy())).detach()
        assert float((actual - minigrad.from_numpy(expected.numpy())).abs().max()) < 1e-4 * float(expected.abs().max())


def test_runs_from_the_command_line(tmp_path):
    done = run("--rows", "mlp", "--turns", "1", "--seconds", "0.05", "--threads", "1", "--json", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stderr
    assert "OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset" in done.stdout
    figures = json.loads((tmp_path / "found.json").read_text())["rows"]["mlp"]["minigrad"]
    assert figures["ms"] > 0
    assert figures["peak_mb"] > 0
    assert set(figures) == {"ms", "peak_mb", "faults", "busy"}


def test_a_chart_needs_a_peer(tmp_path):
    done = run("--chart", str(tmp_path / "ratios.png"))
    assert done.returncode == 2
    assert "expected --peer torch" in done.stderr


def test_the_faster_layout_counts(tmp_path):
    def figures(ms):
        return {"ms": ms, "peak_mb": 1.0, "faults": 0.0, "busy": 1.0}

    found = {"minigrad": figures(3.0), "torch": figures(4.0), train_step.CHANNELS_LAST: figures(2.0)}
    result = train_step.compare(found)
    assert (result["best"], result["ratio"]) == (train_step.CHANNELS_LAST, 1.5)
    assert "channels last" in train_step.line("a network", result)
    assert train_step.compare({"minigrad": figures(3.0)}) == {"minigrad": figures(3.0)}
    assert train_step.geometric_mean([0.5, 2.0]) == pytest.approx(1)
    train_step.draw({"mlp": result}, tmp_path / "ratios.png", "a machine")
    assert (tmp_path / "ratios.png").stat().st_size > 1000


def test_a_child_that_fails_is_not_waited_for():
    with pytest.raises(RuntimeError, match="--rows no-such-row ended with 2"):
        in_short_turns("benchmarks.train_step", ["minigrad"], 1, 1, ["--rows", "no-such-row"])
