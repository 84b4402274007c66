"""The Vision Transformer: torchvision's names, results and gradients with the same weights, the paper's sizes, and learning."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.vision.models import VisionTransformer, get_model, get_model_weights, vit_b_16, vit_tiny_cifar

THIN = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64, "num_classes": 10}


@pytest.fixture(scope="module")
def theirs(torchvision):
    """torchvision's class."""
    return torchvision.VisionTransformer


def make_both(torch, theirs, **settings):
    """Both networks in float64, with the same random parameters: those that begin with zeros would hide much."""
    other = theirs(**{**THIN, **settings}).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.1)
    mine = VisionTransformer(**{**THIN, **settings}).double()
    mine.load_state_dict({key: mg.tensor(value.numpy()) for key, value in other.state_dict().items()})
    return mine, other


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(state_dict):
    return [(key, tuple(value.shape)) for key, value in state_dict.items()]


# --- against torchvision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"patch_size": 16, "num_heads": 4, "num_layers": 1, "num_classes": 3}])
def test_state_dict_is_torchvisions(torch, theirs, settings):
    mine, other = VisionTransformer(**{**THIN, **settings}), theirs(**{**THIN, **settings})
    assert shapes(mine.state_dict()) == shapes(other.state_dict())
    mine.heads.head.weight.detach().fill_(0.5)
    other.load_state_dict({key: torch.tensor(value.numpy()) for key, value in mine.state_dict().items()})
    assert (other.heads.head.weight == 0.5).all()


def test_logits_are_torchvisions(torch, theirs):
    mine, other = make_both(torch, theirs)
    x = images(3, 3, 32, 32)
    with torch.no_grad(), mg.no_grad():
        expected = other.eval()(torch.tensor(x)).numpy()
        np.testing.assert_allclose(mine.eval()(mg.tensor(x)).numpy(), expected, rtol=1e-9, atol=1e-11)
    assert expected.std() > 0.1


def test_loss_and_gradients_in_training_are_torchvisions(torch, theirs):
    mine, other = make_both(torch, theirs)
    x, labels = images(4, 3, 32, 32), [3, 0, 9, 3]
    my_x, other_x = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss = nn.functional.cross_entropy(mine(my_x), mg.tensor(labels))
    expected = torch.nn.functional.cross_entropy(other(other_x), torch.tensor(labels))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    loss.backward()
    expected.backward()
    np.testing.assert_allclose(my_x.grad.numpy(), other_x.grad.numpy(), rtol=1e-7, atol=1e-12)
    for (name, a), (other_name, b) in zip(mine.named_parameters(), other.named_parameters(), strict=True):
        assert name == other_name
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-7, atol=1e-12, err_msg=name)


def test_it_begins_as_torchvisions(torch, theirs):
    """Each parameter drawn from the same distribution, or the same constant."""
    big = {**THIN, "hidden_dim": 128, "mlp_dim": 256}
    mg.manual_seed(0)
    torch.manual_seed(0)
    for (name, a), b in zip(VisionTransformer(**big).named_parameters(), theirs(**big).parameters(), strict=True):
        a, b = a.numpy(force=True), b.detach().numpy()
        assert a.std() == pytest.approx(b.std(), rel=0.3, abs=1e-12), name
        assert abs(a).max() == pytest.approx(abs(b).max(), rel=0.5, abs=1e-12), name


def test_keys_of_the_published_file(torch, theirs):
    """It is older than the names of the MLP's layers: torchvision's class takes these keys, too."""
    mine, other = make_both(torch, theirs)
    published = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): value
        for key, value in other.state_dict().items()
    }
    assert len(set(published) - set(mine.state_dict())) == 8
    fresh, x = VisionTransformer(**THIN).double().eval(), mg.tensor(images(1, 3, 32, 32))
    assert (
        str(fresh.load_state_dict({k: mg.tensor(v.numpy()) for k, v in published.items()})) == "<All keys matched successfully>"
    )
    assert fresh(x).equal(mine.eval()(x))
    theirs(**THIN).double().load_state_dict(published)


