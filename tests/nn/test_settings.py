"""What layers are made with: the commonest slip, and settings that make no sense."""

import pytest

import minigrad as mg
from minigrad import nn

X = mg.ones(2, 3)

# Every layer without parameters that takes no, or one, setting before its input could be meant.
SLIPS = {
    "ReLU": "inplace to be a bool",
    "ReLU6": "inplace to be a bool",
    "SELU": "inplace to be a bool",
    "SiLU": "inplace to be a bool",
    "Mish": "inplace to be a bool",
    "Hardsigmoid": "inplace to be a bool",
    "Hardswish": "inplace to be a bool",
    "LeakyReLU": "negative_slope to be a number",
    "ELU": "alpha to be a number",
    "CELU": "alpha to be a number",
    "GELU": "approximate to be a str",
    "Softplus": "beta to be a number",
    "Hardtanh": "min_val to be a number",
    "GLU": "dim to be an int",
    "Softmax": "dim to be an int",
    "LogSoftmax": "dim to be an int",
    "Softmin": "dim to be an int",
    "Sigmoid": "no arguments",
    "LogSigmoid": "no arguments",
    "Tanh": "no arguments",
    "Tanhshrink": "no arguments",
    "Softsign": "no arguments",
    "Dropout": "p to be a number",
    "Dropout2d": "p to be a number",
    "Flatten": "start_dim to be an int",
    "MaxPool1d": "kernel_size to be an int or a tuple of ints",
    "MaxPool2d": "kernel_size to be an int or a tuple of ints",
    "AvgPool1d": "kernel_size to be an int or a tuple of ints",
    "AvgPool2d": "kernel_size to be an int or a tuple of ints",
    "AdaptiveAvgPool1d": "output_size to be an int or a tuple of ints",
    "AdaptiveAvgPool2d": "output_size to be an int or a tuple of ints",
    "AdaptiveMaxPool2d": "output_size to be an int or a tuple of ints",
    "LocalResponseNorm": "size to be an int",
    "CosineSimilarity": "dim to be an int",
    "MSELoss": "size_average to be a bool",
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_tensor_where_a_setting_belongs_teaches(name):
    with pytest.raises(TypeError) as raised:
        getattr(nn, name)(X)
    assert str(raised.value) == f"{name}: expected {SLIPS[name]}, got a Tensor; make the layer first: nn.{name}()(x)"


def test_a_class_of_ones_own_has_its_own_name_in_the_advice():
    class Swish(nn.Module):
        def forward(self, x):
            return x * x.sigmoid()

    with pytest.raises(TypeError, match=r"^Swish: expected no arguments, got a Tensor; make the layer first: Swish\(\)\(x\)$"):
        Swish(X)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.ReLU("yes"), TypeError, "ReLU: expected inplace to be a bool, got a str"),
        (lambda: nn.Linear(2.5, 3), TypeError, "Linear: expected in_features to be an int, got a float"),
        (lambda: nn.Linear(2, X), TypeError, "Linear: expected out_features to be an int, got a Tensor"),
        (lambda: nn.Dropout(1.5), ValueError, r"Dropout: expected a probability p in \[0, 1\], got 1.5"),
        (lambda: nn.GELU("sigmoid"), ValueError, "GELU: expected approximate to be one of none, tanh, got 'sigmoid'"),
        (lambda: nn.Hardtanh(1.0, -1.0), ValueError, "Hardtanh: expected min_val < max_val, got 1.0 and -1.0"),
        (lambda: nn.Conv2d(3, 4, "3"), TypeError, "Conv2d: expected kernel_size to be an int or a tuple of ints, got a str"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, r"Conv2d: expected kernel_size to be an int or 2 of them"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "Conv2d: expected groups to divide in_channels and out_channels"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "Conv2d: expected groups to divide"),
        (
            lambda: nn.Conv2d(3, 4, 3, padding="full"),
            ValueError,
            "Conv2d: expected padding to be one of valid, same, got 'full'",
        ),
        (lambda: nn.Conv2d(3, 4, 3, 2, "same"), ValueError, r"Conv2d: padding='same' needs stride 1, got \(2, 2\)"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="wrap"), ValueError, "expected padding_mode to be one of zeros, reflect"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), TypeError, "ConvTranspose2d: expected padding to be an int"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError, "padding_mode to be one of zeros, got"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "GroupNorm: expected num_channels divisible by num_groups"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, r"Embedding: expected padding_idx in \[-3, 2\], got 3"),
        (lambda: nn.Unflatten(1, 6), TypeError, "Unflatten: expected unflattened_size to be a tuple of ints"),
        (lambda: nn.BatchNorm2d(3)(X), ValueError, r"BatchNorm2d: expected an input \(N, C, H, W\), got shape \(2, 3\)"),
        (lambda: nn.BatchNorm1d(3)(mg.ones(3)), ValueError, r"BatchNorm1d: expected an input \(N, C\) or \(N, C, L\)"),
    ],
)
def test_settings_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d"])
def test_no_output_size_keeps_the_inputs(name):
    x = mg.arange(24.0).reshape((2, 3, 4) if name.endswith("1d") else (1, 2, 3, 4))
    pool = getattr(nn, name)(None)
    assert pool(x).tolist() == x.tolist()
    assert repr(pool) == f"{name}(output_size=None)"


