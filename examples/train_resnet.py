"""Train a CIFAR-style ResNet, by default ResNet-20 on the handwritten digits that minigrad carries.

    python examples/train_resnet.py
    python examples/train_resnet.py --arch plain56 --epochs 40 --out runs/plain56
    python examples/train_resnet.py --dataset cifar10 --data-dir data --out runs/cifar

It leaves in --out: best.pth and last.pth (checkpoints), metrics.csv, curves.png and misclassified.png. Ctrl-C saves and exits;
the same command with --resume goes on to the very numbers of a run that was never interrupted.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import sys
import time
from pathlib import Path

import minigrad
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset
from minigrad.vision import datasets, models, transforms

try:
    import matplotlib
    from matplotlib import pyplot
    from tqdm import tqdm
except ModuleNotFoundError as missing:
    sys.exit(f"train_resnet: {missing.name} is not installed; the extra [examples] brings it: pip install -e '.[examples]'")

ARCHITECTURES = [f"{kind}{depth}" for kind in ("resnet", "plain") for depth in (20, 32, 44, 56, 110)]
# dataset: (epochs, batch size, pixels of random shift, SGD's learning rate, SGD's weight decay); for CIFAR-10 the paper's
DATASET_DEFAULTS = {"digits": (25, 32, 1, 0.05, 2e-3), "cifar10": (164, 128, 4, 0.1, 1e-4), "fake": (2, 64, 0, 0.1, 1e-4)}
# optimizer: (learning rate, weight decay)
OPTIMIZER_DEFAULTS = {"adam": (1e-3, 0.0), "adamw": (1e-3, 1e-2), "lion": (3e-4, 1e-2)}
# What a run's numbers depend on, so that --resume wants it unchanged.
SETTINGS = ("dataset", "arch", "epochs", "batch_size", "lr", "weight_decay", "optimizer", "schedule", "device", "seed")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a CIFAR-style ResNet or its plain twin.")
    parser.add_argument("--dataset", choices=DATASET_DEFAULTS, default="digits")
    parser.add_argument("--data-dir", default="data", help="where the CIFAR-10 archive is, or is downloaded to")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="resnet20")
    parser.add_argument("--epochs", type=int, help="default: 25 for digits, 164 for cifar10, 2 for fake")
    parser.add_argument("--batch-size", type=int, help="default: 32 for digits, 128 for cifar10, 64 for fake")
    parser.add_argument("--lr", type=float, help="default: 0.1 for sgd (digits: 0.05), 1e-3 for adam and adamw, 3e-4 for lion")
    parser.add_argument("--weight-decay", type=float, help="default: 1e-4 for sgd (digits: 2e-3), 0 for adam, else 1e-2")
    parser.add_argument("--optimizer", choices=("sgd", *OPTIMIZER_DEFAULTS), default="sgd")
    parser.add_argument("--schedule", choices=("cosine", "step", "constant"), default="cosine")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="for matrix products on the CPU; default: 1, these are small")
    parser.add_argument("--out", type=Path, default=Path("runs/resnet"), help="folder for the results")
    parser.add_argument("--resume", action="store_true", help="go on from last.pth in --out")
    arguments = parser.parse_args()
    epochs, batch_size, arguments.shift, *for_sgd = DATASET_DEFAULTS[arguments.dataset]
    lr, weight_decay = OPTIMIZER_DEFAULTS.get(arguments.optimizer, for_sgd)
    for name, default in (("epochs", epochs), ("batch_size", batch_size), ("lr", lr), ("weight_decay", weight_decay)):
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    for name in ("epochs", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected a number from 1 up, got {getattr(arguments, name)}")
    return arguments


def load_data(arguments: argparse.Namespace) -> tuple[datasets.ImageDataset, datasets.ImageDataset]:
    """The training and the test images."""
    if arguments.dataset == "digits":
        return datasets.Digits(train=True), datasets.Digits(train=False)
    if arguments.dataset == "fake":
        return datasets.FakeData(512, (3, 32, 32), seed=0), datasets.FakeData(128, (3, 32, 32), seed=1)
    print(f"reading CIFAR-10 from {arguments.data_dir}; its archive (162 MB) is fetched if it is not there", flush=True)
    train = datasets.CIFAR10(arguments.data_dir, train=True, download=True)
    return train, datasets.CIFAR10(arguments.data_dir, train=False)


def make_optimizer(arguments: argparse.Namespace, model: nn.Module) -> optim.Optimizer:
    parameters = model.parameters()
    if arguments.optimizer == "sgd":
        return optim.SGD(parameters, arguments.lr, momentum=0.9, weight_decay=arguments.weight_decay)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW, "lion": optim.Lion}[arguments.optimizer]
    return kind(parameters, lr=arguments.lr, weight_decay=arguments.weight_decay)


def make_schedule(arguments: argparse.Namespace, optimizer: optim.Optimizer) -> optim.lr_scheduler.LRScheduler:
    epochs = arguments.epochs
    if arguments.schedule == "cosine":
        return optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    if arguments.schedule == "step":  # the paper's: a tenth after half of the epochs, and again after three quarters
        milestones = [max(1, epochs // 2), max(1, epochs * 3 // 4)]
        return optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    return optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)


class Run:
    """The data, and everything that changes while training: what a checkpoint holds."""

    def __init__(self, arguments: argparse.Namespace):
        minigrad.manual_seed(arguments.seed)
        self.settings = {name: getattr(arguments, name) for name in SETTINGS}
        device = minigrad.device(arguments.device)
        minigrad.zeros((), device=device).item()  # fails where there are no values to train with, as on meta
        self.order = minigrad.Generator().manual_seed(arguments.seed)  # of the training images
        self.order_before = self.order.get_state()  # as it was when this epoch began
        self.draws = minigrad.Generator(device).manual_seed(arguments.seed)  # of the augmentation

        train, self.test_images = load_data(arguments)
        normalize = transforms.Normalize(*train.mean_and_std())
        self.train = TensorDataset(*(tensor.to(device) for tensor in train.tensors()))
        images, labels = self.test_images.tensors()
        self.test = TensorDataset(normalize(images.to(device)), labels.to(device))
        self.loader = DataLoader(self.train, batch_size=arguments.batch_size, shuffle=True, generator=self.order)
        crop = transforms.RandomCrop(images.shape[2:], padding=arguments.shift, generator=self.draws)
        flip = transforms.RandomHorizontalFlip(generator=self.draws)
        self.augment = transforms.Compose([crop, flip, normalize] if arguments.dataset == "cifar10" else [crop, normalize])

        make_model = getattr(models, arguments.arch)
        self.model = make_model(num_classes=len(train.classes), in_channels=images.shape[1]).to(device)
        self.optimizer = make_optimizer(arguments, self.model)
        self.schedule = make_schedule(arguments, self.optimizer)
        self.epoch = 0
        self.batch = 0  # batches of this epoch that are done
        self.loss_sum = 0.0  # over these batches
        self.correct = 0
        self.history: list[dict[str, float]] = []

    def state(self) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order_before,
            "draws": self.draws.get_state(),
            "epoch": self.epoch,
            "batch": self.batch,
            "loss_sum": self.loss_sum,
            "correct": self.correct,
            "history": self.history,
            "settings": self.settings,
        }

    def restore(self, checkpoint: Path) -> None:
        if not checkpoint.exists():
            raise FileNotFoundError(f"--resume: there is no {checkpoint}; start a run without --resume, or check --out")
        state = minigrad.load(checkpoint)
        started = state["settings"]
        changed = [name for name in SETTINGS if self.settings[name] != started[name]]
        if changed:
            options = " ".join(f"--{name.replace('_', '-')} {started[name]}" for name in changed)
            raise ValueError(f"--resume: {checkpoint} is of a run with {options}; resume it with the same options")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.order.set_state(state["order"])
        self.draws.set_state(state["draws"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.loss_sum, self.correct = state["loss_sum"], state["correct"]
        self.history = state["history"]


class Interrupt:
    """Ctrl-C asks for a stop after the current batch, so that no checkpoint is taken half-way through an update."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def train_epoch(run: Run, interrupt: Interrupt) -> bool:
    """One epoch, or the rest of one; False if it was interrupted before its end."""
    run.model.train()
    run.order_before = run.order.get_state()
    bar = tqdm(total=len(run.loader), desc=f"epoch {run.epoch + 1}", disable=None, leave=False)  # None: if no terminal
    bar.update(run.batch)
    started, seen, done = time.perf_counter(), 0, 0
    with bar:
        for number, (images, labels) in enumerate(run.loader):
            done += len(labels)
            if number < run.batch:  # done before the run was interrupted
                continue
            output = run.model(run.augment(images))
            loss = nn.functional.cross_entropy(output, labels)
            run.optimizer.zero_grad()
            loss.backward()
            run.optimizer.step()

            run.batch = number + 1
            run.loss_sum += loss.item() * len(labels)
            run.correct += int((output.argmax(1) == labels).sum().item())
            seen += len(labels)
            rate = seen / (time.perf_counter() - started)
            progress = f"loss {run.loss_sum / done:.4f}, accuracy {run.correct / done:.2%}, {rate:.0f} images/s"
            bar.set_postfix_str(progress, refresh=False)
            bar.update()
            if interrupt.asked:
                break
    return run.batch == len(run.loader)


