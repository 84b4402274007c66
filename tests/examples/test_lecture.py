"""Programs in the style of CS231n's lecture on deep learning software, for the PyTorch of its time (0.3 to 1.0).

Only their import lines are changed for minigrad. Where torch is installed it runs the same programs, from the same numbers.
"""

import re
import warnings

import numpy as np
import pytest

import minigrad

PLAIN_TENSORS = """
import torch

device = torch.device('cpu')
batch, inputs, hidden, outputs = 32, 200, 50, 10
x = torch.randn(batch, inputs, device=device)
y = torch.randn(batch, outputs, device=device)
w1 = torch.randn(inputs, hidden, device=device)
w2 = torch.randn(hidden, outputs, device=device)

rate = 2e-6
losses = []
for step in range(60):
    scores = x.mm(w1)
    active = scores.clamp(min=0)
    guess = active.mm(w2)
    losses.append((guess - y).pow(2).sum().item())

    grad_guess = 2.0 * (guess - y)
    grad_w2 = active.t().mm(grad_guess)
    grad_active = grad_guess.mm(w2.t())
    grad_scores = grad_active.clone()
    grad_scores[scores < 0] = 0
    grad_w1 = x.t().mm(grad_scores)

    w1 -= rate * grad_w1
    w2 -= rate * grad_w2
"""

VARIABLES = """
import torch
from torch.autograd import Variable

batch, inputs, hidden, outputs = 32, 200, 50, 10
x = Variable(torch.randn(batch, inputs), requires_grad=False)
y = Variable(torch.randn(batch, outputs), requires_grad=False)
w1 = Variable(torch.randn(inputs, hidden), requires_grad=True)
w2 = Variable(torch.randn(hidden, outputs), requires_grad=True)

rate = 2e-6
losses = []
for step in range(60):
    guess = x.mm(w1).clamp(min=0).mm(w2)
    loss = (guess - y).pow(2).sum()
    losses.append(loss.item())
    if w1.grad is not None:
        w1.grad.data.zero_()
        w2.grad.data.zero_()
    loss.backward()
    w1.data -= rate * w1.grad.data
    w2.data -= rate * w2.grad.data
"""

AUTOGRAD = """
import torch

batch, inputs, hidden, outputs = 32, 200, 50, 10
x = torch.randn(batch, inputs)
y = torch.randn(batch, outputs)
w1 = torch.randn(inputs, hidden, requires_grad=True)
w2 = torch.randn(hidden, outputs, requires_grad=True)

rate = 2e-6
losses = []
for step in range(60):
    guess = x.mm(w1).clamp(min=0).mm(w2)
    loss = (guess - y).pow(2).sum()
    losses.append(loss.item())
    loss.backward()
    with torch.no_grad():
        w1 -= rate * w1.grad
        w2 -= rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()
"""

OWN_FUNCTION = """
import torch

class Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        ctx.save_for_backward(scores)
        return scores.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_active):
        scores, = ctx.saved_tensors
        grad_scores = grad_active.clone()
        grad_scores[scores < 0] = 0
        return grad_scores

def rectify(scores):
    return Rectify.apply(scores)

batch, inputs, hidden, outputs = 32, 200, 50, 10
x = torch.randn(batch, inputs)
y = torch.randn(batch, outputs)
w1 = torch.randn(inputs, hidden, requires_grad=True)
w2 = torch.randn(hidden, outputs, requires_grad=True)

rate = 2e-6
losses = []
for step in range(60):
    guess = rectify(x.mm(w1)).mm(w2)
    loss = (guess - y).pow(2).sum()
    losses.append(loss.item())
    loss.backward()
    with torch.no_grad():
        w1 -= rate * w1.grad
        w2 -= rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()
"""

SEQUENTIAL = """
import torch

batch, inputs, hidden, outputs = 32, 200, 50, 10
x = torch.randn(batch, inputs)
y = torch.randn(batch, outputs)
net = torch.nn.Sequential(
    torch.nn.Linear(inputs, hidden),
    torch.nn.ReLU(),
    torch.nn.Linear(hidden, outputs))

rate = 0.4
losses = []
for step in range(60):
    loss = torch.nn.functional.mse_loss(net(x), y)
    losses.append(loss.item())
    net.zero_grad()
    loss.backward()
    for weights in net.parameters():
        weights.data -= rate * weights.grad.data
"""

