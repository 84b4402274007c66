"""The experiment on depth: its files, its verdict, its errors."""

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "degradation.py"


def run(*arguments):
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "MPLBACKEND": "Agg"})


@pytest.fixture
def program():
    specification = importlib.util.spec_from_file_location("degradation", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_small_run(tmp_path):
    result = run("--depths", 14, 8, "--epochs", 2, "--seeds", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "degradation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["depth"], row["epoch"]) for row in rows] == [
        (kind, depth, epoch) for kind in ("plain", "resnet") for depth in ("8", "14") for epoch in ("1", "2")
    ]
    for first, second in zip(rows[::2], rows[1::2]):
        assert float(second["train_loss"]) < float(first["train_loss"])  # it learns
    assert (tmp_path / "degradation.png").read_bytes().startswith(b"\x89PNG")
    last = {(row["kind"], row["depth"]): float(row["train_loss"]) for row in rows[1::2]}
    for kind in ("plain", "resnet"):
        assert f"{kind}: from 8 to 14 layers the training loss goes from {last[kind, '8']:.4f}" in result.stdout
    worse = "supported" if last["plain", "14"] > last["plain", "8"] else "contradicted"
    assert f"deeper plain networks train worse: {worse}" in result.stdout


def rows_of(losses):
    """Results of two seeds, one above and one below the given loss of a network."""
    return [
        {"kind": kind, "depth": depth, "seed": seed, "epoch": 1, "train_loss": loss * factor, "train_error": loss / 2}
        for (kind, depth), loss in losses.items()
        for seed, factor in enumerate((0.5, 1.5))
    ]


def test_verdict(program):
    losses = {("plain", 20): 0.1, ("plain", 56): 0.3, ("resnet", 20): 0.1, ("resnet", 56): 0.05}
    text = program.verdict(rows_of(losses), [20, 56])
    assert "plain: from 20 to 56 layers the training loss goes from 0.1000 to 0.3000 (3.00 times)" in text
    assert "the training error from 5.00% to 15.00%" in text
    assert text.count(": supported") == 3


def test_verdict_against_the_claim(program):
    losses = {("plain", 20): 0.3, ("plain", 56): 0.1, ("resnet", 20): 0.1, ("resnet", 56): 0.2}
    assert program.verdict(rows_of(losses), [20, 56]).count(": contradicted") == 3


def test_no_verdict_where_a_network_diverged(program):
    losses = {("plain", 20): 0.3, ("plain", 56): float("nan"), ("resnet", 20): 0.1, ("resnet", 56): 0.2}
    assert program.verdict(rows_of(losses), [20, 56]) == "no verdict: the loss of plain-56 is not finite; try a smaller --lr"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "gpu"), "degradation: device: expected one of"),
        (("--device", "meta"), "degradation: a tensor on the meta device has a shape and a dtype but no values"),
        (("--depths", 20, 21), "expected a depth of 6n + 2 (20, 32, 44, ...), got 21"),
        (("--depths", 20, 20), "--depths: expected two different depths or more, got [20]"),
        (("--epochs", 0), "--epochs: expected a number from 1 up, got 0"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    result = run(*arguments, "--out", tmp_path / "out")
    assert result.returncode != 0
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