@minigrad.no_grad()
def evaluate(run: Run) -> tuple[float, float, minigrad.Tensor]:
    """The mean loss and the accuracy on the test images, and the class probabilities of each."""
    run.model.eval()
    loss, outputs = 0.0, []
    for images, labels in DataLoader(run.test, batch_size=run.loader.batch_size):
        output = run.model(images)
        loss += nn.functional.cross_entropy(output, labels, reduction="sum").item()
        outputs.append(output)
    scores = minigrad.cat(outputs)
    correct = int((scores.argmax(1) == run.test.tensors[1]).sum().item())
    return loss / len(run.test), correct / len(run.test), nn.functional.softmax(scores, dim=1)


def finish_epoch(run: Run, out: Path) -> None:
    """Evaluate, take the epoch down, save."""
    test_loss, test_accuracy, _ = evaluate(run)
    row = {
        "epoch": run.epoch + 1,
        "lr": run.schedule.get_last_lr()[0],
        "train_loss": run.loss_sum / len(run.train),
        "train_accuracy": run.correct / len(run.train),
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    best = test_accuracy > max((earlier["test_accuracy"] for earlier in run.history), default=-1.0)
    run.history.append(row)
    run.schedule.step()
    run.epoch, run.batch, run.loss_sum, run.correct = run.epoch + 1, 0, 0.0, 0
    run.order_before = run.order.get_state()
    write_metrics(out / "metrics.csv", run.history)
    minigrad.save(run.state(), out / "last.pth")
    if best:
        minigrad.save(run.state(), out / "best.pth")


def write_metrics(path: Path, history: list[dict[str, float]]) -> None:
    partial = path.with_suffix(".part")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    os.replace(partial, path)


def draw_curves(path: Path, history: list[dict[str, float]], title: str) -> None:
    """Loss and error after each epoch; the training ones are means over the epoch."""
    figure, (losses, errors) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    epochs = [row["epoch"] for row in history]
    for part, color in (("train", "tab:gray"), ("test", "tab:blue")):
        options = {"color": color, "label": part, "marker": "."}
        losses.plot(epochs, [row[f"{part}_loss"] for row in history], **options)
        errors.plot(epochs, [100 - 100 * row[f"{part}_accuracy"] for row in history], **options)
    losses.set(xlabel="epoch", ylabel="cross-entropy loss", yscale="log")
    errors.set(xlabel="epoch", ylabel="misclassified (%)")
    errors.set_yscale("symlog", linthresh=1)  # linear up to 1%, so that 0 has a place
    ticks = [0, 1, 2, 5, 10, 20, 50, 100]
    errors.set_yticks(ticks, labels=[str(tick) for tick in ticks])
    errors.set_ylim(-0.1, 100)
    for axis in (losses, errors):
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_misclassified(path: Path, test: datasets.ImageDataset, probabilities: minigrad.Tensor) -> None:
    """The test images that the network gets wrong, the most confident mistakes first, 25 at most."""
    confidence, predicted = (tensor.cpu() for tensor in probabilities.max(dim=1))
    wrong = (predicted != test.labels).nonzero().flatten().tolist()
    shown = sorted(wrong, key=lambda i: -confidence[i].item())[:25]
    rows = max(1, -(-len(shown) // 5))
    figure, axes = pyplot.subplots(rows, 5, figsize=(9, 2.2 * rows + 0.5), layout="constrained", squeeze=False)
    heading = f"{len(wrong)} of {len(test)} test images misclassified"
    figure.suptitle(heading if len(shown) == len(wrong) else f"{heading}; the most confident {len(shown)}")
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, i in zip(axes.flat, shown, strict=False):
        image = (test.images[i].float() / test.maximum).permute(1, 2, 0).numpy()
        axis.imshow(image.squeeze(), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        truth, guess = test.classes[test.labels[i].item()], test.classes[predicted[i].item()]
        axis.set_title(f"{truth}, taken for {guess} ({confidence[i].item():.0%})", fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> int:
    arguments = parse_arguments()
    checkpoint = arguments.out / "last.pth"
    try:
        minigrad.set_num_threads(arguments.threads)
        run = Run(arguments)
        if arguments.resume:
            run.restore(checkpoint)
        arguments.out.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"train_resnet: {error}", file=sys.stderr)
        return 1
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{arguments.arch}, {parameters:,} parameters; {arguments.dataset}, {len(run.train):,} + {len(run.test):,} images")

    interrupt = Interrupt()
    started = time.perf_counter()
    while run.epoch < arguments.epochs and not interrupt.asked:
        began = time.perf_counter()
        if train_epoch(run, interrupt):
            finish_epoch(run, arguments.out)
            row = run.history[-1]
            print(
                f"epoch {row['epoch']:3}/{arguments.epochs}  "
                f"train loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.2%}  "
                f"test loss {row['test_loss']:.4f}, accuracy {row['test_accuracy']:.2%}  {time.perf_counter() - began:.1f} s",
                flush=True,
            )
    if run.epoch < arguments.epochs:
        minigrad.save(run.state(), checkpoint)
        print(f"stopped in epoch {run.epoch + 1} after {run.batch} batches; {checkpoint} holds it all: go on with --resume")
        return 130
    result = f"test accuracy {run.history[-1]['test_accuracy']:.2%} after epoch {run.epoch}"
    draw_curves(arguments.out / "curves.png", run.history, f"{arguments.arch} on {arguments.dataset}: {result}")
    draw_misclassified(arguments.out / "misclassified.png", run.test_images, evaluate(run)[2])
    best = max(row["test_accuracy"] for row in run.history)
    print(f"{result}, at best {best:.2%}; {time.perf_counter() - started:.0f} s; results in {arguments.out}")
    return 0


if __name__ == "__main__":
    matplotlib.use("Agg")  # files are drawn, no windows
    sys.exit(main())