OPTIMIZER = """
import torch
from torch.autograd import Variable

batch, inputs, hidden, outputs = 32, 200, 50, 10
x = Variable(torch.randn(batch, inputs))
y = Variable(torch.randn(batch, outputs), requires_grad=False)
net = torch.nn.Sequential(
    torch.nn.Linear(inputs, hidden),
    torch.nn.ReLU(),
    torch.nn.Linear(hidden, outputs))
criterion = torch.nn.MSELoss(size_average=False)

optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
losses = []
for step in range(60):
    loss = criterion(net(x), y)
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

MODULE = """
import torch
import torch.nn as nn
import torch.optim as optim
from torch.autograd import Variable
from torch.utils.data import TensorDataset, DataLoader

class TwoLayerNet(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super(TwoLayerNet, self).__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def forward(self, x):
        active = self.first(x).clamp(min=0)
        return self.second(active)

batch, inputs, hidden, outputs = 64, 1000, 100, 10
x = torch.randn(batch, inputs)
y = torch.randn(batch, outputs)
loader = DataLoader(TensorDataset(x, y), batch_size=8)
model = TwoLayerNet(inputs, hidden, outputs)
criterion = nn.MSELoss(size_average=False)
optimizer = optim.SGD(model.parameters(), lr=1e-4)

losses = []
for epoch in range(10):
    for x_batch, y_batch in loader:
        x_var, y_var = Variable(x_batch), Variable(y_batch)
        y_pred = model(x_var)
        loss = criterion(y_pred, y_var)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""

MODULE_WITH_RELU = MODULE.replace(
    "self.second = nn.Linear(hidden, outputs)",
    "self.relu = nn.ReLU()\n        self.second = nn.Linear(hidden, outputs)",
).replace("self.first(x).clamp(min=0)", "self.relu(self.first(x))")

# The program, and how much of its first loss is left at the end
PROGRAMS = {
    "plain tensors": (PLAIN_TENSORS, 0.2),
    "variables": (VARIABLES, 0.2),
    "autograd": (AUTOGRAD, 0.2),
    "own function": (OWN_FUNCTION, 0.2),
    "sequential": (SEQUENTIAL, 0.2),
    "optimizer": (OPTIMIZER, 0.2),
    "module": (MODULE, 0.7),
    "module with ReLU": (MODULE_WITH_RELU, 0.7),
}


def for_minigrad(program):
    """The program with its import lines changed, and nothing else."""
    program = re.sub(r"^import torch$", "import minigrad as torch", program, flags=re.MULTILINE)
    program = re.sub(r"^import torch\.", "import minigrad.", program, flags=re.MULTILINE)
    return re.sub(r"^from torch\.", "from minigrad.", program, flags=re.MULTILINE)


def losses_of(program):
    names = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*size_average")
        exec(compile(program, "lecture", "exec"), names)
    return names["losses"]


def draw_from_numpy(monkeypatch, library):
    """Let all random numbers of a library be those of one NumPy generator."""
    random = np.random.default_rng(0)

    def randn(*shape, device=None, requires_grad=False):
        return library.tensor(random.standard_normal(shape, dtype="float32"), device=device, requires_grad=requires_grad)

    def reset(linear):
        bound = linear.in_features**-0.5
        with library.no_grad():
            for parameter in linear.parameters():
                parameter.copy_(library.tensor(random.uniform(-bound, bound, parameter.shape).astype("float32")))

    monkeypatch.setattr(library, "randn", randn)
    monkeypatch.setattr(library.nn.Linear, "reset_parameters", reset)


@pytest.mark.parametrize(("program", "left"), PROGRAMS.values(), ids=PROGRAMS)
def test_program_learns(program, left):
    minigrad.manual_seed(0)
    source = for_minigrad(program)
    assert re.search(r"(import|from) torch", source) is None
    losses = losses_of(source)
    assert losses[-1] < left * losses[0]


@pytest.mark.parametrize("program", [program for program, _ in PROGRAMS.values()], ids=PROGRAMS)
def test_torch_agrees(torch, monkeypatch, program):
    draw_from_numpy(monkeypatch, minigrad)
    draw_from_numpy(monkeypatch, torch)
    np.testing.assert_allclose(losses_of(for_minigrad(program)), losses_of(program), rtol=1e-4)


def test_ways_to_the_same_gradients(monkeypatch):
    """By hand, by autograd, and by an operation of one's own: the same losses."""
    found = []
    for program in (PLAIN_TENSORS, VARIABLES, AUTOGRAD, OWN_FUNCTION):
        with monkeypatch.context() as patch:
            draw_from_numpy(patch, minigrad)
            found.append(losses_of(for_minigrad(program)))
    for losses in found[1:]:
        np.testing.assert_allclose(losses, found[0], rtol=1e-4)


def test_older_spelling_warns():
    with pytest.warns(DeprecationWarning, match=r"MSELoss: size_average .* nn\.MSELoss\(reduction='sum'\)"):
        minigrad.nn.MSELoss(size_average=False)
