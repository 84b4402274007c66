"""Both GoogLeNets: every row of the paper's Table 1, the cost of the naive module, the auxiliary heads, and torch's results."""

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.vision.models.googlenet import GoogLeNet, GoogLeNetOutputs, Inception, InceptionAux, fit_heads, googlenet
from minigrad.vision.models.googlenet_original import ConvReLU, GoogLeNetOriginal, NaiveInception, googlenet_original
from minigrad.vision.models.registry import get_model_weights
from tests.vision.networks import count, overfit, patterns, trace

# The paper's Table 1: a row's place in the network; its output; the channels in, #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5,
# pool proj; its parameters in thousands and its operations in millions as printed.
INCEPTIONS = {
    "trunk1.inception3a": ((256, 28, 28), (192, 64, 96, 128, 16, 32, 32), 159, 128),
    "trunk1.inception3b": ((480, 28, 28), (256, 128, 128, 192, 32, 96, 64), 380, 304),
    "trunk1.inception4a": ((512, 14, 14), (480, 192, 96, 208, 16, 48, 64), 364, 73),
    "trunk2.inception4b": ((512, 14, 14), (512, 160, 112, 224, 24, 64, 64), 437, 88),
    "trunk2.inception4c": ((512, 14, 14), (512, 128, 128, 256, 24, 64, 64), 463, 100),
    "trunk2.inception4d": ((528, 14, 14), (512, 112, 144, 288, 32, 64, 64), 580, 119),
    "trunk3.inception4e": ((832, 14, 14), (528, 256, 160, 320, 32, 128, 128), 840, 170),
    "trunk3.inception5a": ((832, 7, 7), (832, 256, 160, 320, 32, 128, 128), 1072, 54),
    "trunk3.inception5b": ((1024, 7, 7), (832, 384, 192, 384, 48, 128, 128), 1388, 71),
}
POOLS = {
    "trunk1.pool1": (64, 56, 56),
    "trunk1.pool2": (192, 28, 28),
    "trunk1.pool3": (480, 14, 14),
    "trunk3.pool4": (832, 7, 7),
    "trunk3.pool5": (1024, 1, 1),
}


def weights_by_hand(channels, one, reduce3, three, reduce5, five, pooled):
    """The weights of an Inception module, without its biases."""
    return channels * (one + reduce3 + reduce5 + pooled) + 9 * reduce3 * three + 25 * reduce5 * five


@pytest.fixture(scope="module")
def original():
    return googlenet_original()


@pytest.fixture(scope="module")
def traced(original):
    return trace(original, minigrad.randn(1, 3, 224, 224))


def parts(model):
    return dict(model.named_modules())


@pytest.mark.parametrize("row", INCEPTIONS)
def test_inception_rows(row, original, traced):
    """Sizes and operations are the paper's; of its parameters, in units of 1024, only some are (see the next test)."""
    output, columns, _, operations = INCEPTIONS[row]
    _, one, reduce3, three, reduce5, five, pooled = columns
    shapes, counted = traced
    assert shapes[row] == (1, *output)
    assert output[0] == one + three + five + pooled
    weights = weights_by_hand(*columns)
    biases = one + reduce3 + three + reduce5 + five + pooled
    assert count(parts(original)[row]) == weights + biases
    assert counted[row] == weights * output[1] * output[2]
    if row.endswith("5a"):
        # 51.1 million; 54 would be right for 48 channels in front of the 5×5 convolution, where the table has 32
        assert round(counted[row] / 1e6, 1) == 51.1
        with_48 = weights_by_hand(832, 256, 160, 320, 48, 128, 128)
        assert round(with_48 * 49 / 1e6) == operations
    else:
        assert abs(counted[row] / 1e6 - operations) < 1


def test_where_the_papers_parameters_are_others(original):
    """The paper prints up to 7 % less and in 5a 5 % more than its channels give, though its operations are theirs."""
    differences = {}
    for row, (_, columns, thousands, _) in INCEPTIONS.items():
        differences[row[-2:]] = round(weights_by_hand(*columns) / 1024 - thousands, 1)
    assert differences == {
        "3a": 0.5,
        "3b": -1.0,
        "4a": 2.8,
        "4b": 1.0,
        "4c": 34.5,
        "4d": 10.5,
        "4e": 7.0,
        "5a": -54.0,
        "5b": 21.0,
    }


