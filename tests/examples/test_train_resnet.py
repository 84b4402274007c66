"""The training program: its options, its errors, and a resumed run that ends with the bits of one that was never stopped."""

import argparse
import csv
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import minigrad
from minigrad.vision import datasets, models

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "train_resnet.py"
EPOCHS = 2
BATCHES = 12  # to an epoch
OPTIONS = ["--epochs", str(EPOCHS), "--batch-size", "128", "--seed", "3"]

# Runs the program, and lets a signal arrive in the middle of the given one of its updates.
WITH_SIGNAL = textwrap.dedent(
    """
    import os, runpy, signal, sys
    import minigrad

    number, which = sys.argv.pop(1).split()
    original, calls = minigrad.optim.SGD.update, 0

    def update(self, group):
        global calls
        calls += 1
        if calls == int(number):
            os.kill(os.getpid(), getattr(signal, which))
        original(self, group)

    minigrad.optim.SGD.update = update
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
    """
)


def run(*arguments, stop=None, **environment):
    """Run the program as a user does; ``stop``, for WITH_SIGNAL, says where a signal arrives."""
    prefix = [] if stop is None else ["-c", WITH_SIGNAL, stop]
    command = [sys.executable, *prefix, str(PROGRAM), *map(str, arguments)]
    environment = {**os.environ, "MPLBACKEND": "Agg", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def leaves(value, path=""):
    """Everything in a checkpoint, by its place, tensors as their bits."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}/{i}")
    elif isinstance(value, minigrad.Tensor):
        yield path, (value.shape, str(value.dtype), value.numpy().tobytes())
    else:
        yield path, value


def checkpoint_of(folder):
    return dict(leaves(minigrad.load(folder / "last.pth")))


# --- resuming ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(*OPTIONS, "--out", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_results(whole):
    rows = rows_of(whole)
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.05, 0.025])
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"]) < 2.3
    assert float(rows[1]["train_accuracy"]) > 0.5
    assert sorted(path.name for path in whole.iterdir()) == [
        "best.pth",
        "curves.png",
        "last.pth",
        "metrics.csv",
        "misclassified.png",
    ]
    best = minigrad.load(whole / "best.pth")["history"]
    assert best[-1]["test_accuracy"] == max(float(row["test_accuracy"]) for row in rows)


def test_checkpoint_holds_the_model(whole):
    model = models.resnet20(in_channels=1)
    model.load_state_dict(minigrad.load(whole / "last.pth")["model"])
    test = datasets.Digits(train=False)
    normalize = minigrad.vision.transforms.Normalize(*datasets.Digits().mean_and_std())
    with minigrad.no_grad():
        scores = model.eval()(normalize(test.tensors()[0]))
    accuracy = (scores.argmax(1) == test.labels).float().mean().item()
    assert accuracy == pytest.approx(float(rows_of(whole)[-1]["test_accuracy"]), abs=0.01)


def test_resumed_run_has_the_same_bits(whole, tmp_path):
    """Stopped in the middle of an epoch, in an epoch's last batch (which ends the epoch), and in the middle of the next."""
    resume = []
    for stop, place in (
        ("5 SIGINT", "epoch 1 after 5"),
        (f"{BATCHES - 5} SIGTERM", "epoch 2 after 0"),
        ("4 SIGINT", "epoch 2 after 4"),
    ):
        stopped = run(*OPTIONS, "--out", tmp_path, *resume, stop=stop)
        assert (stopped.returncode, stopped.stderr) == (130, "")
        assert f"stopped in {place} batches" in stopped.stdout
        resume = ["--resume"]
    assert not (tmp_path / "curves.png").exists()
    done = run(*OPTIONS, "--out", tmp_path, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert checkpoint_of(tmp_path) == checkpoint_of(whole)


def test_signal_from_outside(tmp_path):
    """Ctrl-C at whatever moment it comes: the program stops of itself, and leaves a checkpoint."""
    command = [sys.executable, str(PROGRAM), *OPTIONS, "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch   1/"):
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "")
    assert "stopped in epoch 2 after" in rest
    assert minigrad.load(tmp_path / "last.pth")["epoch"] == 1


def test_finished_run_resumed(whole, tmp_path):
    """There is nothing left to do but to draw the figures again."""
    for name in ("metrics.csv", "last.pth"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    done = run(*OPTIONS, "--out", tmp_path, "--resume")
    assert done.returncode == 0
    assert checkpoint_of(tmp_path) == checkpoint_of(whole)
    assert (tmp_path / "curves.png").exists()


# --- errors: one line, no traceback ------------------------------------------------------------------------------------


def load_program():
    spec = importlib.util.spec_from_file_location("train_resnet", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Runs the program in this process, on tiny data and without drawing unless told otherwise; undoes its signal handlers."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    threads = minigrad.get_num_threads()

    def tiny(arguments):
        return tuple(datasets.FakeData(size, (3, 8, 8), num_classes=4, seed=seed) for size, seed in ((18, 0), (7, 1)))

    def call(*arguments, tiny_data=True, draw=False):
        module = load_program()
        if tiny_data:
            module.load_data = tiny
        if not draw:
            module.draw_curves = module.draw_misclassified = lambda *drawn: None
        usual = ["--epochs", "2", "--batch-size", "8", "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["train_resnet.py", *usual, *map(str, arguments)])
        return module.main()

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
    minigrad.set_num_threads(threads)


def assert_one_line(capsys, *parts):
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith("train_resnet: ")
    for part in parts:
        assert part in errors


def test_other_options_are_not_resumed(whole, program, capsys):
    assert program("--out", whole, "--resume", "--lr", "0.01", "--optimizer", "adam", tiny_data=False) == 1
    assert_one_line(capsys, "last.pth is of a run with", "--lr 0.05", "--optimizer sgd", "--seed 3", "--batch-size 128")


def test_nothing_to_resume(program, tmp_path, capsys):
    assert program("--resume") == 1
    assert_one_line(capsys, f"there is no {tmp_path / 'out' / 'last.pth'}")
    assert not (tmp_path / "out").exists()


def test_damaged_checkpoint(program, tmp_path, capsys):
    assert program() == 0
    capsys.readouterr()
    path = tmp_path / "out" / "last.pth"
    path.write_bytes(path.read_bytes()[:-100])
    assert program("--resume") == 1
    assert_one_line(capsys, str(path))


@pytest.mark.skipif(minigrad.cuda.is_available(), reason="there is a GPU")
def test_no_gpu():
    done = run("--device", "cuda", "--epochs", "1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "device 'cuda'" in done.stderr
    assert "pip install" in done.stderr


def test_no_network(tmp_path):
    nowhere = "http://127.0.0.1:1"  # where nobody listens
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    done = run("--dataset", "cifar10", "--data-dir", tmp_path, **proxies)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for part in (datasets.cifar.URL, datasets.cifar.MD5, str(tmp_path / datasets.cifar.ARCHIVE)):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "tpu"], "expected one of cpu, cuda, meta, got 'tpu'"),
        (["--device", "meta"], "a tensor on the meta device has a shape and a dtype but no values"),
        (["--lr", "-1"], "expected lr to be at least 0, got -1.0"),
        (["--threads", "0"], "expected a whole number from 1 up, got 0"),
        (["--seed", 2**64], "expected a seed from"),
    ],
)
def test_impossible_values(program, capsys, arguments, message):
    assert program(*arguments) == 1
    assert_one_line(capsys, message)


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--batch-size", "-1"], ["--arch", "resnet21"], ["--lr", "high"]])
def test_impossible_arguments(program, capsys, arguments):
    with pytest.raises(SystemExit) as raised:
        program(*arguments)
    assert raised.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["matplotlib", "tqdm"])
