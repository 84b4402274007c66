"""state_dict and load_state_dict: names, order, and all or nothing."""

from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.fc = nn.Linear(2, 3)
        self.register_buffer("scratch", mg.zeros(1), persistent=False)
        self.scale = nn.Parameter(mg.ones(1))


KEYS = [
    "scale",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
    "fc.weight",
    "fc.bias",
]


def values(state):
    return {key: value.tolist() for key, value in state.items()}


def other_state(net):
    return {key: value + 1 for key, value in net.state_dict().items()}


def test_keys_in_order():
    state = Net().state_dict()
    assert type(state) is OrderedDict
    assert list(state) == KEYS


def test_values_share_memory_and_leave_the_graph():
    net = Net()
    state = net.state_dict()
    assert not any(value.requires_grad for value in state.values())
    assert all(type(value) is mg.Tensor for value in state.values())
    with mg.no_grad():
        net.scale.fill_(7)
    assert state["scale"].item() == 7
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


def test_prefix_and_destination():
    destination = {"before": mg.ones(1)}
    assert nn.Linear(1, 1).state_dict(destination=destination, prefix="a.") is destination
    assert list(destination) == ["before", "a.weight", "a.bias"]


@pytest.mark.parametrize("assign", [False, True])
def test_loading_takes_everything_over(assign):
    net = Net()
    state = other_state(net)
    scale = net.scale
    keys = net.load_state_dict(state, assign=assign)
    assert keys == ([], []) and repr(keys) == "<All keys matched successfully>"
    assert values(net.state_dict()) == values(state)
    assert (net.scale is scale) is not assign
    assert type(net.scale) is nn.Parameter and net.scale.requires_grad
    assert net.fc.weight.array is not state["fc.weight"].array


def test_loading_converts_or_assigns_the_dtype():
    net = Net()
    state = {key: value.double() if value.is_floating_point() else value for key, value in other_state(net).items()}
    net.load_state_dict(state)
    assert net.scale.dtype == mg.float32
    net.load_state_dict(state, assign=True)
    assert net.scale.dtype == net.norm.running_mean.dtype == mg.float64
    assert np.shares_memory(net.fc.weight.array, state["fc.weight"].array)


def test_assign_keeps_frozen_parameters_frozen_and_tied_ones_tied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    net.load_state_dict({key: mg.ones(value.shape) for key, value in net.state_dict().items()}, assign=True)
    assert net[1].weight is net[0].weight
    assert not net[0].bias.requires_grad and net[1].bias.requires_grad


def test_other_tensors_are_not_ours():
    arrays = {"weight": np.ones((1, 1)), "bias": np.ones(1)}
    with pytest.raises(RuntimeError, match=r"weight: expected a Tensor of minigrad, got numpy\.ndarray"):
        nn.Linear(1, 1).load_state_dict(arrays)


@pytest.mark.parametrize("assign", [False, True])
def test_everything_wrong_is_reported_at_once_and_nothing_changes(assign):
    net = Net()
    before = values(net.state_dict())
    arrays = [p.array for p in net.parameters()]
    state = other_state(net)
    del state["norm.bias"], state["scale"]
    state["fc.weight"] = mg.ones(3, 4)
    state["fc.bias"] = [0.0, 0.0, 0.0]
    state["extra"] = state["head.weight"] = mg.ones(1)
    with pytest.raises(RuntimeError) as raised:
        net.load_state_dict(state, assign=assign)
    message = str(raised.value)
    assert message.startswith("load_state_dict: the state dict does not fit Net, and nothing was loaded")
    for part in [
        "missing: scale, norm.bias\n",
        "unexpected: extra, head.weight\n",
        "fc.weight: expected shape (3, 2), got (3, 4)",
        "fc.bias: expected a Tensor of minigrad, got list",
    ]:
        assert part in message
    assert values(net.state_dict()) == before
    assert all(p.array is a for p, a in zip(net.parameters(), arrays, strict=True))