def test_a_batch_that_fails_is_not_counted():
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError):
        norm(mg.ones(1, 3))
    assert norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "SiLU", "Mish", "Hardtanh"])
def test_inplace_writes_over_the_input(name):
    x = mg.tensor([-0.5, 0.5])
    expected = getattr(nn, name)()(x).tolist()
    out = getattr(nn, name)(inplace=True)(x)
    assert out is x and x.tolist() == expected


@pytest.mark.parametrize("name", ["Hardsigmoid", "Hardswish", "Dropout", "Dropout2d", "Threshold"])
def test_inplace_of_the_others(name):
    args = (0.0, 9.0) if name == "Threshold" else ()
    x = mg.full((1, 2, 3, 3), 0.5)
    assert getattr(nn, name)(*args, inplace=True)(x) is x


def test_device_and_dtype_of_new_parameters():
    layers = [
        nn.Linear(2, 3, dtype=mg.float64, device="cpu"),
        nn.Conv2d(2, 3, 1, dtype=mg.float64, device="cpu"),
        nn.ConvTranspose2d(2, 3, 1, dtype=mg.float64, device="cpu"),
        nn.BatchNorm2d(3, dtype=mg.float64, device="cpu"),
        nn.LayerNorm(3, dtype=mg.float64, device="cpu"),
        nn.GroupNorm(1, 3, dtype=mg.float64, device="cpu"),
        nn.Embedding(2, 3, dtype=mg.float64, device="cpu"),
        nn.PReLU(dtype=mg.float64, device="cpu"),
    ]
    for layer in layers:
        assert {str(t.dtype) for t in layer.state_dict().values()} - {"int64"} == {"float64"}


def test_dropout_only_in_training():
    mg.manual_seed(0)
    layer, x = nn.Dropout(0.25), mg.ones(4000)
    out = layer(x)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert 0.2 < (out == 0).float().mean().item() < 0.3
    assert layer.eval()(x).tolist() == x.tolist()
    whole = nn.Dropout2d(0.5)(mg.ones(20, 10, 3, 3))
    assert (whole.amax((2, 3)) == whole.amin((2, 3))).all()


@pytest.mark.parametrize("make", [lambda: nn.Linear(3, True), lambda: nn.Conv2d(True, 4, 3), lambda: nn.BatchNorm2d(True)])
def test_bools_are_no_sizes(make):
    with pytest.raises(TypeError, match=r": expected (out_features|in_channels|num_features) to be an int, got a bool$"):
        make()