def test_missing_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match=rf"{name} is not installed; .*pip install -e '\.\[examples\]'"):
        load_program()


# --- options -----------------------------------------------------------------------------------------------------------


# After three batches the running statistics of plain110 are still so far off that its evaluation overflows.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "name", [*(f"resnet{n}" for n in (20, 32, 44, 56, 110)), *(f"plain{n}" for n in (20, 32, 44, 56, 110))]
)
def test_architectures(program, tmp_path, name):
    assert program("--arch", name, "--epochs", "1") == 0
    state = minigrad.load(tmp_path / "out" / "last.pth")["model"]
    getattr(models, name)(num_classes=4).load_state_dict(state)


RATES = {"sgd": (0.05, 2e-3), "adam": (1e-3, 0.0), "adamw": (1e-3, 1e-2), "lion": (3e-4, 1e-2)}


@pytest.mark.parametrize("name", RATES)
def test_optimizers(program, tmp_path, name):
    assert program("--optimizer", name, "--epochs", "1") == 0
    (group,) = minigrad.load(tmp_path / "out" / "last.pth")["optimizer"]["param_groups"]
    assert (group["initial_lr"], group["weight_decay"]) == RATES[name]
    assert program("--optimizer", name, "--epochs", "1", "--lr", "0.002", "--weight-decay", "0.003") == 0
    (group,) = minigrad.load(tmp_path / "out" / "last.pth")["optimizer"]["param_groups"]
    assert (group["initial_lr"], group["weight_decay"]) == (0.002, 0.003)


@pytest.mark.parametrize(
    ("name", "epochs", "rates"),
    [
        ("cosine", 3, [1, 0.75, 0.25]),
        ("step", 4, [1, 1, 0.1, 0.01]),
        ("step", 1, [1]),
        ("constant", 2, [1, 1]),
    ],
)
def test_schedules(program, tmp_path, name, epochs, rates):
    assert program("--schedule", name, "--epochs", epochs, "--lr", "0.01") == 0
    assert [float(row["lr"]) for row in rows_of(tmp_path / "out")] == pytest.approx([0.01 * rate for rate in rates])


def test_seeds(program, tmp_path):
    metrics = []
    for seed in (1, 1, 2):
        assert program("--seed", seed, "--epochs", "1") == 0
        metrics.append((tmp_path / "out" / "metrics.csv").read_bytes())
    assert metrics[0] == metrics[1] != metrics[2]


def test_threads(program):
    for number in (1, 2):
        assert program("--threads", number, "--epochs", "1") == 0
        assert minigrad.get_num_threads() == number


def test_figures(program, tmp_path):
    """In colour, also of a single epoch."""
    assert program("--epochs", "1", draw=True) == 0
    for name in ("curves.png", "misclassified.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_no_mistake_to_draw(tmp_path):
    test = datasets.FakeData(3, (1, 8, 8), num_classes=2)
    probabilities = minigrad.nn.functional.one_hot(test.labels, 2).float()
    load_program().draw_misclassified(tmp_path / "none.png", test, probabilities)
    assert (tmp_path / "none.png").exists()


def test_fake_dataset():
    """The one that needs nothing."""
    train, test = load_program().load_data(argparse.Namespace(dataset="fake"))
    assert (train.images.shape, test.images.shape) == ((512, 3, 32, 32), (128, 3, 32, 32))
    assert not train.images[:128].equal(test.images)