def test_without_strict_only_shapes_matter():
    net = Net()
    before = values(net.state_dict())
    keys = net.load_state_dict({"scale": mg.tensor([5.0]), "extra": mg.ones(1)}, strict=False)
    assert keys.missing_keys == KEYS[1:5] + KEYS[6:] and keys.unexpected_keys == ["extra"]
    assert "IncompatibleKeys(missing_keys=['norm.weight'" in repr(keys)
    assert net.scale.item() == 5
    assert values(net.state_dict()) == {**before, "scale": [5.0]}
    with pytest.raises(RuntimeError, match=r"scale: expected shape \(1,\), got \(2,\)") as raised:
        net.load_state_dict({"scale": mg.ones(2), "fc.bias": mg.ones(3), "extra": mg.ones(1)}, strict=False)
    assert "missing" not in str(raised.value) and "extra" not in str(raised.value)
    assert net.fc.bias.tolist() == before["fc.bias"]


def test_assigning_integers_to_a_parameter_is_refused_before_anything_changes():
    net = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match="weight: expected a floating dtype for a parameter that requires grad, got int64"):
        net.load_state_dict({"bias": mg.ones(1), "weight": mg.ones(1, 1, dtype=mg.int64)}, assign=True)
    assert net.bias.item() != 1


def test_old_files_lack_the_batch_counter():
    net = Net()
    state = other_state(net)
    del state["norm.num_batches_tracked"]
    assert net.load_state_dict(state) == ([], [])
    assert net.norm.running_mean.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("assign", [False, True])
def test_old_files_have_one_element_for_a_number(assign):
    net = Net()
    state = other_state(net)
    state["norm.num_batches_tracked"] = mg.tensor([7])
    net.load_state_dict(state, assign=assign)
    assert net.norm.num_batches_tracked.shape == () and net.norm.num_batches_tracked.item() == 7
    with pytest.raises(RuntimeError, match=r"num_batches_tracked: expected shape \(\), got \(2,\)"):
        net.load_state_dict({**state, "norm.num_batches_tracked": mg.tensor([7, 8])})


def test_metadata_of_torch_is_tolerated():
    net = Net()
    state = OrderedDict(other_state(net))
    state._metadata = OrderedDict({"": {"version": 1}})
    net.load_state_dict(state)
    assert net.scale.item() == 2


def test_prefix_of_data_parallel_is_recognised():
    net = Net()
    with pytest.raises(RuntimeError, match=r"starts with 'module\.'"):
        net.load_state_dict({f"module.{key}": value for key, value in net.state_dict().items()})


def test_no_dict():
    with pytest.raises(TypeError, match="load_state_dict: expected state_dict to be a dict, got list"):
        Net().load_state_dict([])


def test_loading_is_not_recorded_and_is_noticed():
    net = nn.Linear(1, 1)
    x = mg.ones(1, 1, requires_grad=True)
    y = net(x)
    net.load_state_dict(other_state(net))
    assert net.weight.is_leaf
    with pytest.raises(RuntimeError, match="changed it in place"):
        y.backward()


