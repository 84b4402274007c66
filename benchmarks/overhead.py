"""What one small operation costs, and a whole step of a small MLP, beside torch's: python -m benchmarks.overhead

The operation is so small (4×4) that nearly all of its time is the framework's own. The MLP is 1000→100→10 with ReLU, batch 64,
cross-entropy and SGD.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
from pathlib import Path

from .measure import in_turn, machine, seconds_per_call

FIGURES = {
    "add": "4×4 add",
    "add_grad": "4×4 add, recorded",
    "add_backward": "4×4 add, recorded, and backward",
    "mul_grad": "4×4 multiply, recorded",
    "mlp": "MLP step",
    "mlp_forward": "MLP forward under no_grad",
}


def measure(library: str) -> dict[str, float]:
    """Microseconds of every figure."""
    lib = importlib.import_module(library)
    nn = importlib.import_module(f"{library}.nn")
    optim = importlib.import_module(f"{library}.optim")
    lib.manual_seed(0)
    a, b = lib.randn(4, 4), lib.randn(4, 4)
    weight = lib.randn(4, 4, requires_grad=True)
    above = lib.ones(4, 4)
    x, labels = lib.randn(64, 1000), lib.randint(0, 10, (64,))
    model = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()

    def add_backward() -> None:
        (weight + b).backward(above)

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), labels).backward()
        optimizer.step()

    def forward() -> None:
        with lib.no_grad():
            model(x)

    seconds = {
        "add": seconds_per_call(lambda: a + b, 20_000),
        "add_grad": seconds_per_call(lambda: weight + b, 20_000),
        "add_backward": seconds_per_call(add_backward, 5_000),
        "mul_grad": seconds_per_call(lambda: weight * b, 20_000),
        "mlp": seconds_per_call(step, 300),
        "mlp_forward": seconds_per_call(forward, 500),
    }
    return {name: 1e6 * value for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--measure", metavar="LIBRARY", help="measure one library in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    libraries = ["minigrad"] + (["torch"] if importlib.util.find_spec("torch") else [])
    found = in_turn("benchmarks.overhead", libraries, arguments.turns, arguments.threads)
    print(f"{machine(arguments.threads)}; microseconds, medians of {arguments.turns} processes each, in turn")
    print(f"{'':32}" + "".join(f"{library:>12}" for library in libraries) + ("       ratio" if "torch" in found else ""))
    for name, title in FIGURES.items():
        row = [found[library][name] for library in libraries]
        ratio = f"{row[0] / row[1]:12.2f}" if len(row) == 2 else ""
        print(f"{title:32}" + "".join(f"{value:12.2f}" for value in row) + ratio)
    if "torch" not in found:
        print("torch is not installed: nothing to compare with")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(arguments.threads), "microseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