def test_rows_of_the_stem_and_the_end(original, traced):
    shapes, counted = traced
    modules = parts(original)
    assert {row: shapes[row][1:] for row in POOLS} == POOLS

    # 7×7/2: 9408 weights and 118 million operations. The paper's 2.7K and 34M are not a 7×7 convolution's; 8 filters of 7×7
    # for each colour and a 1×1 convolution of the 24 maps would have them.
    assert shapes["trunk1.conv1"] == (1, 64, 112, 112)
    assert count(modules["trunk1.conv1"]) == 7 * 7 * 3 * 64 + 64
    assert counted["trunk1.conv1"] == 7 * 7 * 3 * 64 * 112 * 112 == 118013952
    separable = 7 * 7 * 3 * 8 + 24 * 64
    assert (round(separable / 1000, 1), round(separable * 112 * 112 / 1e6)) == (2.7, 34)

    # 3×3/1 with its reduction: 112K, 360M
    assert shapes["trunk1.conv2"] == (1, 192, 56, 56)
    weights = 64 * 64 + 9 * 64 * 192
    assert count(modules["trunk1.reduce2"]) + count(modules["trunk1.conv2"]) == weights + 64 + 192
    assert weights / 1024 == 112
    assert round((counted["trunk1.reduce2"] + counted["trunk1.conv2"]) / 1e6) == 360

    # linear: 1000K, 1M
    assert shapes["linear"] == (1, 1000)
    assert count(modules["linear"]) == 1024 * 1000 + 1000
    assert counted["linear"] == 1024 * 1000


def test_totals(original, traced):
    rows = sum(weights_by_hand(*columns) for _, columns, _, _ in INCEPTIONS.values())
    biases = sum(sum(columns[1:]) for _, columns, _, _ in INCEPTIONS.values())
    body = (9408 + 64) + (114688 + 256) + rows + biases + 1025000
    head = 128 + 1024 * (2048 + 1) + 1000 * (1024 + 1)
    assert count(original) == body + 2 * head + 128 * (512 + 528) == 13378280
    assert count(googlenet_original(aux_logits=False)) == body == 6998552
    _, counted = traced
    assert round(counted[""] / 1e9, 2) == 1.58  # "1.5 billion multiply-adds"


def test_the_naive_module():
    """The lecture's example, 28×28×256: an output of 672 channels, and 854 million operations."""
    module = NaiveInception(256, 128, 192, 96)
    shapes, counted = trace(module, minigrad.randn(1, 256, 28, 28))
    assert shapes[""] == (1, 128 + 192 + 96 + 256, 28, 28) == (1, 672, 28, 28)
    assert counted["branch1"] == 28 * 28 * 128 * 1 * 1 * 256
    assert counted["branch2"] == 28 * 28 * 192 * 3 * 3 * 256
    assert counted["branch3"] == 28 * 28 * 96 * 5 * 5 * 256
    assert round(counted[""] / 1e6) == 854


def test_the_module_with_bottlenecks():
    """The lecture's example with 64 channels in front of 3×3 and 5×5 and behind the pooling: 480 channels, and 271 million.

    The lecture says 358 million. That is its own list with the 3×3 convolution counted twice.
    """
    module = Inception(256, 128, 64, 192, 64, 96, 64, large=5, convolution=ConvReLU)
    shapes, counted = trace(module, minigrad.randn(1, 256, 28, 28))
    assert shapes[""] == (1, 128 + 192 + 96 + 64, 28, 28) == (1, 480, 28, 28)
    three = 28 * 28 * 192 * 3 * 3 * 64
    five = 28 * 28 * 96 * 5 * 5 * 64
    ones = 28 * 28 * (64 + 64 + 128 + 64) * 1 * 1 * 256
    assert counted[""] == three + five + ones
    assert counted["branch2.1"] == three
    assert counted["branch3.1"] == five
    assert round(counted[""] / 1e6) == 271
    assert round((counted[""] + three) / 1e6) == 358


def test_naive_module_by_hand():
    minigrad.manual_seed(0)
    module = NaiveInception(3, 2, 2, 2)
    x = minigrad.randn(2, 3, 6, 5)
    output = module(x)
    for branch, first in ((module.branch1, 0), (module.branch2, 2), (module.branch3, 4)):
        assert output[:, first : first + 2].allclose(branch.conv(x).clamp(min=0))
    image = x.numpy()
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    np.testing.assert_array_equal(output[:, 6:].numpy(force=True), windows.max(axis=(4, 5)))


def test_both_heads_in_training_only():
    model = GoogLeNet(num_classes=5, in_channels=1)
    outputs = model(minigrad.randn(2, 1, 64, 64))
    assert isinstance(outputs, GoogLeNetOutputs)
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [logits.shape for logits in outputs] == [(2, 5)] * 3
    assert model.eval()(minigrad.randn(2, 1, 64, 64)).shape == (2, 5)
    without = GoogLeNet(num_classes=5, in_channels=1, aux_logits=False)
    assert without(minigrad.randn(2, 1, 64, 64)).shape == (2, 5)
    assert not [name for name in without.state_dict() if name.startswith("aux")]


