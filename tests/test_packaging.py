"""What is installed, what importing it costs, and that the README's commands are where readers and CI look for them."""

import configparser
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "minigrad"


@pytest.fixture(scope="module")
def config():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def lines_of(option):
    return [line for line in option.splitlines() if line]


def run_python(source):
    return subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def code_blocks(markdown):
    """The fenced blocks as (the line before the fence, language, code)."""
    return re.findall(r"^([^\n]*)\n```(\w*)\n(.*?)^```$", markdown, flags=re.DOTALL | re.MULTILINE)


# setup.cfg


def test_runtime_dependencies_are_these_three(config):
    requirements = lines_of(config["options"]["install_requires"])
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}
    assert names == {"numpy", "scipy", "threadpoolctl"}
    assert len(names) == len(requirements)


def test_version_is_that_of_the_metadata(config):
    assert minigrad.__version__ == config["metadata"]["version"]


def test_every_directory_of_sources_is_a_package():
    """`packages = find:` leaves out a directory without __init__.py, and nobody notices in an editable install."""
    directories = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [directory for directory in sorted(directories) if not (directory / "__init__.py").exists()] == []


def test_every_data_file_is_declared(config):
    patterns = lines_of(config["options.package_data"]["minigrad"])
    declared = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    found = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")
    }
    assert PACKAGE / "py.typed" in declared
    assert sorted(found - declared) == []


# import minigrad


def heavy_modules_after(statement):
    heavy = {"PIL", "cupy", "matplotlib", "scipy", "threadpoolctl", "torch", "tqdm"}
    output = run_python(f"{statement}\nimport sys\nprint(*{heavy!r}.intersection(sys.modules))")
    return set(output.split())


def test_import_loads_nothing_heavy():
    assert heavy_modules_after("import minigrad") == set()


def test_heavy_modules_would_be_seen():
    assert heavy_modules_after("import threadpoolctl, scipy.signal") >= {"threadpoolctl", "scipy"}


@pytest.mark.skipif("MINIGRAD_REQUIRE_TORCH" not in os.environ, reason="MINIGRAD_REQUIRE_TORCH is not set")
def test_torch_is_there_where_it_is_required():
    """Tests that compare with torch skip where it is missing; with the variable set, that must not pass for success."""
    assert importlib.import_module("torch").__version__


# README.md


def test_readme_opens_with_the_training_command(config, readme):
    marker, _, code = code_blocks(readme)[0]
    assert marker == "<!-- ci: train -->"
    make, install, train = split_command(code)
    assert make == ["python3", "-m", "venv", ".venv"]
    assert install == [".venv/bin/pip", "install", "-e", ".[examples]"]
    assert train == [".venv/bin/python", "examples/train_resnet.py"]  # CI appends arguments
    assert (ROOT / train[-1]).is_file()
    assert "examples" in config["options.extras_require"]


def test_readme_goes_on_with_the_test_command(config, readme):
    marker, _, code = code_blocks(readme)[1]
    assert marker == "<!-- ci: tests -->"
    make, install, test = split_command(code)
    assert make == ["python3", "-m", "venv", ".venv"]
    assert install == [".venv/bin/pip", "install", "-e", ".[test]"]
    assert test[:3] == [".venv/bin/python", "-m", "pytest"]
    assert "test" in config["options.extras_require"]


def split_command(code):
    """The arguments of each step of a single line `a && b && c`."""
    (line,) = code.splitlines()
    return [shlex.split(step) for step in line.split("&&")]


def test_ci_takes_its_commands_from_the_readme(readme):
    wanted = re.findall(r"\$\(readme_command (\w+)\)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert sorted(wanted) == ["tests", "train"]
    for name in wanted:
        assert readme.splitlines().count(f"<!-- ci: {name} -->") == 1


def test_readme_examples(readme):
    learns, costs = (code for _, language, code in code_blocks(readme) if language == "python")
    (loss,) = re.findall(r"^loss (\d+\.\d+)$", run_python(learns), flags=re.MULTILINE)
    assert float(loss) < 0.2
    printed = run_python(costs)
    assert "parameters: 25,557,032 (all trainable)" in printed  # ResNet-50
    assert printed.endswith("\n19 / 4\n")  # 7×7 by 2, 3×3 by 2, and the 3×3 of the first block


def test_what_readme_calls_missing_is_missing(readme):
    (paragraph,) = re.findall(r"^What a user of PyTorch will miss:.*?\n\n", readme, flags=re.DOTALL | re.MULTILINE)
    names = set(re.findall(r"`(\w+)`", paragraph)) - {"MultiheadAttention", "DataLoader"}
    rooms = (minigrad, minigrad.nn, minigrad.nn.functional, minigrad.optim, minigrad.vision.transforms)
    found = [name for room in rooms for name in dir(room) if name.startswith(tuple(names))]
    assert len(names) > 5 and found == []


def test_readme_programs_are_there(readme):
    for program in re.findall(r"^python (examples/\w+\.py)", readme, flags=re.MULTILINE):
        assert (ROOT / program).is_file()
