"""Attention: dropout and masks of the function, and the layer against PyTorch's with every setting and mask."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.strict_backend import strict_backend

E, HEADS, N, L, S = 6, 2, 3, 4, 5


@pytest.fixture(autouse=True)
def seeded():
    mg.manual_seed(0)


def rng():
    return np.random.default_rng(0)


# --- the function ------------------------------------------------------------------------------------------------------


def test_dropout_is_of_the_weights():
    query, key = mg.randn(200, 2, dtype="float64"), mg.randn(10, 2, dtype="float64")
    value = mg.eye(10, dtype="float64")  # what comes out are the weights
    whole = F.scaled_dot_product_attention(query, key, value)
    dropped = F.scaled_dot_product_attention(query, key, value, dropout_p=0.25)
    kept = dropped != 0
    assert 0.7 < kept.double().mean().item() < 0.8
    np.testing.assert_allclose(dropped[kept].numpy(), whole[kept].numpy() / 0.75, rtol=1e-12)


@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_a_query_without_a_key_gets_zeros_and_clean_gradients(kind):
    allowed = mg.tensor([[True, False, True], [False, False, False]])
    mask = allowed if kind == "bool" else mg.zeros(2, 3, dtype="float64").masked_fill(~allowed, -math.inf)
    query, key, value = (mg.randn(n, 4, dtype="float64", requires_grad=True) for n in (2, 3, 3))
    out = F.scaled_dot_product_attention(query, key, value, mask)
    alone = F.scaled_dot_product_attention(query[:1], key[::2], value[::2])
    np.testing.assert_allclose(out[:1].numpy(force=True), alone.numpy(force=True), rtol=1e-12)
    assert out[1].tolist() == [0.0] * 4
    out.sum().backward()
    assert query.grad[1].tolist() == key.grad[1].tolist() == value.grad[1].tolist() == [0.0] * 4
    assert all(bool(x.grad.isfinite().all()) for x in (query, key, value))


def test_large_scores_do_not_overflow():
    x = mg.full((2, 4), 100.0, dtype="float16")
    assert F.scaled_dot_product_attention(x, x, x).tolist() == x.tolist()


# --- the layer: what PyTorch's computes -----------------------------------------------------------------------------------

BOOL_MASK = rng().uniform(size=(L, S)) < 0.4
BOOL_MASK[:, 0] = False
HEADS_MASK = rng().uniform(size=(N * HEADS, L, S)) < 0.4
HEADS_MASK[:, :, 0] = False
ADDED_MASK = rng().standard_normal((L, S))
PADDING = np.array([[False] * 5, [False, True, False, False, True], [False, False, True, True, True]])
ADDED_PADDING = rng().standard_normal((N, S))
CAUSAL = np.triu(np.ones((S, S), bool), 1)

LAYERS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"add_bias_kv": True, "batch_first": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "bias": False},
    {"kdim": 3, "vdim": 5},
    {"kdim": 3, "batch_first": True, "bias": False, "add_zero_attn": True},
]
MASKS = [
    {},
    {"attn_mask": BOOL_MASK},
    {"attn_mask": HEADS_MASK},
    {"attn_mask": ADDED_MASK},
    {"key_padding_mask": PADDING},
    {"key_padding_mask": ADDED_PADDING, "attn_mask": ADDED_MASK},
    {"key_padding_mask": PADDING, "attn_mask": BOOL_MASK},
    {"key_padding_mask": PADDING, "attn_mask": HEADS_MASK},
    {"key_padding_mask": PADDING, "attn_mask": ADDED_MASK},
]


def make_both(torch, **settings):
    """Both layers with the same random parameters."""
    ours = nn.MultiheadAttention(E, HEADS, **settings).double()
    theirs = torch.nn.MultiheadAttention(E, HEADS, **settings).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    ours.load_state_dict({key: mg.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    return ours, theirs


def compare(torch, ours, theirs, arrays, masks=None, one=False, **options):
    """Outputs, weights and all gradients, with a random gradient of each result from above."""
    mine = [mg.tensor(a, requires_grad=True) for a in arrays]
    your = [torch.tensor(a, requires_grad=True) for a in arrays]
    masks = masks or {}
    got = ours(*(mine * 3 if one else mine), **{k: mg.tensor(m) for k, m in masks.items()}, **options)
    want = theirs(*(your * 3 if one else your), **{k: torch.tensor(m) for k, m in masks.items()}, **options)
    assert (got[1] is None) == (want[1] is None)
    pairs = [pair for pair in zip(got, want, strict=True) if pair[1] is not None]
    random = rng()
    above = [random.standard_normal(tuple(b.shape)) for _, b in pairs]
    for a, b in pairs:
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(), rtol=1e-9, atol=1e-11)
    sum((a * mg.tensor(g)).sum() for (a, _), g in zip(pairs, above, strict=True)).backward()
    sum((b * torch.tensor(g)).sum() for (_, b), g in zip(pairs, above, strict=True)).backward()
    for a, b in zip(mine, your, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)
    for (name, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-10, err_msg=name)


def sequences(settings, batched=True):
    """Query, key and value for a layer with these settings."""
    random = rng()
    sizes = (L, E), (S, settings.get("kdim", E)), (S, settings.get("vdim", E))
    found = [random.standard_normal((N, *size)) for size in sizes]
    if not batched:
        return [a[0] for a in found]
    return found if settings.get("batch_first") else [a.transpose(1, 0, 2).copy() for a in found]


def told(settings):
    return ",".join(f"{name}={value}" for name, value in settings.items()) or "default"


def shown(masks):
    return "+".join(f"{mask.dtype}-{mask.ndim}d" for mask in masks.values()) or "no mask"


# PyTorch warns of one bool and one float mask, and then does what is asked.
mixed_masks = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask and attn_mask")


@mixed_masks
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masks", MASKS, ids=shown)
@pytest.mark.parametrize("settings", LAYERS, ids=told)
def test_it_computes_what_pytorchs_does(torch, settings, masks, need_weights):
    compare(torch, *make_both(torch, **settings), sequences(settings), masks, need_weights=need_weights)


@pytest.mark.parametrize("settings", LAYERS, ids=told)
def test_weights_of_each_head(torch, settings):
    compare(torch, *make_both(torch, **settings), sequences(settings), average_attn_weights=False)


@mixed_masks
@pytest.mark.parametrize("settings", LAYERS, ids=told)
@pytest.mark.parametrize("need_weights", [True, False])
def test_without_a_batch(torch, settings, need_weights):
    for masks in ({}, {"key_padding_mask": PADDING[1], "attn_mask": HEADS_MASK[:HEADS]}, {"attn_mask": ADDED_MASK}):
        compare(torch, *make_both(torch, **settings), sequences(settings, False), masks, need_weights=need_weights)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_self_attention(torch, batch_first, need_weights):
    both = make_both(torch, batch_first=batch_first)
    compare(torch, *both, [rng().standard_normal((N, S, E))], one=True, need_weights=need_weights)


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("need_weights", [True, False])
def test_causal(torch, padding, need_weights):
    masks = {"attn_mask": CAUSAL, **({"key_padding_mask": PADDING} if padding else {})}
    both, x = make_both(torch, batch_first=True), rng().standard_normal((N, S, E))
    compare(torch, *both, [x], masks, one=True, need_weights=need_weights, is_causal=True)


@pytest.mark.parametrize("settings", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}], ids=told)
def test_the_promise_of_a_causal_mask_changes_nothing(settings):
    layer, x = nn.MultiheadAttention(E, HEADS, **settings), mg.randn(S, N, E)
    mask = mg.tensor(CAUSAL)
    expected, _ = layer(x, x, x, attn_mask=mask)
    for need_weights in (True, False):
        got, _ = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=need_weights)
        np.testing.assert_allclose(got.numpy(force=True), expected.numpy(force=True), atol=1e-6)


@pytest.mark.parametrize("settings", LAYERS, ids=told)
def test_state_dict_goes_both_ways(torch, settings):
    ours = nn.MultiheadAttention(E, HEADS, **settings)
    theirs = torch.nn.MultiheadAttention(E, HEADS, **settings)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()]
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), ours.state_dict()[key].numpy())


# --- the layer alone ---------------------------------------------------------------------------------------------------


def test_it_begins_as_the_paper_and_pytorch_do():
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bound = math.sqrt(6 / (64 + 3 * 64))  # of the three maps as one
    weight = layer.in_proj_weight.numpy(force=True)
    assert 0.98 * bound < abs(weight).max() <= bound and weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    out = layer.out_proj.weight.numpy(force=True)
    assert 0.98 / 8 < abs(out).max() <= 1 / 8
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any()
    assert layer.bias_k.std().item() == pytest.approx(math.sqrt(2 / (64 + 64)), rel=0.3)
    separate = nn.MultiheadAttention(64, 4, kdim=32)
    assert 0.98 < abs(separate.k_proj_weight.numpy(force=True)).max() / math.sqrt(6 / (64 + 32)) <= 1


def test_dropout_only_in_training():
    layer, x = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True), mg.randn(4, 50, 8)
    weights = layer(x, x, x, average_attn_weights=False)[1]
    assert 0.45 < (weights == 0).float().mean().item() < 0.55
    assert not layer(x, x, x, need_weights=False)[0].equal(layer(x, x, x, need_weights=False)[0])
    layer.eval()
    weights = layer(x, x, x)[1]
    np.testing.assert_allclose(weights.sum(-1).numpy(force=True), 1, rtol=1e-5)
    again = layer(x, x, x, need_weights=False)[0]
    np.testing.assert_allclose(layer(x, x, x)[0].numpy(force=True), again.numpy(force=True), atol=1e-6)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_without_a_key_gets_the_bias_alone(need_weights):
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), mg.randn(2, 3, 4)
    layer.out_proj.bias.detach().fill_(2.0)
    padding = mg.tensor([[False] * 3, [True] * 3])
    out, weights = layer(x, x, x, key_padding_mask=padding, need_weights=need_weights)
    assert out[1].tolist() == [[2.0] * 4] * 3
    assert out[0].isfinite().all() and out[0].std().item() > 0
    assert weights is None or weights[1].tolist() == [[0.0] * 3] * 3


def test_what_is_padded_does_not_count():
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), mg.randn(1, 5, 4)
    padding = mg.tensor([[False, False, False, True, True]])
    for need_weights in (True, False):
        out, _ = layer(x, x, x, key_padding_mask=padding, need_weights=need_weights)
        short, _ = layer(x, x[:, :3], x[:, :3], need_weights=need_weights)
        np.testing.assert_allclose(out.numpy(force=True), short.numpy(force=True), atol=1e-6)


@pytest.mark.parametrize("settings", LAYERS, ids=told)
def test_another_device(settings):
    """Masks, zeros and appended vectors are made where the parameters are."""
    here, arrays = nn.MultiheadAttention(E, HEADS, **settings).double(), sequences(settings)
    with strict_backend():
        there = nn.MultiheadAttention(E, HEADS, **settings).double().to("strict")
        there.load_state_dict(here.state_dict())
        for masks in MASKS:
            for need_weights in (True, False):
                got = there(
                    *(mg.tensor(a).to("strict") for a in arrays),
                    **{k: mg.tensor(m).to("strict") for k, m in masks.items()},
                    need_weights=need_weights,
                )[0]
                masks_here = {k: mg.tensor(m) for k, m in masks.items()}
                want = here(*map(mg.tensor, arrays), **masks_here, need_weights=need_weights)[0]
                assert str(got.device) == "strict"
                np.testing.assert_allclose(got.cpu().numpy(force=True), want.numpy(force=True), rtol=1e-9, atol=1e-11)


def test_device_and_dtype_of_new_parameters():
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, kdim=3, device="cpu", dtype="float64")
    assert {str(p.dtype) for p in layer.parameters()} == {"float64"}


@pytest.mark.parametrize("settings", [{}, {"add_bias_kv": True, "add_zero_attn": True}], ids=told)
def test_in_half_precision(settings):
    layer, x = nn.MultiheadAttention(4, 2, **settings), mg.randn(3, 2, 4)
    mask = mg.zeros(3, 3)
    plain = layer(x, x, x, attn_mask=mask)[0]
    with mg.autocast("cpu"):
        for need_weights in (True, False):
            out, _ = layer(x, x, x, attn_mask=mask, need_weights=need_weights)
            assert out.dtype == "float16"
            np.testing.assert_allclose(out.numpy(force=True), plain.numpy(force=True), atol=5e-3)


def test_it_prints_its_part():
    expected = "MultiheadAttention(\n  (out_proj): Linear(in_features=4, out_features=4, bias=True)\n)"
    assert repr(nn.MultiheadAttention(4, 2)) == expected


X = mg.ones(4, 3, 6)  # (L, N, E)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "num_heads a divisor of embed_dim, got embed_dim=6, num_heads=4"),
        (lambda: nn.MultiheadAttention(6, 0), ValueError, "expected positive sizes"),
        (lambda: nn.MultiheadAttention(6, 2, kdim=0), ValueError, "expected positive sizes.*kdim=0"),
        (lambda: nn.MultiheadAttention(6.0, 2), TypeError, "MultiheadAttention: expected embed_dim to be an int, got a float"),
        (lambda: nn.MultiheadAttention(X, 2), TypeError, r"got a Tensor; make the layer first: nn.MultiheadAttention\(\)\(x\)"),
        (lambda: nn.MultiheadAttention(6, 2, 1.5), ValueError, r"a probability dropout in \[0, 1\], got 1.5"),
        (lambda: nn.MultiheadAttention(6, 2, batch_first=X), TypeError, "expected batch_first to be a bool, got a Tensor"),
        (lambda: layer()(X, X, [1.0]), TypeError, "expected query, key and value as Tensors, got list"),
        (
            lambda: layer()(X, X, mg.ones(5, 3, 6)),
            ValueError,
            r"key and value \(L, N, 6\), \(S, N, 6\), \(S, N, 6\), got \(4, 3, 6\), \(4, 3, 6\), \(5, 3, 6\)",
        ),
        (lambda: layer(batch_first=True)(X, X[:2], X[:2]), ValueError, r"\(N, L, 6\), \(N, S, 6\), \(N, S, 6\), got"),
        (lambda: layer(kdim=5)(X, X, X), ValueError, r"\(L, N, 6\), \(S, N, 5\), \(S, N, 6\), got"),
        (lambda: layer()(X[0], X[0], X), ValueError, r"\(L, 6\), \(S, 6\), \(S, 6\), got"),
        (lambda: layer()(mg.ones(6), X, X), ValueError, r"got \(6,\), \(4, 3, 6\), \(4, 3, 6\)"),
        (lambda: layer()(X, X, X, is_causal=True), ValueError, "an attn_mask beside is_causal=True"),
        (lambda: layer()(X, X, X, attn_mask=mg.ones(4, 4).int()), TypeError, "attn_mask to be a tensor of bool or float32"),
        (lambda: layer()(X, X, X, attn_mask=mg.ones(4, 3)), ValueError, r"shape \(4, 4\) or \(6, 4, 4\), got \(4, 3\)"),
        (lambda: layer()(X, X, X, mg.ones(4, 3).bool()), ValueError, r"key_padding_mask of shape \(3, 4\), got \(4, 3\)"),
        (lambda: layer()(X, X, X, True), TypeError, "key_padding_mask to be a tensor of bool or float32, got bool"),
        (lambda: layer()(*[X[0]] * 3, mg.ones(1, 3)), ValueError, r"key_padding_mask of shape \(3,\), got \(1, 3\)"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def layer(**settings):
    return nn.MultiheadAttention(6, 2, **settings)
