"""Every layer against PyTorch's: with the same parameters the same output and gradients, and the same state dict."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.nn.layers import IMAGES, LAYERS, layer

torch = pytest.importorskip("torch")


def random_state(theirs, rng):
    """New values for a torch layer's state, and the same for ours."""
    ours = {}
    for key, value in theirs.state_dict().items():
        if value.is_floating_point():
            drawn = rng.standard_normal(tuple(value.shape))
            value.copy_(torch.from_numpy(np.abs(drawn) + 0.5 if "var" in key else drawn))
        ours[key] = mg.tensor(value.numpy())
    return ours


def make_both(case):
    theirs = getattr(torch.nn, case.name)(*case.args, **case.kwargs).double().train(case.training)
    ours = getattr(nn, case.name)(*case.args, **case.kwargs).double().train(case.training)
    rng = np.random.default_rng(0)
    ours.load_state_dict(random_state(theirs, rng))
    return ours, theirs, rng


def compare(ours, theirs, rng, *arrays, tolerance=1e-9):
    """Outputs, gradients of inputs and parameters, and the state afterwards."""
    mine = [mg.tensor(a, requires_grad=True) if a.dtype == np.float64 else mg.tensor(a) for a in arrays]
    your = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in arrays]
    out, expected = ours(*mine), theirs(*your)
    assert tuple(out.shape) == tuple(expected.shape)
    np.testing.assert_allclose(out.numpy(force=True), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    above = rng.standard_normal(tuple(expected.shape))
    out.backward(mg.tensor(above))
    expected.backward(torch.from_numpy(np.asarray(above)))
    for a, b in zip(mine, your, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=tolerance, atol=tolerance)
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layer_computes_what_pytorchs_does(case):
    ours, theirs, rng = make_both(case)
    for _ in range(2):  # batch normalisation's second batch sees what the first left
        ours.zero_grad()
        theirs.zero_grad()
        # PyTorch's derivative of hardsigmoid has the 1 / 6 of float32.
        compare(ours, theirs, rng, rng.standard_normal(case.shape), tolerance=1e-7 if case.name == "Hardsigmoid" else 1e-9)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_state_dict_is_pytorchs(case):
    mine = getattr(nn, case.name)(*case.args, **case.kwargs).state_dict()
    theirs = getattr(torch.nn, case.name)(*case.args, **case.kwargs).state_dict()
    assert [(k, v.shape, str(v.dtype)) for k, v in mine.items()] == [
        (k, tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in theirs.items()
    ]


SETTINGS = [
    *(case for case in LAYERS if case.name not in ("BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm")),
    layer("Dropout2d", 0.3, True),
    layer("ReLU", True),
    layer("LeakyReLU", 0.2, True),
    layer("Embedding", 5, 3, 1),
]


@pytest.mark.parametrize("case", SETTINGS, ids=str)
def test_it_prints_as_pytorchs_does(case):
    # PyTorch 2.13 shows the bias of normalisation layers, older ones do not.
    assert repr(getattr(nn, case.name)(*case.args, **case.kwargs)) == repr(
        getattr(torch.nn, case.name)(*case.args, **case.kwargs)
    )


@pytest.mark.parametrize("padding_idx", [None, 1, -2])
def test_embedding(padding_idx):
    ours, theirs, rng = make_both(layer("Embedding", 6, 3, padding_idx))
    compare(ours, theirs, rng, np.array([[0, 1, 4], [4, 5, 1]]))
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_embedding_from_pretrained():
    table = mg.randn(5, 3)
    frozen = nn.Embedding.from_pretrained(table, padding_idx=-1)
    assert not frozen.weight.requires_grad and frozen.padding_idx == 4 and frozen.num_embeddings == 5
    assert frozen(mg.tensor([3])).tolist() == [table[3].tolist()]
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="expected a matrix"):
        nn.Embedding.from_pretrained(mg.ones(3))
    with pytest.raises(ValueError, match=r"expected padding_idx in \[-5, 4\], got 5"):
        nn.Embedding.from_pretrained(table, padding_idx=5)


def test_output_size_of_a_transposed_convolution():
    ours, theirs, rng = make_both(layer("ConvTranspose2d", 4, 2, 3, stride=2, padding=1))
    x = rng.standard_normal((1, 4, 5, 5))
    for size in [(9, 10), (10, 9), (1, 2, 10, 10)]:
        got = ours(mg.tensor(x), output_size=size)
        want = theirs(torch.from_numpy(x), output_size=size)
        np.testing.assert_allclose(got.numpy(force=True), want.detach().numpy(), atol=1e-12)
    with pytest.raises(ValueError, match=r"expected output_size\[-2\] in \[9, 10\], got 11"):
        ours(mg.tensor(x), output_size=(11, 10))
    assert ours(mg.tensor(x), output_size=10).shape[2:] == (10, 10)
    with pytest.raises(TypeError, match="ConvTranspose2d: expected output_size to be an int or a tuple of ints, got a float"):
        ours(mg.tensor(x), output_size=10.0)


def test_pooling_with_indices():
    x = np.random.default_rng(0).standard_normal(IMAGES)
    for name, args in [("MaxPool2d", (3, 2)), ("AdaptiveMaxPool2d", (2,))]:
        values, places = getattr(nn, name)(*args, return_indices=True)(mg.tensor(x))
        expected = getattr(torch.nn, name)(*args, return_indices=True)(torch.from_numpy(x))
        np.testing.assert_array_equal(values.numpy(), expected[0].numpy())
        np.testing.assert_array_equal(places.numpy(), expected[1].numpy())


def test_cosine_similarity():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    compare(nn.CosineSimilarity(), torch.nn.CosineSimilarity(), rng, a, b)
    compare(nn.CosineSimilarity(0, 1e-3), torch.nn.CosineSimilarity(0, 1e-3), rng, a, b)


def test_running_statistics_can_be_switched_off_for_a_while():
    ours, theirs, rng = make_both(layer("BatchNorm1d", 4))
    for module in (ours, theirs):
        module.track_running_stats = False
    compare(ours, theirs, rng, rng.standard_normal((5, 4)))
    compare(ours.eval(), theirs.eval(), rng, rng.standard_normal((5, 4)))


def test_a_network_trained_by_both_stays_the_same():
    def network(nn):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, groups=2),
            nn.GELU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        ).double()

    ours, theirs, rng = network(nn), network(torch.nn), np.random.default_rng(0)
    ours.load_state_dict({key: mg.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    for _ in range(3):
        x, y = rng.standard_normal((4, 3, 10, 10)), rng.integers(0, 5, 4)
        nn.CrossEntropyLoss()(ours(mg.tensor(x)), mg.tensor(y)).backward()
        torch.nn.CrossEntropyLoss()(theirs(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        with mg.no_grad(), torch.no_grad():
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                a.sub_(a.grad, alpha=0.1)
                b.sub_(b.grad, alpha=0.1)
        ours.zero_grad()
        theirs.zero_grad()
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-8, atol=1e-10, err_msg=key)


class TestBatchesThatAreCounted:
    """In training every batch counts, as in PyTorch."""

    def test_empty_ones_too(self):
        layer = nn.BatchNorm2d(3)
        layer(mg.zeros(0, 3, 4, 4))
        assert layer.num_batches_tracked.item() == 1 and layer.running_mean.tolist() == [0, 0, 0]

    def test_without_running_statistics(self):
        layer = nn.BatchNorm2d(3)
        layer.running_mean = layer.running_var = None
        layer(mg.randn(2, 3, 4, 4))
        assert layer.num_batches_tracked.item() == 1

    def test_not_in_evaluation(self):
        layer = nn.BatchNorm2d(3).eval()
        layer(mg.randn(2, 3, 4, 4))
        assert layer.num_batches_tracked.item() == 0
