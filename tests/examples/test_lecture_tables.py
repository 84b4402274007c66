"""The lecture's comparisons: the numbers that the lecture and the papers give must come out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "lecture_tables.py"


def run(*arguments):
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "MPLBACKEND": "Agg"})


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lecture")
    result = run("--out", folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "error_against_cost.png").read_bytes().startswith(b"\x89PNG")
    return result.stdout


def line_of(output, heading, name):
    """The columns of one line of the table below a heading."""
    table = output[output.index(heading) :]
    line = next(line for line in table.splitlines() if line.startswith(name))
    return re.split(r"  +", line.strip())


def test_alexnet(output):
    layers = output[output.index("AlexNet as the paper has it") : output.index("Small filters")].splitlines()[3:-2]
    columns = [re.split(r"  +", line.strip()) for line in layers]
    sizes = [int(column[1].split("×")[1]) for column in columns if "×" in column[1]]
    assert sizes == [55, 27, 27, 13, 13, 13, 13, 6]
    assert [column[-1] for column in columns[:8]] == ["11", "19", "51", "67", "99", "131", "163", "195"]
    assert line_of(output, "AlexNet as the paper has it", "in all")[1] == "60,965,224"


def test_small_filters(output):
    assert line_of(output, "Small filters", "three 3×3")[1:] == ["7×7", "27 C² = 110,592", "347"]
    assert line_of(output, "Small filters", "one 7×7")[1:] == ["7×7", "49 C² = 200,704", "629"]


def test_inception(output):
    assert line_of(output, "Bottlenecks", "naive")[1::2] == ["672", "854"]
    assert line_of(output, "Bottlenecks", "1×1 convolutions first")[1::2] == ["480", "271"]


@pytest.mark.parametrize(
    ("heading", "name", "numbers"),
    [
        ("Deeper", "vgg16", ["138.4", "15.47", "25.6", "8.1"]),
        ("Deeper", "googlenet_original", ["7.0", "1.58", "-", "10.07"]),
        ("Much deeper", "resnet34", ["21.8", "3.66", "24.52", "7.46"]),
        ("Much deeper", "resnet50", ["25.6", "4.09", "22.85", "6.71"]),
        ("Much deeper", "resnet152", ["60.2", "11.51", "21.43", "5.71"]),
        ("Wider", "wide_resnet50_2", ["68.9", "11.40", "21.9", "6.03"]),
        ("Groups", "resnext50_32x4d", ["25.0", "4.23", "22.2", "-"]),
        ("Dense", "densenet201", ["20.0", "4.29", "21.46", "5.54"]),
    ],
)
def test_comparisons(output, heading, name, numbers):
    assert line_of(output, f"\n{heading}", name)[1:5] == numbers


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    result = run("--out", tmp_path / "file" / "below")
    assert result.returncode == 1
    assert result.stderr.startswith("lecture_tables: ")