@pytest.mark.parametrize("head", [1, 2])
@pytest.mark.parametrize("build", [GoogLeNet, GoogLeNetOriginal])
def test_a_head_brings_gradient_to_what_is_below_it(build, head):
    minigrad.manual_seed(1)
    model = build(num_classes=5)
    outputs = model(minigrad.randn(2, 3, *((64, 64) if build is GoogLeNet else (224, 224))))
    logits = outputs.aux_logits1 if head == 1 else outputs.aux_logits2
    nn.functional.cross_entropy(logits, minigrad.tensor([0, 4])).backward()
    below_first = ("conv1", "conv2", "conv3", "inception3", "inception4a", "trunk1", "aux1" if head == 1 else "aux2")
    below_second = ("inception4b", "inception4c", "inception4d", "trunk2") if head == 2 else ()
    for name, parameter in model.named_parameters():
        reached = name.startswith(below_first + below_second)
        assert (parameter.grad is not None) == reached, name
        if name.endswith("conv.weight") and reached:
            assert parameter.grad.abs().max() > 0, name


def test_sizes_of_torchvisions_form():
    shapes, counted = trace(googlenet(num_classes=1000), minigrad.randn(1, 3, 224, 224))
    assert {f"inception{row[-2:]}": (1, *output) for row, (output, *_) in INCEPTIONS.items()}.items() <= shapes.items()
    pools = {"maxpool1": 56, "maxpool2": 28, "maxpool3": 14, "maxpool4": 7, "avgpool": 1}
    assert {name: shapes[name][2] for name in pools} == pools
    narrower = sum(16 * columns[4] * columns[5] for _, columns, _, _ in INCEPTIONS.values())  # 3×3 instead of 5×5
    rows = sum(weights_by_hand(*columns) for _, columns, _, _ in INCEPTIONS.values())
    norms = 2 * (64 + 64 + 192 + sum(sum(columns[1:]) for _, columns, _, _ in INCEPTIONS.values()))
    assert count(GoogLeNet(aux_logits=False)) == 9408 + 114688 + rows - narrower + norms + 1025000 == 6624904
    assert counted[""] == 1498376192


@pytest.mark.parametrize(
    "build, size", [(GoogLeNet, (15, 15)), (GoogLeNet, (47, 80)), (GoogLeNetOriginal, (31, 31)), (GoogLeNetOriginal, (47, 80))]
)
def test_other_sizes(build, size):
    model = build(num_classes=3, in_channels=2, aux_logits=False).eval()
    assert model(minigrad.randn(2, 2, *size)).shape == (2, 3)


def test_transform_input():
    """From images normalized by ImageNet's figures to those normalized by mean and deviation 0.5."""
    minigrad.manual_seed(2)
    plain = GoogLeNet(num_classes=3, aux_logits=False).eval()
    model = GoogLeNet(num_classes=3, aux_logits=False, transform_input=True).eval()
    model.load_state_dict(plain.state_dict())
    image = minigrad.rand(2, 3, 32, 32)
    mean = minigrad.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    deviation = minigrad.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    minigrad.testing.assert_close(model((image - mean) / deviation), plain((image - 0.5) / 0.5), rtol=1e-4, atol=1e-6)
    assert model.double()(image.double()).dtype == minigrad.float64
    with pytest.raises(ValueError, match=r"GoogLeNet: expected images \(N, 3, H, W\) with transform_input=True, got \(1, 1, "):
        model(minigrad.rand(1, 1, 32, 32))
    with pytest.raises(ValueError, match="GoogLeNet: expected in_channels=3 with transform_input=True, got 1"):
        GoogLeNet(in_channels=1, transform_input=True)


def test_published_weights_go_without_heads_or_with_them():
    published = get_model_weights("googlenet")["IMAGENET1K_V1"]
    assert published.options == {"transform_input": True, "aux_logits": False}
    assert published.prepare is fit_heads
    full = GoogLeNet(num_classes=4).eval()
    state = full.state_dict()
    assert fit_heads(state, full) is state
    without = GoogLeNet(num_classes=4, aux_logits=False).eval()
    without.load_state_dict(fit_heads(state, without))
    x = minigrad.randn(2, 3, 32, 32)
    assert without(x).equal(full(x))


@pytest.mark.parametrize("build", [googlenet, googlenet_original])
def test_arguments_reach_the_network(build):
    model = build(num_classes=3, in_channels=2, aux_logits=True, dropout=0.1, dropout_aux=0.6)
    rates = {name: layer.p for name, layer in model.named_modules() if isinstance(layer, nn.Dropout)}
    assert rates.pop("dropout") == 0.1
    assert list(rates.values()) == [0.6, 0.6]
    assert next(model.parameters()).shape == (64, 2, 7, 7)
    defaults = {name: layer.p for name, layer in build(num_classes=3).named_modules() if isinstance(layer, nn.Dropout)}
    assert defaults.pop("dropout") == (0.2 if build is googlenet else 0.4)
    assert list(defaults.values()) == [0.7, 0.7]