class TestHooks:
    def test_state_dict_hooks(self):
        net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        seen = []
        net[1].register_state_dict_pre_hook(lambda module, prefix, keep: seen.append((module is net[1], prefix, keep)))

        def rename(module, state, prefix, metadata):
            state[prefix + "w"] = state.pop(prefix + "weight")

        handle = net[1].register_state_dict_post_hook(rename)
        assert list(net.state_dict()) == ["0.weight", "0.bias", "1.bias", "1.w"]
        assert seen == [(True, "1.", False)]
        handle.remove()
        assert list(net.state_dict(keep_vars=True)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert seen[1] == (True, "1.", True)

    def test_load_hooks(self):
        net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        state = other_state(net)
        state["1.w"] = state.pop("1.weight")
        given = dict(state)
        after = []

        def rename(module, state, prefix, metadata, strict, missing, unexpected, errors):
            assert module is net[1] and strict and (missing, unexpected, errors) == ([], [], [])
            state[prefix + "weight"] = state.pop(prefix + "w")

        handle = net[1].register_load_state_dict_pre_hook(rename)
        net.register_load_state_dict_post_hook(lambda module, keys: after.append((module, keys)))
        net.load_state_dict(state)
        assert net[1].weight.tolist() == state["1.w"].tolist()
        assert state == given, "the caller's dict is not touched"
        assert after == [(net, ([], []))]
        handle.remove()
        with pytest.raises(RuntimeError, match=r"missing: 1\.weight"):
            net.load_state_dict(state)
        assert after[1:] == [(net, (["1.weight"], ["1.w"]))]

    @pytest.mark.parametrize("assign", [False, True])
    def test_a_load_hook_can_forgive(self, assign):
        net = nn.Linear(1, 1)
        seen = []

        def forgive(module, keys):
            seen.append(module.weight.item())
            keys.missing_keys.clear()

        handle = net.register_load_state_dict_post_hook(forgive)
        assert net.load_state_dict({"weight": mg.ones(1, 1)}, assign=assign) == ([], [])
        assert seen == [1.0] == [net.weight.item()]
        before, parameters = values(net.state_dict()), list(net.parameters())
        with pytest.raises(RuntimeError, match=r"nothing was loaded\n    unexpected: extra$"):
            net.load_state_dict({"weight": mg.zeros(1, 1), "extra": mg.ones(1)}, assign=assign)
        assert seen[1] == 0.0 and values(net.state_dict()) == before
        assert all(now is then for now, then in zip(net.parameters(), parameters, strict=True))
        handle.remove()
        with pytest.raises(RuntimeError, match="missing: bias"):
            net.load_state_dict({"weight": mg.zeros(1, 1)}, assign=assign)

    def test_a_load_hook_can_report(self):
        net = nn.Linear(1, 1)
        net.register_load_state_dict_pre_hook(lambda *args: args[-1].append("weight: too old"))
        before = values(net.state_dict())
        with pytest.raises(RuntimeError, match="weight: too old"):
            net.load_state_dict(other_state(net))
        assert values(net.state_dict()) == before


def test_values_and_their_absence_do_not_mix():
    """Nothing is loaded where one of two tensors has no values."""
    layer = nn.Linear(3, 3)
    before = layer.weight.tolist()
    with pytest.raises(RuntimeError, match="bias: expected a tensor with values, got one on the meta device"):
        layer.load_state_dict({"weight": mg.ones(3, 3), "bias": mg.zeros(3, device="meta")})
    assert layer.weight.tolist() == before
    with pytest.raises(RuntimeError, match=r"weight: the module's tensor is on the meta device.*; pass assign=True"):
        nn.Linear(3, 3, device="meta").load_state_dict(layer.state_dict())


def made_in_inference_mode():
    with mg.inference_mode():
        return mg.zeros(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mg.zeros(1).expand(2), "last: several elements of this tensor .* lie at one place in memory"),
        (made_in_inference_mode, "last: a tensor made in inference_mode can be changed in place only inside it"),
    ],
)
def test_a_tensor_that_cannot_be_written_is_found_before_anything_changes(make, message):
    net = nn.Module()
    net.first = nn.Parameter(mg.zeros(2))
    net.register_buffer("last", make())
    state = {"first": mg.ones(2), "last": mg.ones(2)}
    with pytest.raises(RuntimeError, match=message):
        net.load_state_dict(state)
    assert net.first.tolist() == [0.0, 0.0]
    net.load_state_dict(state, assign=True)
    assert net.first.tolist() == net.last.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("strict", [True, False])
def test_keys_that_are_no_strings(strict):
    net = nn.Linear(1, 1)
    before = values(net.state_dict())
    with pytest.raises(TypeError, match="load_state_dict: expected strings as keys of state_dict, got the int 7"):
        net.load_state_dict({**other_state(net), 7: mg.ones(1)}, strict=strict)
    assert values(net.state_dict()) == before


def test_read_only_memory_is_refused_before_anything_is_loaded():
    module = nn.Module()
    module.register_parameter("a", nn.Parameter(mg.ones(3)))
    memory = np.zeros(3, "float32")
    memory.flags.writeable = False
    module.register_buffer("b", mg.from_numpy(memory))
    with pytest.raises(RuntimeError, match="read-only memory"):
        module.load_state_dict({"a": mg.full((3,), 5.0), "b": mg.arange(3.0)})
    assert module.a.tolist() == [1, 1, 1]
