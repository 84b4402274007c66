"""A training on both devices, and captured steps beside eager ones: sections of ``gpu_check``.

``python -m benchmarks.gpu_correctness`` is the process that trains, asked by these sections.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import minigrad
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset
from minigrad.vision import datasets, models

from .gpu_measure import CuPyGPU, Training, time_steps
from .gpu_rows import OnGPU
from .gpu_worker import Answers, Deadline, Figures, Worker, errors_in, serve
from .train_step import ROWS

EPOCHS = 6
"""Of ResNet-20 on the digits."""

LEAST_ACCURACY = 0.95
APART = 0.02
"""How far the accuracies of the two devices may be apart: roundings differ, and with them the way a training takes."""

FIRST_LOSS = 1e-4
"""How far the losses of the first step may be apart, relative: the parameters are the same there."""

STEPS = 5
"""Of a captured training that are compared with the eager ones."""

GRAPHS = {
    "lenet-sgd": ("lenet5", "SGD", {"lr": 0.01, "momentum": 0.9}),
    "resnet20-sgd": ("resnet20", "SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}),
    "resnet20-adamw": ("resnet20", "AdamW", {"lr": 1e-3}),
}
"""Network and optimizer of the trainings that are captured."""

Save = Callable[[], None]
"""Writes down what has been found."""


# --- a training on both devices ----------------------------------------------------------------------------------------


def check_training(found: Figures, save: Save, deadline: Deadline) -> list[str]:
    """ResNet-20 on the digits, on both devices at once, from the same parameters with the images in the same order."""
    devices = ("cpu", "cuda")
    workers = [Worker("benchmarks.gpu_correctness") for _ in devices]
    with ThreadPoolExecutor(len(devices)) as pool, workers[0], workers[1]:
        questions = [
            pool.submit(worker.ask, {"train": device, "epochs": EPOCHS}, deadline.left())
            for worker, device in zip(workers, devices)
        ]
        answers = dict(zip(devices, (question.result() for question in questions)))
    failures = []
    for device, answer in answers.items():
        failures += [f"{device}: {error}" for error in errors_in(answer)]
        found |= {device: answer.get("training", {})}
        save()
    if failures:
        return failures
    for device in devices:
        accuracy, seconds = found[device]["accuracy"], found[device]["seconds"]
        print(f"  {device:5} test accuracy {accuracy:.2%} after {EPOCHS} epochs, {seconds:.1f} s", flush=True)
    return compare_trainings(found["cpu"], found["cuda"])


def compare_trainings(here: Figures, there: Figures) -> list[str]:
    failures = []
    first = abs(there["losses"][0] / here["losses"][0] - 1)
    print(f"  the losses of the first step differ by {first:.1e}", flush=True)
    if not first <= FIRST_LOSS:
        failures.append(f"the losses of the first step differ by {first:.1e}, expected {FIRST_LOSS} at most")
    if not abs(here["accuracy"] - there["accuracy"]) <= APART:
        failures.append(f"accuracies {here['accuracy']:.2%} and {there['accuracy']:.2%}, expected {APART:.0%} at most between")
    if not min(here["accuracy"], there["accuracy"]) >= LEAST_ACCURACY:
        failures.append(f"an accuracy below {LEAST_ACCURACY:.0%}")
    return failures


def train(device: str, epochs: int) -> Figures:
    """As examples/train_resnet.py does, without augmentation."""
    minigrad.manual_seed(0)
    begin = time.perf_counter()
    images, test = (datasets.Digits(train=part) for part in (True, False))
    mean, std = images.mean_and_std()

    def placed(part: datasets.Digits) -> TensorDataset:
        pictures, labels = part.tensors()
        return TensorDataset(((pictures - mean[0]) / std[0]).to(device), labels.to(device))

    order = minigrad.Generator().manual_seed(0)
    loader = DataLoader(placed(images), batch_size=32, shuffle=True, generator=order)
    model = models.resnet20(num_classes=10, in_channels=1).to(device)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=2e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    losses = []
    for _ in range(epochs):
        for pictures, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pictures), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        schedule.step()
    model.eval()
    pictures, labels = placed(test).tensors
    with minigrad.no_grad():
        accuracy = (model(pictures).argmax(1) == labels).float().mean().item()
    losses = [loss.item() for loss in losses]
    return {"accuracy": accuracy, "losses": losses, "seconds": time.perf_counter() - begin}


# --- captured steps ----------------------------------------------------------------------------------------------------


def check_graph(found: Figures, save: Save, deadline: Deadline) -> list[str]:
    """Trainings that are captured and replayed against the same eager ones: the same bits after some steps, and the time."""
    failures = []
    with Worker("benchmarks.gpu_correctness") as worker:
        for name in GRAPHS:
            answer = worker.ask({"graph": name}, deadline.left())
            found[name] = {key: value for part in answer.values() for key, value in part.items()}
            save()
            if errors := errors_in(answer):
                failures += [f"{name}, {error}" for error in errors]
                continue
            if found[name]["differing"]:
                failures.append(f"{name}: after {STEPS} steps other bits in {', '.join(found[name]['differing'])}")
            eager, captured = found[name]["eager_ms"], found[name]["captured_ms"]
            verdict = "other bits" if found[name]["differing"] else "the same bits"
            print(f"  {name:16} {verdict} after {STEPS} steps; eager {eager:.3f} ms, captured {captured:.3f} ms", flush=True)
    return failures


def capture(lib: OnGPU, gpu: Any, name: str) -> Answers:
    network, optimizer, options = GRAPHS[name]
    trainings = [Training(lib, network, ROWS[network]) for _ in range(2)]
    updates = [getattr(optim, optimizer)(training.model.parameters(), **options) for training in trainings]
    eager, step = (training.step(update) for training, update in zip(trainings, updates))
    images, labels = trainings[0].inputs
    batches = [(images * (1 + 0.1 * i), labels) for i in range(STEPS)]
    captured = lib.cuda.make_graphed(step, batches[0])
    trainings[0].model.load_state_dict(trainings[1].model.state_dict())  # whatever warming up has done
    updates[0].load_state_dict(updates[1].state_dict())

    def compare() -> Figures:
        losses = [[one(*batch).cpu() for batch in batches] for one in (eager, captured)]
        bits = []
        for training, lost in zip(trainings, losses):
            state = training.model.state_dict() | {f"loss {i}": loss for i, loss in enumerate(lost)}
            bits.append({key: value.numpy(force=True).tobytes() for key, value in state.items()})
        return {"differing": [key for key in bits[0] if bits[0][key] != bits[1][key]]}

    yield "bits", compare
    yield "eager", lambda: {"eager_ms": time_steps(gpu, lambda: eager(*batches[0]))["ms"]}
    yield "captured", lambda: {"captured_ms": time_steps(gpu, lambda: captured(*batches[0]))["ms"]}


def answers(question: Figures) -> Answers:
    if "train" in question:
        yield "training", lambda: train(question["train"], question["epochs"])
    else:
        yield from capture(OnGPU(minigrad), CuPyGPU(), question["graph"])


if __name__ == "__main__":
    minigrad.set_num_threads(1)  # as in the example: these products are small
    serve(answers)
