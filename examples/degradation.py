"""Do deeper plain networks train worse, and residual ones not? The claim of He et al. (2015), tried on the embedded digits.

    python examples/degradation.py
    python examples/degradation.py --depths 20 110 --epochs 30 --seeds 3 --out runs/degradation

Plain networks and residual ones of the same depths are trained alike, from several seeds. The claim is about the training loss:
if only the test loss grew with the depth, that would be overfitting. It leaves in --out: degradation.csv (one line per network,
seed and epoch) and degradation.png, and it ends with the numbers that support the claim or contradict it.

K. He, X. Zhang, S. Ren, J. Sun: "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385, figure 6.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import sys
import time
from pathlib import Path

import minigrad
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset
from minigrad.vision import datasets, transforms
from minigrad.vision.models import CIFARResNet

try:
    import matplotlib
    from matplotlib import pyplot
except ModuleNotFoundError as missing:
    sys.exit(f"degradation: {missing.name} is not installed; the extra [examples] brings it: pip install -e '.[examples]'")

KINDS = {"plain": False, "resnet": True}
FIELDS = ("kind", "depth", "seed", "epoch", "train_loss", "train_error", "test_loss", "test_error")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train plain and residual networks of several depths, and compare their training loss."
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 56], help="numbers of layers, 6n + 2; default: 20 56")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2, help="how many networks of each kind and depth; default: 2")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--lr", type=float, default=0.05, help="SGD's learning rate, which falls to 0 by a cosine; default: 0.05"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/degradation"), help="folder for the results")
    arguments = parser.parse_args()
    for name in ("epochs", "seeds", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number from 1 up, got {getattr(arguments, name)}")
    arguments.depths = sorted(set(arguments.depths))
    if len(arguments.depths) < 2:
        parser.error(f"--depths: expected two different depths or more, got {arguments.depths}")
    return arguments


def load_digits(device: minigrad.device) -> tuple[TensorDataset, TensorDataset]:
    """The training and the test images, of mean 0 and variance 1."""
    train, test = datasets.Digits(train=True), datasets.Digits(train=False)
    normalize = transforms.Normalize(*train.mean_and_std())
    pairs = [dataset.tensors() for dataset in (train, test)]
    first, second = [TensorDataset(normalize(images).to(device), labels.to(device)) for images, labels in pairs]
    return first, second


def train_network(
    model: nn.Module, train: TensorDataset, test: TensorDataset, seed: int, arguments: argparse.Namespace
) -> list[dict]:
    """Train; after every epoch, loss and error over the training images as they came in it, and on the test images."""
    loader = DataLoader(train, arguments.batch_size, shuffle=True, generator=minigrad.Generator().manual_seed(seed))
    optimizer = optim.SGD(model.parameters(), arguments.lr, momentum=0.9, weight_decay=1e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=arguments.epochs)
    rows = []
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        loss_sum, wrong = 0.0, 0
        for images, labels in loader:
            output = model(images)
            loss = nn.functional.cross_entropy(output, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            wrong += int((output.argmax(1) != labels).sum().item())
        schedule.step()
        numbers = (epoch, loss_sum / len(train), wrong / len(train), *measure(model, test))
        rows.append(dict(zip(FIELDS[3:], numbers, strict=True)))
    return rows


@minigrad.no_grad()
def measure(model: nn.Module, dataset: TensorDataset) -> tuple[float, float]:
    """The mean loss, and the fraction that is misclassified."""
    model.eval()
    loss, wrong = 0.0, 0
    for images, labels in DataLoader(dataset, batch_size=256):
        output = model(images)
        loss += nn.functional.cross_entropy(output, labels, reduction="sum").item()
        wrong += int((output.argmax(1) != labels).sum().item())
    return loss / len(dataset), wrong / len(dataset)


def run_all(arguments: argparse.Namespace) -> list[dict]:
    """Train all networks; the file of results grows with each, so that an interruption loses one network at most."""
    train, test = load_digits(arguments.device)
    rows: list[dict] = []
    for seed in range(arguments.seeds):
        for kind, residual in KINDS.items():
            for depth in arguments.depths:
                minigrad.manual_seed(seed)
                began = time.perf_counter()
                model = CIFARResNet(depth, in_channels=1, residual=residual).to(arguments.device)
                history = train_network(model, train, test, seed, arguments)
                rows += [{"kind": kind, "depth": depth, "seed": seed, **row} for row in history]
                write_rows(arguments.out / "degradation.csv", rows)
                last = history[-1]
                print(
                    f"seed {seed}  {kind}-{depth:<4} training loss {last['train_loss']:.4f}, error {last['train_error']:.2%}; "
                    f"test error {last['test_error']:.2%}; {time.perf_counter() - began:.0f} s",
                    flush=True,
                )
    return rows


def write_rows(path: Path, rows: list[dict]) -> None:
    partial = path.with_suffix(".part")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)


def means(rows: list[dict], kind: str, depth: int, field: str) -> list[float]:
    """The mean over the seeds after each epoch."""
    chosen = [row for row in rows if (row["kind"], row["depth"]) == (kind, depth)]
    epochs = sorted({row["epoch"] for row in chosen})
    return [statistics.mean(row[field] for row in chosen if row["epoch"] == epoch) for epoch in epochs]


def draw(path: Path, rows: list[dict], depths: list[int]) -> None:
    """Training loss by epoch: plain networks on the left, residual ones on the right, each depth in a colour of its own."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for axis, kind in zip(axes, KINDS, strict=True):
        for number, depth in enumerate(depths):
            for part, style in (("train", "-"), ("test", ":")):
                values = means(rows, kind, depth, f"{part}_loss")
                label = f"{kind}-{depth}, {part}"
                axis.plot(range(1, len(values) + 1), values, style, color=f"C{number}", marker=".", label=label)
        axis.set(xlabel="epoch", ylabel="cross-entropy loss", yscale="log", title=f"{kind} networks")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def verdict(rows: list[dict], depths: list[int]) -> str:
    """What the deepest networks' training loss says beside the shallowest's."""
    shallow, deep = depths[0], depths[-1]
    lines, worse = [], {}
    diverged = sorted({f"{row['kind']}-{row['depth']}" for row in rows if not math.isfinite(row["train_loss"])})
    if diverged:
        return f"no verdict: the loss of {', '.join(diverged)} is not finite; try a smaller --lr"
    for kind in KINDS:
        first, last = (means(rows, kind, depth, "train_loss")[-1] for depth in (shallow, deep))
        errors = [means(rows, kind, depth, "train_error")[-1] for depth in (shallow, deep)]
        worse[kind] = last > first
        lines.append(
            f"{kind}: from {shallow} to {deep} layers the training loss goes from {first:.4f} to {last:.4f}"
            f" ({last / first:.2f} times), the training error from {errors[0]:.2%} to {errors[1]:.2%}"
        )
    parts = {
        "deeper plain networks train worse": worse["plain"],
        "residual networks of that depth train better than plain ones": means(rows, "resnet", deep, "train_loss")[-1]
        < means(rows, "plain", deep, "train_loss")[-1],
        "deeper residual networks do not train worse": not worse["resnet"],
    }
    return "\n".join([*lines, *(f"{claim}: {'supported' if holds else 'contradicted'}" for claim, holds in parts.items())])


def main() -> int:
    arguments = parse_arguments()
    try:
        for depth in arguments.depths:
            CIFARResNet(depth, in_channels=1)
        number = minigrad.zeros((), device=arguments.device)
        number.item()  # fails where there are no values to train with, as on meta
        arguments.device = number.device
        arguments.out.mkdir(parents=True, exist_ok=True)
        rows = run_all(arguments)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"degradation: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"degradation: stopped; {arguments.out / 'degradation.csv'} holds what was finished", file=sys.stderr)
        return 130
    draw(arguments.out / "degradation.png", rows, arguments.depths)
    print(f"\nafter {arguments.epochs} epochs, means over {arguments.seeds} seeds (results in {arguments.out}):")
    conclusion = verdict(rows, arguments.depths)
    print(conclusion)
    return 1 if conclusion.startswith("no verdict") else 0


if __name__ == "__main__":
    matplotlib.use("Agg")  # files are drawn, no windows
    sys.exit(main())
