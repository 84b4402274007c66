"""How modules print."""

import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.heads = nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 2), nn.Linear(8, 3)])
        self.by_name = nn.ModuleDict({"tanh": nn.Tanh()})
        self.nothing = nn.Sequential()

    def extra_repr(self):
        return "size=3"


NET = """\
Net(
  size=3
  (features): Sequential(
    (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    (2): ReLU(inplace=True)
  )
  (heads): ModuleList(
    (0-1): 2 x Linear(in_features=8, out_features=2, bias=True)
    (2): Linear(in_features=8, out_features=3, bias=True)
  )
  (by_name): ModuleDict(
    (tanh): Tanh()
  )
  (nothing): Sequential()
)"""

LAYERS = [
    (lambda: nn.Module(), "Module()"),
    (lambda: nn.Identity(3, a=4), "Identity()"),
    (lambda: nn.Linear(2, 3, bias=False), "Linear(in_features=2, out_features=3, bias=False)"),
    (lambda: nn.Conv1d(2, 4, 3), "Conv1d(2, 4, kernel_size=(3,), stride=(1,))"),
    (
        lambda: nn.Conv2d(2, 4, (3, 1), 2, "valid", 1, 2, True, "circular"),
        "Conv2d(2, 4, kernel_size=(3, 1), stride=(2, 2), padding=valid, groups=2, padding_mode=circular)",
    ),
    (
        lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, 1, dilation=2),
        "ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), output_padding=(1, 1))",
    ),
    (
        lambda: nn.BatchNorm1d(4, momentum=None),
        "BatchNorm1d(4, eps=1e-05, momentum=None, affine=True, track_running_stats=True)",
    ),
    (lambda: nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True)"),
    (lambda: nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True)"),
    (lambda: nn.LocalResponseNorm(5), "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"),
    (lambda: nn.MaxPool2d(3, 2, 1), "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)"),
    (lambda: nn.MaxPool1d(2), "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
    (lambda: nn.AvgPool2d((2, 3)), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)"),
    (lambda: nn.AvgPool1d(2), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
    (lambda: nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
    (lambda: nn.AdaptiveAvgPool1d(3), "AdaptiveAvgPool1d(output_size=3)"),
    (lambda: nn.AdaptiveMaxPool2d(2), "AdaptiveMaxPool2d(output_size=2)"),
    (lambda: nn.ReLU(), "ReLU()"),
    (lambda: nn.ReLU6(True), "ReLU6(inplace=True)"),
    (lambda: nn.LeakyReLU(0.2, inplace=True), "LeakyReLU(negative_slope=0.2, inplace=True)"),
    (lambda: nn.PReLU(3), "PReLU(num_parameters=3)"),
    (lambda: nn.ELU(), "ELU(alpha=1.0)"),
    (lambda: nn.CELU(2.0), "CELU(alpha=2.0)"),
    (lambda: nn.GELU("tanh"), "GELU(approximate='tanh')"),
    (lambda: nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
    (lambda: nn.Hardtanh(), "Hardtanh(min_val=-1.0, max_val=1.0)"),
    (lambda: nn.Threshold(1, 2), "Threshold(threshold=1, value=2)"),
    (lambda: nn.GLU(), "GLU(dim=-1)"),
    (lambda: nn.Softmax(dim=1), "Softmax(dim=1)"),
    (lambda: nn.Dropout(0.25), "Dropout(p=0.25, inplace=False)"),
    (lambda: nn.Embedding(5, 3, padding_idx=-1), "Embedding(5, 3, padding_idx=4)"),
    (lambda: nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (lambda: nn.Unflatten(1, [2, 3]), "Unflatten(dim=1, unflattened_size=(2, 3))"),
    (lambda: nn.CrossEntropyLoss(weight=mg.ones(3)), "CrossEntropyLoss()"),
]


def test_a_network_prints_as_a_tree():
    assert repr(Net()) == NET


@pytest.mark.parametrize(("make", "text"), LAYERS, ids=[text for _, text in LAYERS])
def test_layers_print_their_settings(make, text):
    assert repr(make()) == text


def test_several_lines_of_settings():
    class Talkative(nn.Module):
        def extra_repr(self):
            return "a=1\nb=2"

    assert repr(Talkative()) == "Talkative(\n  a=1\n  b=2\n)"
    assert repr(nn.Sequential(Talkative())) == "Sequential(\n  (0): Talkative(\n    a=1\n    b=2\n  )\n)"
