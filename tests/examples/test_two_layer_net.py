"""The lecture's two-layer network as a program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "two_layer_net.py"


def run(*arguments, check=True):
    command = [sys.executable, "-W", "default", str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)


def test_loss_falls():
    losses = [float(loss) for loss in re.findall(r"^epoch +\d+ +loss ([\d.]+)$", run().stdout, flags=re.MULTILINE)]
    assert len(losses) == 10
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6 * losses[0]


def test_older_spelling_is_named():
    errors = run("--epochs", "1").stderr
    assert f"{PROGRAM}:" in errors  # the line that uses it
    assert "DeprecationWarning: MSELoss: size_average and reduce have a newer form" in errors
    assert "reduction='sum'" in errors


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--epochs", 0, "--epochs: expected a number from 1 up, got 0"), ("--seed", 2**64, "expected a seed from -2**63")],
)
def test_impossible_values(option, value, message):
    done = run(option, value, check=False)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_seed():
    assert run("--epochs", "1").stdout == run("--epochs", "1", "--seed", "0").stdout
    assert run("--epochs", "1").stdout != run("--epochs", "1", "--seed", "1").stdout