# --- sizes -------------------------------------------------------------------------------------------------------------


def expected_count(image, patch, layers, hidden, mlp, classes=1000, channels=3):
    tokens = (image // patch) ** 2 + 1
    attention = 4 * hidden * hidden + 4 * hidden
    block = attention + 2 * hidden * mlp + mlp + hidden + 4 * hidden
    ends = hidden + tokens * hidden + (channels * patch * patch + 1) * hidden + 2 * hidden + (hidden + 1) * classes
    return ends + layers * block


def test_parameter_counts():
    assert expected_count(224, 16, 12, 768, 3072) == 86_567_656  # torchvision's figure
    assert count(vit_b_16()) == 86_567_656
    assert count(vit_tiny_cifar()) == expected_count(32, 4, 9, 192, 768, classes=10) == 4_028_170
    assert count(vit_tiny_cifar(5, 1, image_size=28)) == expected_count(28, 4, 9, 192, 768, 5, 1)


def test_small_network_computes():
    model = vit_tiny_cifar(num_classes=7, in_channels=1).eval()
    assert model(mg.randn(2, 1, 32, 32)).tolist() == [[0.0] * 7] * 2  # the last layer begins with zeros
    assert get_model("vit_tiny_cifar", image_size=16).encoder.pos_embedding.shape == (1, 17, 192)


def test_published_weights():
    published = get_model_weights("vit_b_16")
    assert published["DEFAULT"] is published["IMAGENET1K_V1"]
    large = published["IMAGENET1K_SWAG_E2E_V1"]
    assert large.options["image_size"] == large.crop == large.resize == 384
    with pytest.raises(ValueError, match=r"expected image_size=224 with the weights of vit_b_16-c867db91\.pth, got 384"):
        vit_b_16(image_size=384, weights="IMAGENET1K_V1")


@pytest.mark.parametrize(("shape", "got"), [((2, 3, 64, 64), r"\(2, 3, 64, 64\)"), ((2, 1, 32, 32), r"\(2, 1, ")])
def test_images_of_another_size(shape, got):
    with pytest.raises(ValueError, match=rf"VisionTransformer: expected images \(N, 3, 32, 32\), got {got}.*resize them"):
        VisionTransformer(**THIN)(mg.zeros(shape))


@pytest.mark.parametrize("sizes", [(30, 8), (8, 16), (0, 8), (8, 0)])
def test_sizes_that_do_not_divide(sizes):
    with pytest.raises(ValueError, match=f"expected an image_size that is a multiple of patch_size={sizes[1]}, got {sizes[0]}"):
        VisionTransformer(**{**THIN, "image_size": sizes[0], "patch_size": sizes[1]})


# --- learning ----------------------------------------------------------------------------------------------------------


def test_same_seed_same_model():
    states = []
    for _ in range(2):
        mg.manual_seed(1)
        states.append(VisionTransformer(**THIN).state_dict())
    assert all(states[0][key].equal(states[1][key]) for key in states[0])


def test_dropout_only_in_training():
    mg.manual_seed(0)
    x = mg.randn(2, 3, 32, 32)
    for settings in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
        model = VisionTransformer(**THIN, **settings)
        nn.init.normal_(model.heads.head.weight)
        assert not model(x).equal(model(x)), settings
        assert model.eval()(x).equal(model(x))


def test_lion_fits_a_small_batch():
    mg.manual_seed(0)
    model = VisionTransformer(**THIN, dropout=0.1)
    optimizer = optim.Lion(model.parameters(), lr=4e-3, weight_decay=0.1)
    x, labels = mg.randn(16, 3, 32, 32), mg.arange(16) % 10
    first = last = None
    for _ in range(70):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert first == pytest.approx(np.log(10), rel=1e-4)
    assert last < 0.1
    assert (model.eval()(x).argmax(1) == labels).all()