def test_initial_weights():
    minigrad.manual_seed(3)
    model = GoogLeNet(num_classes=10)
    for module in (model.inception4e.branch2[1].conv, model.fc, model.aux1.fc1):
        assert module.weight.numpy(force=True).std() == pytest.approx(0.01, rel=0.1)
    model = GoogLeNetOriginal(num_classes=10)
    for module, fans in ((model.trunk3.inception4e.branch2[1].conv, 9 * (160 + 320)), (model.linear, 1034)):
        assert module.weight.numpy(force=True).std() == pytest.approx((2 / fans) ** 0.5, rel=0.1)
        assert not module.bias.numpy(force=True).any()


def test_torch_agrees_on_the_original(torch):
    """All three outputs and all gradients; dropout is left out."""
    F = torch.nn.functional
    minigrad.manual_seed(4)
    model = GoogLeNetOriginal(7, dropout=0.0, dropout_aux=0.0).double()
    values = {name: torch.from_numpy(value.numpy(force=True).copy()) for name, value in model.state_dict().items()}
    for value in values.values():
        value.requires_grad_()
    x = patterns(1, 3, 224, 224).double()

    def convolved(name, x, **options):
        return torch.relu(F.conv2d(x, values[f"{name}.conv.weight"], values[f"{name}.conv.bias"], **options))

    def linear(name, x):
        return F.linear(x, values[f"{name}.weight"], values[f"{name}.bias"])

    def module(name, x):
        return torch.cat(
            [
                convolved(f"{name}.branch1", x),
                convolved(f"{name}.branch2.1", convolved(f"{name}.branch2.0", x), padding=1),
                convolved(f"{name}.branch3.1", convolved(f"{name}.branch3.0", x), padding=2),
                convolved(f"{name}.branch4.1", F.max_pool2d(x, 3, 1, 1)),
            ],
            1,
        )

    def head(name, x):
        x = convolved(f"{name}.1", F.avg_pool2d(x, 5, 3)).flatten(1)
        return linear(f"{name}.6", torch.relu(linear(f"{name}.3", x)))

    def halved(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    y = halved(convolved("trunk1.conv1", torch.from_numpy(x.numpy()), stride=2, padding=3))
    y = convolved("trunk1.reduce2", F.local_response_norm(y, 5))
    y = halved(F.local_response_norm(convolved("trunk1.conv2", y, padding=1), 5))
    y = halved(module("trunk1.inception3b", module("trunk1.inception3a", y)))
    y = module("trunk1.inception4a", y)
    aux1 = head("aux1", y)
    for name in "bcd":
        y = module(f"trunk2.inception4{name}", y)
    aux2 = head("aux2", y)
    y = halved(module("trunk3.inception4e", y))
    y = module("trunk3.inception5b", module("trunk3.inception5a", y))
    expected = (linear("linear", y.mean(dim=(2, 3))), aux2, aux1)
    sum(F.cross_entropy(logits, torch.tensor([5])) for logits in expected).backward()
    outputs = model(x)
    sum(nn.functional.cross_entropy(logits, minigrad.tensor([5])) for logits in outputs).backward()

    for logits, wanted in zip(outputs, expected):
        np.testing.assert_allclose(logits.numpy(force=True), wanted.detach().numpy(), rtol=1e-9)
    for name, parameter in model.named_parameters():
        wanted = values[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=1e-7, atol=1e-10 * abs(wanted).max(), err_msg=name)


def test_auxiliary_head_takes_any_size():
    head = InceptionAux(6, num_classes=3).eval()
    assert head(minigrad.randn(2, 6, 14, 14)).shape == (2, 3)
    assert head(minigrad.randn(2, 6, 2, 5)).shape == (2, 3)


def test_overfits_a_batch():
    minigrad.manual_seed(5)
    losses = overfit(GoogLeNet(num_classes=4), patterns(4, 3, 64, 64), lr=0.001, steps=40)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1


def test_the_original_overfits_a_batch():
    minigrad.manual_seed(6)
    model = GoogLeNetOriginal(num_classes=4, aux_logits=False)
    losses = overfit(model, patterns(4, 3, 64, 64), lr=0.0005, steps=150)
    assert losses[0] > 1.2
    assert losses[-1] < 0.1


def test_made_on_the_meta_device():
    """The numbers of transform_input are in no state dict, and none are needed there."""
    minigrad.manual_seed(7)
    options = {"num_classes": 2, "aux_logits": False, "transform_input": True}
    model = GoogLeNet(**options).eval()
    with minigrad.device("meta"):
        other = GoogLeNet(**options).eval()
    other.load_state_dict(model.state_dict(), assign=True)
    x = minigrad.rand(1, 3, 32, 32)
    assert other(x).equal(model(x))
