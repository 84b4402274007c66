"""The two-layer network of CS231n's lecture on deep learning software, on random data.

    python examples/two_layer_net.py

``MSELoss(size_average=False)`` is the spelling of the lecture's time, and warns that it is ``reduction='sum'`` now.
"""

from __future__ import annotations

import argparse

import minigrad
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset


class TwoLayerNet(nn.Module):
    """Linear, ReLU, Linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(inputs, hidden)
        self.relu = nn.ReLU()
        self.linear2 = nn.Linear(hidden, outputs)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.linear2(self.relu(self.linear1(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs: expected a number from 1 up, got {arguments.epochs}")
    try:
        minigrad.manual_seed(arguments.seed)
    except ValueError as error:
        parser.error(f"--seed: {error}")

    x, y = minigrad.randn(64, 1000), minigrad.randn(64, 10)
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    model = TwoLayerNet(1000, 100, 10)
    criterion = nn.MSELoss(size_average=False)
    optimizer = optim.SGD(model.parameters(), lr=1e-4)
    for epoch in range(arguments.epochs):
        total = 0.0
        for x_batch, y_batch in loader:
            loss = criterion(model(x_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2}  loss {total:.3f}")


if __name__ == "__main__":
    main()
